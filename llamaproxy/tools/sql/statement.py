"""What is said of one SQL statement before it runs, and how much it may take then."""

from typing import Literal, Protocol

from msgspec import Struct

from ..threads import Abort

Dialect = Literal["sqlite", "postgres", "mysql"]


class Verdict(Struct, frozen=True, kw_only=True):
    """What a statement touches; table names without the default schema, folded as the database folds them.

    One that may change something has `writes`. One that only describes the database (SHOW, `SELECT 1`) has neither.
    `text` is what to send: of a statement that only reads, it has no comments.
    """

    text: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


class Bounds(Struct, frozen=True, kw_only=True):
    """How much a statement may give and take: rows, bytes of text, seconds; and seconds for connecting."""

    rows: int = 100
    bytes: int = 32 * 1024
    seconds: float = 20.0
    connect_seconds: float = 5.0


class Database(Protocol):
    """One database."""

    def run(self, verdict: Verdict, bounds: Bounds, abort: Abort) -> str:
        """Runs one statement, blocking; without writes in the `verdict`, on a connection that refuses them.

        Gives the rows as text, or what was done. Raises `ToolError`; ends early when aborted.
        """
