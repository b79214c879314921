"""The sessions' tables in PostgreSQL, over one connection that blocks; `threads` keep it off the reactor's."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ...seams.errors import StoreError
from ..reading import Reading, Rows
from ..writing import Writing
from .connection import Connection
from .schema import MIGRATION_LOCK, MIGRATIONS

# A session's model, and its other settings as JSON.
Settings = tuple[str, str]


class Superseded(StoreError):
    """Another node has the turn of the session now; nothing was written."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "The part of the server that answered was cut off from the conversations, and another one may have "
            "gone on with this one meanwhile. Nothing of this answer was kept; send the message again."
        )


T = TypeVar("T")


def value_of(rows: Rows, otherwise: T) -> T:
    """The one value of a result, or another one if there is no row."""
    row = rows.fetchone()
    return otherwise if row is None else row[0]


class Versions(Reading):
    """Knows what was written last of a session."""

    def ask_version(self, session_id: str) -> Rows:
        """Another number whenever something was written of the session; none for one that is not there."""
        return self.connection.execute("SELECT version FROM sessions WHERE session_id = ?", (session_id,))

    def version(self, session_id: str) -> int:
        """The same; 0 for a session that is not there."""
        return value_of(self.ask_version(session_id), 0)


class Reader(Versions):
    """A connection to read with."""

    connection: Connection

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.connection = Connection(arguments)
        self.connection.execute("SET default_transaction_read_only = on")


class Database(Writing, Versions):
    """A connection to write with.

    Whoever uses it sets `ticket` before, to that of the session's turn if this node has it, and finds in `written` the
    session's version before and after the last transaction.
    """

    connection: Connection

    def __init__(self, arguments: dict[str, Any], now: Callable[[], float]) -> None:
        self.now = now
        self.ticket: int | None = None
        self.written: tuple[int, int] | None = None
        self.connection = Connection(arguments)
        try:
            self._migrate()
        except BaseException:
            self.connection.close()
            raise

    @contextmanager
    def transaction(self, session_id: str) -> Iterator[Connection]:
        """See `Writing`. Raises `Superseded` if another node has taken the session's turn over meanwhile."""
        with self.connection.transaction():
            if self.ticket is not None:
                # The lock keeps whoever wants to take it over waiting for this commit.
                mine = self.connection.execute(
                    "SELECT 1 FROM turns WHERE session_id = ? AND ticket = ? FOR SHARE",
                    (session_id, self.ticket),
                )
                if mine.fetchone() is None:
                    raise Superseded
            yield self.connection
            row = self.connection.execute(
                """
                UPDATE sessions SET version = nextval('versions')
                FROM (SELECT version AS was FROM sessions WHERE session_id = ? FOR UPDATE) AS before
                WHERE session_id = ? RETURNING was, version
                """,
                (session_id, session_id),
            ).fetchone()
            self.written = (row[0], row[1]) if row else (0, 0)

    def change_settings(self, session_id: str, known: Settings, wanted: Settings) -> None:
        """Saves how the `wanted` settings differ from those that were `known`, and leaves alone what others changed."""
        with self.transaction(session_id) as connection:
            row = connection.execute(
                "SELECT model, settings FROM sessions WHERE session_id = ? FOR UPDATE", (session_id,)
            ).fetchone()
            model, settings = wanted if row is None else _merged(known, wanted, (row[0], row[1]))
            self._keep_settings(session_id, model, settings)

    def _migrate(self) -> None:
        with self.connection.transaction():
            self.connection.execute("SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))
            self.connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)")
            row = self.connection.execute("SELECT version FROM schema_version").fetchone()
            version = row[0] if row else 0
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"the store was written by a newer llamaproxy (schema {version}, this one knows "
                    f"{len(MIGRATIONS)}); upgrade all nodes"
                )
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    self.connection.execute(statement)
            if row is None:
                self.connection.execute("INSERT INTO schema_version VALUES (?)", (len(MIGRATIONS),))
            elif version < len(MIGRATIONS):
                self.connection.execute("UPDATE schema_version SET version = ?", (len(MIGRATIONS),))


def _merged(known: Settings, wanted: Settings, there: Settings) -> Settings:
    """What is there, with the changes that lead from the known to the wanted."""
    if there == known:
        return wanted
    before, after, now = (json.loads(settings) for _, settings in (known, wanted, there))
    for key in {*before, *after}:
        if key not in after:
            now.pop(key, None)
        elif after[key] != before.get(key):
            now[key] = after[key]
    return wanted[0] if wanted[0] != known[0] else there[0], json.dumps(now)
