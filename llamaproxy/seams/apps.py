"""What an app may bring to a turn beside its user's message, and what its operator allows it."""

from typing import Any, Literal

from msgspec import Struct

from .images import Image

# Seconds for which a turn goes on that may go on as long as it takes.
FOREVER = 1e9

# Whether the model may call the app's tools, must call one of them, or must not.
Choice = Literal["auto", "required", "none"]


class Allowance(Struct, frozen=True, kw_only=True):
    """What the operator allows whoever asks.

    With `client_tools` their app's own tools join the agent's, or do so if a `header` of the request says so. With
    `client_system` its system prompt is shown to the model. `on_disconnect` says for how many seconds a turn goes on
    whose client leaves: none, some, or as many as it takes (`FOREVER`). `notify` is the address that hears of what
    ended then, "" for none.
    """

    client_tools: Literal["off", "header", "on"] = "off"
    client_system: bool = False
    on_disconnect: float = 0.0
    notify: str = ""

    @property
    def takes_tools(self) -> bool:
        """Whether the app's tools join the agent's."""
        return self.client_tools == "on"


# What everybody may do unless the operator says more.
USUAL = Allowance()


class AppTool(Struct, frozen=True, kw_only=True):
    """A tool of the app, as the app describes it; `free` ones take a text and no object, as their only argument."""

    name: str
    description: str
    parameters: dict[str, Any]
    free: bool = False


class AppResult(Struct, frozen=True, kw_only=True):
    """What came of a call of the app's tools.

    Without a `call_id` it belongs to the first call of the tool `name` that has no result yet, without either to the
    first call at all.
    """

    text: str
    call_id: str = ""
    name: str = ""
    images: tuple[Image, ...] = ()


class AppSide(Struct, frozen=True, kw_only=True):
    """What the app brings to one turn.

    `choice` is about its `tools`, of which it takes one call at a time unless they may be `parallel`. `results` are
    those of calls that were handed over to it; `is_answer` says that it sent nothing else, and no new message of its
    user's. `system` is its system prompt.
    """

    tools: tuple[AppTool, ...] = ()
    choice: Choice = "auto"
    parallel: bool = True
    results: tuple[AppResult, ...] = ()
    is_answer: bool = False
    system: str = ""


NOTHING = AppSide()
