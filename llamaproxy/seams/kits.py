"""What a tool of a third party gets of the server that it lives in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct


class Kit(Struct, frozen=True, kw_only=True):
    """`settings` is its block in `plugin_config`, without `enabled`; `environ` looks a variable up in the environment,
    then in the home's `.env`. `folder` is its own in the home, and is there. `reactor` has timers, sockets and threads.
    """

    settings: dict[str, Any]
    environ: Callable[[str], str | None]
    folder: Path
    reactor: Any
