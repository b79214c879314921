"""What the dialects share: the shape of a parsed request, the encoders' interface, and the one hot loop.

The web room holds either dialect's module as a `WireDialect` and its encoders as `Encoder`s; it knows no more
about the wire than that.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii
from random import Random
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Raw, Struct

from ..seams.errors import AgentError
from ..seams.types import AgentEvent, ChatTurn, ReplyEnd, Text
from .brought import Brought
from .fields import CommonFields
from .outline import Outline


class ChatRequest(Struct, frozen=True, kw_only=True):
    """What a client asked for.

    `model` is its own spelling, which replies echo; "" if it named none. With `lifecycle`, `turn` is None:
    Ollama's requests to load or unload a model say nothing to the agent and touch no session. `outline` is there for
    `housekeeping` to look at, and for nothing else. `brought` is what the app brings along, for who is allowed that;
    `ignored` names what the client sent and nobody uses otherwise. `identity` holds what it says of itself, its user
    and its conversation, by field.
    """

    turn: ChatTurn | None
    model: str
    stream: bool
    include_usage: bool = False
    lifecycle: Literal["load", "unload"] | None = None
    outline: Outline = Outline()
    brought: Brought = Brought(CommonFields())
    ignored: tuple[str, ...] = ()
    identity: dict[str, Raw] = {}


class Encoder(Protocol):
    """Turns a reply into bytes: `start`, `events`, `heartbeat`, then `finish` or `fail`; or only `whole`."""

    @property
    def content_type(self) -> bytes:
        """Of the stream; `whole` is the dialect's `JSON_TYPE`."""

    def start(self) -> bytes:
        """What goes before the first event; may be empty."""

    def events(self, events: Sequence[AgentEvent]) -> bytes:
        """The frames of one segment, one per event, to be written together."""

    def heartbeat(self) -> bytes:
        """A frame that says nothing, for clients that give up after a minute of silence."""

    def finish(self, end: ReplyEnd) -> bytes:
        """The well-formed end of a complete reply."""

    def fail(self, reason: AgentError) -> bytes:
        """The well-formed end of a stream that broke off in the middle, with the reason for the user."""

    def whole(self, text: str, reasoning: str, end: ReplyEnd) -> bytes:
        """The body of a reply that is not streamed."""


class WireDialect(Protocol):
    """A dialect's module, as the web room sees it for every answer that is not a reply."""

    @property
    def JSON_TYPE(self) -> bytes:
        """The content type of JSON that is not streamed."""

    def error(self, reason: AgentError, request_id: str = "") -> bytes:
        """The body that goes with `reason.status`, before any stream; of the request with that id."""


class FrameEncoder:
    """The token path: a frame is bytes prepared once per reply around the JSON-escaped text.

    Frames are joined as text and encoded once per segment; that is cheaper than bytes per token.
    """

    __slots__ = ("_reasoning", "_tail", "_text")

    def __init__(self, text: str, reasoning: str, tail: str) -> None:
        """`text` and `reasoning` stand before the JSON string of an event of that kind, `tail` after it."""
        self._text, self._reasoning, self._tail = text, reasoning, tail

    def events(self, events: Sequence[AgentEvent]) -> bytes:
        """One frame per event."""
        text, reasoning, tail = self._text, self._reasoning, self._tail
        return "".join(
            [f"{text if type(event) is Text else reasoning}{quote(event.text)}{tail}" for event in events]
        ).encode("ascii")


class BlockEncoder(ABC):
    """The token path of formats that keep text and reasoning in blocks, opened and closed around their pieces."""

    def __init__(self) -> None:
        self._kind: type[AgentEvent] | None = None

    def events(self, events: Sequence[AgentEvent]) -> bytes:
        """One frame per event, and those between blocks."""
        frames = []
        for event in events:
            if type(event) is not self._kind:
                frames.append(self._turn_to(type(event)))
            frames.append(self._piece(event.text))
        return "".join(frames).encode("ascii")

    def _turn_to(self, kind: type[AgentEvent] | None) -> str:
        """The frames that close the block that is open, if one is, and open one of `kind`, if it is one."""
        frames = self._close() if self._kind is not None else ""
        self._kind = kind
        return frames + (self._open(kind) if kind is not None else "")

    @abstractmethod
    def _open(self, kind: type[AgentEvent]) -> str:
        """The frames that open a block."""

    @abstractmethod
    def _piece(self, text: str) -> str:
        """The frame of a piece of the open block."""

    @abstractmethod
    def _close(self) -> str:
        """The frames that close the open block."""


_random = Random()

# The content type of server-sent events (WHATWG HTML, section 9.2).
EVENT_STREAM = b"text/event-stream"
# A comment, which every reader of an event stream skips.
COMMENT = b": keep-alive\n\n"


# A str as an ASCII-only JSON string, written in C. It keeps U+0085, U+2028 and U+2029 off the wire, where
# ollama-python would split lines (httpx's iter_lines does), and lets lone surrogates pass.
quote = encode_basestring_ascii

_compact = json.JSONEncoder(separators=(",", ":"))


def to_json(value: Any) -> bytes:
    """One line of ASCII-only JSON, for everything but tokens."""
    return _compact.encode(value).encode("ascii")


def quick_json(value: Any) -> bytes:
    """The same, at a tenth of the cost, of what holds no fractions of others, whose exponents would look different."""
    try:
        made = msgspec.json.encode(value)
    except ValueError:
        # Half a character.
        return to_json(value)
    return made if made.isascii() and b"\x7f" not in made else to_json(value)


def named_event(name: str, data: dict[str, Any], write: Callable[[Any], bytes] = quick_json) -> str:
    """A server-sent event of a format that repeats the event's name as the `type` in its data."""
    return f"event: {name}\ndata: {write({'type': name, **data}).decode()}\n\n"


def new_id(prefix: str) -> str:
    """An id that nothing else has. It is no secret, so the kernel is not asked for it."""
    return f"{prefix}{_random.getrandbits(96):024x}"


def message_of(reason: AgentError) -> str:
    """What the user reads; never empty, since the Ollama CLI takes an empty error for success."""
    return str(reason) or reason.code.replace("_", " ")
