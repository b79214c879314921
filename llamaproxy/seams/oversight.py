"""What the operator's console sees of a server, and the few things that it may do."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import Interface

from .gates import Kind, Side
from .records import Record
from .types import ModelInfo, Rights

Decision = Literal["yes", "no", "always"]
ModelChange = Literal["on", "off", "default"]


class Stream(Struct, frozen=True, kw_only=True):
    """A turn under way; `pieces` of its newest answer have come so far, `rate` of them a second lately."""

    request_id: str
    session_id: str
    model: str
    client: str
    seconds: float
    first: float | None
    pieces: int
    is_paused: bool
    pauses: int
    waits: bool
    rate: float = 0.0


class Conversing(Struct, frozen=True, kw_only=True):
    """A session in memory; `active` is when it was last, by the steady clock; `waiting` counts turns."""

    session_id: str
    short_id: int
    address: str
    model: str
    messages: int
    active: float
    waiting: int


class Question(Struct, frozen=True, kw_only=True):
    """A question for leave: what wants to run, and the seconds for which it still stands."""

    session_id: str
    code: str
    calls: tuple[str, ...]
    seconds: float
    is_heard: bool


class Switch(Struct, frozen=True, kw_only=True):
    """One side of a gate as it stands for sessions that have not set it; `group` is a tool's category."""

    kind: Kind
    name: str
    group: str
    side: Side
    allowed: bool


class Health(Struct, kw_only=True):
    """How a model does: its turns and failures, when it last answered and failed (Unix seconds), its last speed."""

    model: str
    asked: int = 0
    failed: int = 0
    answered_at: float | None = None
    failed_at: float | None = None
    error: str = ""
    first: float | None = None
    rate: float | None = None

    @property
    def is_well(self) -> bool:
        """Whether the last time was a good one."""
        return self.failed_at is None or (self.answered_at or 0.0) > self.failed_at


class CallerTally(Struct, kw_only=True):
    """What one caller took so far; `seen` is in Unix seconds."""

    caller: str
    turns: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seen: float = 0.0


class Account(Struct, frozen=True, kw_only=True):
    """What a caller has used of what their profile grants; a limit of 0 is none."""

    caller: str
    profile: str
    hour: int = 0
    per_hour: int = 0
    day: int = 0
    per_day: int = 0


class Person(Struct, frozen=True, kw_only=True):
    """A profile of callers: `by` a key or a network; `commands` is "" for those that everybody may use."""

    name: str
    by: str
    commands: str = ""
    operator: bool = False
    per_hour: int = 0
    per_day: int = 0


class Written(Struct, frozen=True, kw_only=True):
    """What the operator's files say: the model that sessions begin with, those that are off, the profiles."""

    default: str = ""
    off: tuple[str, ...] = ()
    people: tuple[Person, ...] = ()


class Point(Struct, frozen=True, kw_only=True):
    """One minute of the last hour; None where there was nothing to measure. `at` is in Unix seconds."""

    at: float
    turns: int
    failed: int
    first: float | None
    rate: float | None
    live: int
    memory: int


class Reloaded(Struct, frozen=True, kw_only=True):
    """What came of reading the operator's files again: whether they hold now, and lines that tell about it."""

    taken: bool
    lines: tuple[str, ...] = ()


class IOversight(Interface):
    """The agent, as its operator looks after it."""

    def streams() -> Sequence[Stream]:
        """Turns under way, oldest first."""

    def sessions(most: int, like: str = "") -> Sequence[Conversing]:
        """Sessions in memory whose id has `like` in it, at most so many, those that were active last first."""

    def count_sessions() -> int:
        """How many sessions are in memory."""

    def questions() -> Sequence[Question]:
        """Questions for leave that stand open."""

    def decide(session_id: str, code: str, decision: Decision) -> Deferred[bool]:
        """Answers a question; fires with whether it was open. The turn goes on in the reply that asked, if it waits."""

    def stop(session_id: str) -> Deferred[bool]:
        """Ends the turn that runs in a session; fires with whether there was one."""

    def switches() -> Sequence[Switch]:
        """The gates of tools, and of what the operator has set by name."""

    def set_switch(kind: Kind, name: str, side: Side, allowed: bool) -> Deferred[None]:
        """Opens or closes one for all sessions that have not set it themselves."""

    def models() -> Sequence[ModelInfo]:
        """All models, those that make embeddings too."""

    def nodes() -> Sequence[str]:
        """What the other servers are called that share the store."""

    def accounts() -> Sequence[Account]:
        """What those have used whose profile has a limit."""

    def watch(present: bool) -> None:
        """Somebody looks, or looks no more: a reply that asks for leave waits while somebody may give it."""


class IFiles(Interface):
    """The operator's files, as far as the console writes into them."""

    def operator_key() -> str:
        """The key that makes its holder the operator."""

    def keep_gate(kind: Kind, name: str, side: Side, allowed: bool) -> Deferred[None]:
        """Writes down how a gate stands for everybody."""

    def set_model(key: str, to: ModelChange) -> Deferred[None]:
        """Writes it into a model's entry. Fails with `BadRequest` where that cannot be."""

    def add_caller(name: str, key: str, commands: Rights | None) -> Deferred[str]:
        """Makes a profile for the holder of a key, by a name like that one; fires with its name."""

    def remove_caller(name: str, key: str) -> Deferred[None]:
        """Takes a profile out again that was made for the holder of that key; leaves it if it has another one now."""

    def written() -> Written:
        """What the server goes by now, as far as the console shows it."""


class IRecords(Interface):
    """The records of turns, for the operator."""

    def live() -> Iterable[Record]:
        """Those of turns under way, oldest first."""

    def of(session_id: str) -> Sequence[Record]:
        """Those that a session left, newest first."""

    def find(request_id: str) -> Record | None:
        """The record of a request, also one under way."""

    def since(number: int, most: int) -> tuple[int, Sequence[Record]]:
        """The number of the newest record, and those behind `number`, oldest first."""

    def keep_words(session_id: str, seconds: float) -> None:
        """Keeps the words of a session's turns from now on, for so long; 0 ends it."""

    def listened() -> dict[str, float]:
        """The sessions whose words are kept now, and until when (Unix seconds)."""

    def health(model: str) -> Health:
        """How a model does, as far as its turns told."""

    def callers() -> Sequence[CallerTally]:
        """Who asked, the newest last."""

    def look(live: int, memory: int) -> None:
        """So many streams run now, and the process takes so many bytes."""

    def points() -> Sequence[Point]:
        """The last hour, minute by minute."""
