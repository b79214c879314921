"""MySQL and MariaDB servers, each statement on a connection of its own."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

from pymysql import MySQLError
from pymysql.connections import Connection
from pymysql.cursors import SSCursor

from ...seams.errors import ToolError
from ...seams.gates import Leave
from ..threads import Abort
from .definitions import Definitions
from .plans import Plans
from .server import Server
from .statement import Bounds, Verdict
from .table import Table, changed

# Fixed, since it decides what is a string and what a name; the guard reads statements in this mode.
_SQL_MODE = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"


class MysqlDatabase:
    """One database of a server. Reads run in a read-only transaction, and their rows come one by one."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, verdict: Verdict, bounds: Bounds, abort: Abort, leave: Leave | None) -> str:
        """Runs one statement, blocking. Raises `ToolError`."""
        raw = self._server.connect(bounds.connect_seconds, abort)
        with closing(raw):
            try:
                with closing(self._connection(raw, bounds)) as connection:
                    return self._run(connection, verdict, bounds, leave)
            except MySQLError as error:
                if abort.called:
                    raise ToolError("the statement was cancelled") from None
                raise ToolError(f"the database says: {error.args[-1] if error.args else error}") from None
            except OSError as error:
                raise ToolError(f"the connection to the database broke: {error}") from None

    def _connection(self, raw: Any, bounds: Bounds) -> "Connection[_Rows]":
        server = self._server
        tls = server.tls()
        connection = Connection(
            host=server.host,
            user=server.user,
            password=server.password,
            database=server.database or None,
            charset="utf8mb4",
            sql_mode=_SQL_MODE,
            autocommit=True,
            read_timeout=bounds.seconds + bounds.connect_seconds,
            write_timeout=bounds.connect_seconds,
            cursorclass=_Rows,
            ssl=tls,
            ssl_disabled=tls is None,
            defer_connect=True,
        )
        connection.connect(raw)
        # MySQL itself limits only SELECT.
        limit = (
            f"max_statement_time = {bounds.seconds}"
            if _is_mariadb(connection)
            else f"max_execution_time = {int(bounds.seconds * 1000)}"
        )
        connection.query(f"SET SESSION {limit}, innodb_lock_wait_timeout = {max(1, int(bounds.seconds))}")
        return connection

    def _run(
        self, connection: "Connection[_Rows]", verdict: Verdict, bounds: Bounds, leave: Leave | None
    ) -> str:
        ask, schema = partial(_rows, connection), self._server.database
        definitions = None if leave is None else Definitions(ask, leave, schema)
        if definitions is not None:
            definitions.hold(verdict)
        if leave is None and verdict.writes:
            return _done(connection, verdict.text, bounds)
        # What is looked at stays locked until the statement has run.
        connection.query(f"START TRANSACTION{'' if verdict.writes else ' READ ONLY'}")
        if leave is not None and definitions is not None:
            Plans(ask, leave, schema, definitions, _is_mariadb(connection)).hold(verdict)
        result = _done(connection, verdict.text, bounds, to_end=bool(verdict.writes))
        if verdict.writes:
            connection.commit()
        return result


def _is_mariadb(connection: "Connection[_Rows]") -> bool:
    return "mariadb" in connection.get_server_info().lower()


def _done(connection: "Connection[_Rows]", text: str, bounds: Bounds, to_end: bool = False) -> str:
    """Runs a statement; `to_end` reads also the rows that are not shown, without which nothing can follow."""
    cursor = connection.cursor()
    try:
        cursor.execute(text)
        if cursor.description is None:
            return changed(cursor.rowcount)
        columns = [column[0] for column in cursor.description]
        return Table(bounds.rows, bounds.bytes).fill(columns, cursor)
    finally:
        if to_end:
            cursor.close()
        else:
            cursor.leave()


def _rows(connection: "Connection[_Rows]", query: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return list(cursor.fetchall())


class _Rows(SSCursor):
    """A cursor that can leave the rest of its rows; by itself it would read them all when it is closed."""

    def leave(self) -> None:
        """Nothing more is read; the connection can only be closed then."""
        result: Any = self._result  # type: ignore[has-type]
        if result is not None:
            result.unbuffered_active = False
        self._result = self.connection = None  # type: ignore[assignment]
