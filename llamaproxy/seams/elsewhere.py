"""What the processes of one server ask of each other for their operator, who looks at one of them and means all."""

from msgspec import Struct, field
from twisted.internet.defer import Deferred
from zope.interface import Interface

from .oversight import Account, CallerTally, Conversing, Decision, Health, Point, Question, Reloaded, Stream
from .records import Record


class LogLine(Struct, frozen=True, kw_only=True):
    """One line of the log; `at` is in Unix seconds."""

    number: int
    at: float
    level: str
    text: str


class View(Struct, frozen=True, kw_only=True):
    """What one process sees of itself. `number` counts the processes from 0, `records` are those behind one named.

    `answering` counts streams, of which `paused` wait for a slow reader; `unsent` bytes wait for clients. Of `known`
    sessions in memory, `sessions` are those that were active last.
    """

    number: int = 0
    pid: int = 0
    uptime: int = 0
    connections: int = 0
    answering: int = 0
    paused: int = 0
    unsent: int = 0
    memory: int = 0
    known: int = 0
    streams: tuple[Stream, ...] = ()
    sessions: tuple[Conversing, ...] = ()
    questions: tuple[Question, ...] = ()
    health: tuple[Health, ...] = ()
    callers: tuple[CallerTally, ...] = ()
    accounts: tuple[Account, ...] = ()
    points: tuple[Point, ...] = ()
    listened: dict[str, float] = field(default_factory=dict)
    newest: int = 0
    records: tuple[Record, ...] = ()


class See(Struct, frozen=True, tag=True):
    """What is there to see; `since` is the newest record of each process that is known already."""

    since: dict[int, int]


class Decide(Struct, frozen=True, tag=True):
    """A question for leave is answered."""

    session_id: str
    code: str
    decision: Decision


class End(Struct, frozen=True, tag=True):
    """The turn that runs in a session is to end."""

    session_id: str


class KeepWords(Struct, frozen=True, tag=True):
    """The words of a session are kept for a while."""

    session_id: str
    seconds: float


class Find(Struct, frozen=True, tag=True):
    """The records of a session or a request; "" for the newest, of which so many are wanted."""

    of: str
    most: int = 1


class Seek(Struct, frozen=True, tag=True):
    """Sessions in memory whose id has that in it."""

    like: str


Errand = See | Decide | End | KeepWords | Find | Seek


class Finding(Struct, frozen=True, kw_only=True):
    """What came of an errand in one process."""

    view: View | None = None
    done: bool = False
    records: tuple[Record, ...] = ()
    sessions: tuple[Conversing, ...] = ()


class Log(Struct, frozen=True, kw_only=True):
    """Lines of the log behind one named, and the newest warnings."""

    lines: tuple[LogLine, ...] = ()
    warnings: tuple[LogLine, ...] = ()


class ILog(Interface):
    """The last lines of the log of the whole server."""

    def read(after: int, wait: bool) -> Deferred[Log]:
        """Those behind that one; with `wait` fires once there is one, or some time has passed."""


class IElsewhere(ILog):
    """The other processes of this server."""

    def ask(errand: Errand) -> Deferred[list[Finding]]:
        """What all others answer that do so in time. Never fails."""

    def reload() -> Deferred[Reloaded]:
        """Has all processes read the operator's files again, this one too."""
