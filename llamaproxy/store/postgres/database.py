"""The sessions' tables in PostgreSQL, over one connection that blocks; `store` keeps it off the reactor's thread."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...seams.errors import StoreError
from ..reading import Reading
from ..writing import Writing
from .connection import Connection
from .schema import MIGRATION_LOCK, MIGRATIONS


class Superseded(StoreError):
    """Another node has the turn of the session now; nothing was written."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message or "another node of the server has taken this conversation over; send it again"
        )


class Versions(Reading):
    """Knows how often a session was written."""

    def version(self, session_id: str) -> int:
        """How often the session was written; 0 for one that is not there."""
        row = self.connection.execute(
            "SELECT version FROM sessions WHERE session_id = ?", (session_id,)
        ).fetchone()
        return int(row[0]) if row else 0


class Reader(Versions):
    """A connection to read with."""

    connection: Connection

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.connection = Connection(arguments)
        self.connection.execute("SET default_transaction_read_only = on")


class Database(Writing, Versions):
    """A connection to write with. `held` are the tickets of the sessions whose turn this node has."""

    connection: Connection

    def __init__(self, arguments: dict[str, Any], now: Callable[[], float], held: Mapping[str, int]) -> None:
        self.now = now
        self._held = held
        # The version that the last transaction has made, None if it wrote nothing of the session.
        self.written: int | None = None
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
            if (ticket := self._held.get(session_id)) is not None:
                # The lock keeps whoever wants to take it over waiting for this commit.
                mine = self.connection.execute(
                    "SELECT 1 FROM turns WHERE session_id = ? AND ticket = ? FOR SHARE", (session_id, ticket)
                )
                if mine.fetchone() is None:
                    raise Superseded
            yield self.connection
            row = self.connection.execute(
                "UPDATE sessions SET version = version + 1 WHERE session_id = ? RETURNING version",
                (session_id,),
            ).fetchone()
            self.written = int(row[0]) if row else None

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
