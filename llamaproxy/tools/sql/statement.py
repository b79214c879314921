"""What is said of one SQL statement before it runs, and how much it may take then."""

from typing import Literal, Protocol

from msgspec import Struct

from ...seams.gates import UNKNOWN, Leave
from ..threads import Abort

Dialect = Literal["sqlite", "postgres", "mysql"]

# How statements begin that only describe.
_DESCRIBING = ("expl", "show", "desc", "prag")


class Verdict(Struct, frozen=True, kw_only=True):
    """What a statement touches; table names without the default schema, folded as the database folds them.

    One that may change something has `writes`. One that only describes the database (SHOW, `SELECT 1`) has neither.
    `text` is what to send: of a statement that only reads, it has no comments. `shows` are tables of which something
    may show (a description, what an index keeps), and names that may turn out to be tables. `powers` is what lies
    beyond tables: `HOST`, `ACCOUNTS`.
    """

    text: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    powers: tuple[str, ...] = ()

    @property
    def only_describes(self) -> bool:
        """Whether it tells of tables and does not look into them."""
        return not (self.reads or self.writes) and self.text[:4].lower() in _DESCRIBING

    @property
    def is_doubtful(self) -> bool:
        """Whether it may do what nobody can tell beforehand."""
        return UNKNOWN in self.writes


class Bounds(Struct, frozen=True, kw_only=True):
    """How much a statement may give and take: rows, bytes of text, seconds; and seconds for connecting."""

    rows: int = 100
    bytes: int = 32 * 1024
    seconds: float = 20.0
    connect_seconds: float = 5.0


class Database(Protocol):
    """One database."""

    def run(self, verdict: Verdict, bounds: Bounds, abort: Abort, leave: Leave | None) -> str:
        """Runs one statement, blocking; without writes in the `verdict`, on a connection that refuses them.

        What it touches there is held against `leave`; None is for a person, who may do anything. Gives the rows as
        text, or what was done. Raises `ToolError`; ends early when aborted.
        """
