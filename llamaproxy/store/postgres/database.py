"""The sessions' tables in PostgreSQL, over one connection that blocks; `threads` keep it off the reactor's."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...seams.errors import StoreError
from ...seams.types import Message, Spot
from ..reading import Reading
from ..rows import to_row
from ..writing import Writing
from .connection import Connection
from .schema import MIGRATION_LOCK, MIGRATIONS

# A session's model, and its other settings as JSON.
Settings = tuple[str, str]


READ_ONLY = "SET default_transaction_read_only = on"
# A node that stands still in the middle of a transaction holds nobody up, and nobody waits for long in any case.
BOUNDS = "SET idle_in_transaction_session_timeout = 5000; SET lock_timeout = 8000"

# A turn in one statement, and so in one trip and a transaction of its own: whether it is still this node's (the lock
# keeps whoever wants to take it over waiting for the commit), the session with the version that it had before (-1 where
# somebody else made it in this very moment), its active branch, and its messages. That is `Writing.append` without a
# spot, with `Database.transaction` around it.
_APPEND = """
    WITH mine AS ({mine}),
    before AS (SELECT version FROM sessions WHERE session_id = ? FOR UPDATE),
    kept AS (
        INSERT INTO sessions (session_id, created_at, last_active, version)
        SELECT ?, ?, ?, nextval('versions') FROM mine LEFT JOIN before ON true
        ON CONFLICT (session_id) DO UPDATE SET last_active = excluded.last_active, version = excluded.version
        RETURNING branch, version, CASE WHEN xmax = 0 THEN 0 ELSE -1 END AS made
    ),
    grown AS (
        INSERT INTO branches (session_id, branch, length) SELECT ?, branch, ? FROM kept
        ON CONFLICT (session_id, branch) DO UPDATE SET length = branches.length + excluded.length
        RETURNING branch, length
    ),
    said AS (
        INSERT INTO messages (session_id, branch, seq, role, content, rest, place)
        SELECT ?, branch, length - ? + number - 1, role, content, rest, place
        FROM grown, unnest(?::text[], ?::text[], ?::text[], ?::text[])
            WITH ORDINALITY AS new (role, content, rest, place, number)
    )
    SELECT branch, coalesce((SELECT version FROM before), made), version FROM kept
"""
APPEND = _APPEND.format(mine="SELECT 1")
HELD_APPEND = _APPEND.format(mine="SELECT 1 FROM turns WHERE session_id = ? AND ticket = ? FOR SHARE")


class Superseded(StoreError):
    """Another node has the turn of the session now; nothing was written."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "The part of the server that answered was cut off from the conversations, and another one may have "
            "gone on with this one meanwhile. Nothing of this answer was kept; send the message again."
        )


class Versions(Reading):
    """Knows what was written last of a session."""

    def version(self, session_id: str) -> int:
        """Another number whenever something was written of the session; 0 for a session that is not there."""
        row = self.connection.execute(
            "SELECT version FROM sessions WHERE session_id = ?", (session_id,)
        ).fetchone()
        return 0 if row is None else row[0]


class Reader(Versions):
    """A connection to read with."""

    connection: Connection

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.connection = Connection(arguments)
        self.connection.set_up(READ_ONLY)


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
            # Behind the migration, for which nodes wait as long as it takes.
            self.connection.raw.execute(BOUNDS)
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

    def append(self, session_id: str, messages: Sequence[Message], after: Spot | None = None) -> int:
        """See `Writing`."""
        if after is not None:
            return super().append(session_id, messages, after)
        branch, self.written = self.ask_append(session_id, messages)()
        return branch

    def ask_append(
        self, session_id: str, messages: Sequence[Message]
    ) -> Callable[[], tuple[int, tuple[int, int]]]:
        """`append` at the end of the active branch in one statement, whose answer is looked at later.

        The answer is the branch, and what `written` is.
        """
        now, ticket = self.now(), self.ticket
        rows = [to_row(message) for message in messages]
        columns = [[row[column] for row in rows] for column in range(4)]
        written = self.connection.execute(
            APPEND if ticket is None else HELD_APPEND,
            (
                *(() if ticket is None else (session_id, ticket)),
                *(session_id, session_id, now, now, session_id, len(rows), session_id, len(rows)),
                *columns,
            ),
        )

        def answer() -> tuple[int, tuple[int, int]]:
            row = written.fetchone()
            if row is None:
                raise Superseded
            branch, before, version = row
            return branch, (before, version)

        return answer

    def change_settings(self, session_id: str, known: Settings, wanted: Settings) -> None:
        """Saves how the `wanted` settings differ from those that were `known`, and leaves alone what others changed."""
        with self.transaction(session_id) as connection:
            row = connection.execute(
                "SELECT model, settings FROM sessions WHERE session_id = ? FOR UPDATE", (session_id,)
            ).fetchone()
            model, settings = wanted if row is None else _merged(known, wanted, (row[0], row[1]))
            self._keep_settings(session_id, model, settings)

    def _migrate(self) -> None:
        [(encoding,)] = self.connection.execute("SHOW server_encoding").fetchall()
        if encoding != "UTF8":
            raise StoreError(
                f"the store's database keeps texts in {encoding}, which has no place for most of what people write; "
                "make one with ENCODING 'UTF8' TEMPLATE template0"
            )
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
