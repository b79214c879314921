"""The command `llamaproxy`: the server in the foreground, as `twistd -n llamaproxy` starts it.

For who has installed the package with a tool that puts its commands on the path. What the server cannot do without,
the weights of an embedded model that new sessions start with, is fetched first.
"""

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted import __version__ as twisted_version

from . import __version__
from .agentctl.cli import main as agentctl
from .agentctl.pull import is_carried
from .config import ConfigError, Home, find_home, load_configuration
from .tap import Options

_HELP = ("help", "-h", "--help")
_VERSION = ("version", "-V", "--version")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs it; comes back only for `--help` and `--version`. A start that cannot work ends with one line, status 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    match words:
        case [word] if word in _VERSION:
            python = f"Python {platform.python_version()}"
            print(f"llamaproxy {__version__} (Twisted {twisted_version}, {python})")
        case [word, *_] if word in _HELP:
            print(f"Usage: llamaproxy [run] [options]\n{_Usage().getUsage()}")
        case ["run", *flags]:
            _serve(flags)
        case _:
            _serve(words)


class _Usage(Options):
    """The flags as `--help` tells of them."""

    longdesc = (
        "llamaproxy serves in the foreground until Ctrl-C; twistd llamaproxy does so as a daemon. "
        "agentctl sets it up: models, tools, keys; agentctl help shows how."
    )


def _serve(flags: Sequence[str]) -> None:
    options = Options()
    options.parseOptions(flags)
    _fetch_weights(options["home"], options["model"])
    from twisted.scripts import twistd

    sys.argv = ["twistd", "-n", "--pidfile=", "llamaproxy", *flags]
    twistd.run()


def _fetch_weights(folder: str | None, model: str | None) -> None:
    """Fetches the weights of the model that new sessions start with, where they are missing and somebody has them.

    Whatever else is wrong, the server's own start says it better.
    """
    try:
        home = Home(find_home(folder, os.environ, Path.cwd()))
        home.ensure()
        registry = load_configuration(home).registry
    except ConfigError:
        return
    entry = registry.models.get(model or registry.default_model)
    if entry is None or entry.type != "LOCAL" or not is_carried(entry.model_id):
        return
    if not home.weights_file(entry.model_id).is_file():
        agentctl(["--home", str(home.path), "model-pull", entry.model_id])


if __name__ == "__main__":
    main()
