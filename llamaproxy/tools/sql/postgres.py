"""PostgreSQL servers, each statement on a connection of its own."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from ...seams.errors import ToolError
from ..threads import Abort
from .server import Server
from .statement import Bounds, Verdict
from .table import Table, changed

# Rows fetched at a time, so that a wide result does not come as a whole.
_FETCH = 10
_QUERIES = ("select", "with", "values", "table", "(")


class PostgresDatabase:
    """One database of a server. Reads run in a read-only transaction and through a cursor."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, verdict: Verdict, bounds: Bounds, abort: Abort) -> str:
        """Runs one statement, blocking. Raises `ToolError`."""
        raw = self._server.connect(bounds.connect_seconds, abort)
        with closing(raw):
            try:
                with closing(self._connection(raw, bounds)) as connection:
                    if verdict.writes:
                        return self._write(connection, verdict.text, bounds)
                    return self._read(connection, verdict.text, bounds)
            except DatabaseError as error:
                what = error.args[0] if error.args else ""
                raise ToolError(
                    f"the database says: {what.get('M', what) if isinstance(what, dict) else what}"
                ) from None
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

    def _read(self, connection: Connection, text: str, bounds: Bounds) -> str:
        connection.run("BEGIN READ ONLY")
        table = Table(bounds.rows, bounds.bytes)
        if not text.lower().startswith(_QUERIES):
            context = connection.execute_unnamed(text)
            return table.fill(_names(context.columns), context.rows or ())
        # Unlike `run`, this takes one statement only, whatever is in the text.
        connection.execute_unnamed(f"DECLARE llamaproxy NO SCROLL CURSOR FOR {text}")
        connection.run("FETCH 0 FROM llamaproxy")
        return table.fill(_names(connection.columns), _fetched(connection, bounds))

    def _write(self, connection: Connection, text: str, bounds: Bounds) -> str:
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
