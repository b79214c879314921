"""PostgreSQL servers, each statement on a connection of its own."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from ...seams.errors import ToolError
from ...seams.gates import Leave
from ..threads import Abort
from .relations import Relations
from .server import Server
from .statement import Bounds, Verdict
from .table import Table, changed

# Rows fetched at a time, so that a wide result does not come as a whole.
_FETCH = 10
_QUERIES = ("select", "with", "values", "table", "(")
# Classes of errors: about data, of a function's own making.
_QUOTING = ("22", "P0")
_TRIAL = "llamaproxy"
_PLANNED = ("insert", "update", "delete", "merge", "with")


class PostgresDatabase:
    """One database of a server. Reads run in a read-only transaction and through a cursor."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, verdict: Verdict, bounds: Bounds, abort: Abort, leave: Leave | None) -> str:
        """Runs one statement, blocking. Raises `ToolError`."""
        raw = self._server.connect(bounds.connect_seconds, abort)
        with closing(raw):
            try:
                with closing(self._connection(raw, bounds)) as connection:
                    looks = None
                    if leave is not None:
                        looks = Relations(connection, leave, verdict.only_describes)
                    if verdict.writes:
                        return self._write(connection, verdict.text, bounds, looks)
                    return self._read(connection, verdict, bounds, looks)
            except DatabaseError as error:
                raise _told(error, leave is not None and verdict.is_doubtful) from None
            except (InterfaceError, OSError) as error:
                if abort.called:
                    raise ToolError("the statement was cancelled") from None
                raise ToolError(f"the connection to the database broke: {error}") from None

    def _connection(self, raw: Any, bounds: Bounds) -> Connection:
        server = self._server
        connection = Connection(
            server.user,
            host=server.host,
            database=server.database or None,
            password=server.password or None,
            ssl_context=server.tls() or False,
            application_name="llamaproxy",
            sock=raw,
        )
        raw.settimeout(bounds.seconds + bounds.connect_seconds)
        connection.run(
            f"SET statement_timeout = {int(bounds.seconds * 1000)}; SET standard_conforming_strings = on"
        )
        # So that a statement does not outlive a call that was cancelled; servers before 14 do not have it.
        connection.run(
            "SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'"
        )
        return connection

    def _read(self, connection: Connection, verdict: Verdict, bounds: Bounds, looks: Relations | None) -> str:
        text = verdict.text
        is_query = text.lower().startswith(_QUERIES)
        if looks is not None and is_query:
            looks.foresee(text, verdict.reads)
        connection.run("BEGIN READ ONLY")
        table = Table(bounds.rows, bounds.bytes)
        if not is_query:
            context = connection.execute_unnamed(text)
            result = table.fill(_names(context.columns), context.rows or ())
        else:
            # Unlike `run`, this takes one statement only, whatever is in the text.
            connection.execute_unnamed(f"DECLARE llamaproxy NO SCROLL CURSOR FOR {text}")
            if looks is not None:
                looks.hold()
            connection.run("FETCH 0 FROM llamaproxy")
            result = table.fill(_names(connection.columns), _fetched(connection, bounds))
        if looks is not None:
            looks.hold()
        return result

    def _write(self, connection: Connection, text: str, bounds: Bounds, looks: Relations | None) -> str:
        if looks is None:
            return _done(connection, text, bounds)
        connection.run("BEGIN")
        if text.lower().startswith(_PLANNED):
            connection.execute_unnamed(f"EXPLAIN {text}")
            looks.hold()
        else:
            connection.run(f"SAVEPOINT {_TRIAL}")
            _kept(connection, text, bounds)
            looks.hold(_TRIAL)
        result = _kept(connection, text, bounds)
        looks.hold()
        connection.run("COMMIT")
        return result


def _told(error: DatabaseError, discreet: bool) -> ToolError:
    """The database's words; to be `discreet`, not those in which it quotes values."""
    what = error.args[0] if error.args else ""
    if not isinstance(what, dict):
        return ToolError(f"the database says: {what}")
    code = str(what.get("C", ""))
    if discreet and code.startswith(_QUOTING):
        return ToolError(f"the database refused it with the error {code}")
    return ToolError(f"the database says: {what.get('M', what)}")


def _kept(connection: Connection, text: str, bounds: Bounds) -> str:
    """Runs it with what triggers would put off to the end of the transaction."""
    result = _done(connection, text, bounds)
    connection.run("SET CONSTRAINTS ALL IMMEDIATE")
    return result


def _done(connection: Connection, text: str, bounds: Bounds) -> str:
    context = connection.execute_unnamed(text)
    if context.columns:
        return Table(bounds.rows, bounds.bytes).fill(_names(context.columns), context.rows)
    return changed(context.row_count)


def _fetched(connection: Connection, bounds: Bounds) -> Iterator[Sequence[Any]]:
    until = time.monotonic() + bounds.seconds  # the server's limit is for each FETCH
    while rows := connection.run(f"FETCH {_FETCH} FROM llamaproxy"):
        yield from rows
        if time.monotonic() > until:
            raise ToolError(f"the statement was ended after {bounds.seconds:g} seconds")


def _names(columns: Any) -> list[str]:
    return [column["name"] for column in columns or ()]
