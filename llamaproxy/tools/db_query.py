"""`db_query`: one SQL statement on the operator's database."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..config.tools import DbQuery
from ..seams.gates import HOST
from ..seams.interfaces import ITool
from ..seams.types import Access, ToolContext
from .base import BuiltIn, schema
from .sql.databases import find_database
from .sql.statement import Bounds
from .threads import Abort, Workers

if TYPE_CHECKING:
    from .sql.statement import Verdict


@implementer(ITool)
class DbQueryTool(BuiltIn):
    """Runs what the gates have let through: a read on a connection that refuses writes."""

    name = "db_query"
    category = "db"

    def __init__(self, settings: DbQuery, password: str, home: Path, workers: Workers) -> None:
        self._target = find_database(settings.url, password, home)
        self._workers = workers
        self._bounds = Bounds(
            rows=settings.max_rows,
            bytes=settings.max_bytes,
            seconds=settings.statement_timeout,
            connect_seconds=settings.connect_timeout,
        )
        # The database ends the statement first, in its own words.
        self.timeout = settings.statement_timeout + settings.connect_timeout + 5.0
        self.description = (
            f"Runs one SQL statement on the user's {self._target.label} database and returns its rows as text, "
            f"at most {settings.max_rows}. Look at the schema first if you do not know it."
        )
        self.parameters = schema(
            ("sql",),
            sql={"type": "string", "description": f"One statement, in the SQL of {self._target.label}."},
        )

    def start(self) -> None:
        """Loads the parser and the driver, which takes a while, where it holds up nobody."""
        self._workers.run(self._load).addErrback(lambda _: None)  # a call will say what is wrong

    def stop(self) -> None:
        """Ends the statements that run."""
        self._workers.stop()

    def access(self, arguments: dict[str, Any]) -> Access:
        """The tables that the statement reads and writes."""
        verdict = self._verdict(arguments["sql"])
        powers = verdict.powers
        writes = bool(verdict.writes) or HOST in powers
        return Access(
            operation="write" if writes else "read",
            gate=self.name,
            reads=verdict.reads if writes else (*verdict.reads, *powers),
            writes=(*verdict.writes, *powers) if writes else (),
            shows=verdict.shows,
            schema=self._target.schema,
            doubt=sha256(arguments["sql"].encode()).hexdigest() if verdict.is_doubtful else "",
        )

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Runs the statement in a thread."""
        sql = arguments["sql"]
        return self._workers.run(
            lambda abort: self._target.open().run(self._verdict(sql), self._bounds, abort, context.leave)
        )

    def _verdict(self, sql: str) -> "Verdict":
        from .sql.guard import classify

        return classify(sql, self._target.dialect, self._target.schema)

    def _load(self, abort: Abort) -> None:
        self._verdict("SELECT 1")
        self._target.open()
