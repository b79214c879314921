"""The sessions' database: its schema and its statements, all blocking; `sqlite` keeps them off the reactor's thread."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ..seams.errors import StoreError
from ..seams.surrogates import joined
from ..seams.types import Message, StoredSession

# That SQLite takes.
LARGEST_INTEGER = 2**63 - 1

# Each entry leads from the schema version that is its index to the next.
#
# `message_count` is also the next message's `seq`, so that no statement ever counts or searches a history. `rest` is
# JSON of what most messages lack: images, tool calls, `interrupted`.
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE sessions (
            session_id TEXT PRIMARY KEY,
            model TEXT NOT NULL DEFAULT '',
            settings TEXT NOT NULL DEFAULT '{}',
            message_count INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            last_active REAL NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE messages (
            session_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            rest TEXT,
            PRIMARY KEY (session_id, seq)
        ) WITHOUT ROWID
        """,
    ),
)


class Database:
    """One connection; belongs to the thread that made it. `now` gives Unix seconds."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._now = now
        # SQLite would make the file with the umask's mode; its -wal and -shm files take after this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Transactions are begun by hand. The timeout is for another process in the file, a backup say.
        self.connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        try:
            self.connection.execute("PRAGMA journal_mode = WAL")
            # A commit is then in the kernel's hands when it returns, where killing this process cannot undo it; only
            # a power cut may take the last turns, and never the file's integrity. FULL would add an fsync per turn.
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate(path)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Ends the connection, which also folds the write-ahead log into the file."""
        self.connection.close()

    def load(self, session_id: str, limit: int) -> StoredSession | None:
        """The session with its newest `limit` messages; reads no others."""
        row = self.connection.execute(
            "SELECT model, settings, message_count, created_at, last_active FROM sessions WHERE session_id = ?",
            (session_id,),
        ).fetchone()
        if row is None:
            return None
        model, settings, message_count, created_at, last_active = row
        newest_first = self.connection.execute(
            "SELECT role, content, rest FROM messages WHERE session_id = ? ORDER BY seq DESC LIMIT ?",
            (session_id, max(0, min(limit, LARGEST_INTEGER))),
        ).fetchall()
        return StoredSession(
            session_id=session_id,
            model=model,
            settings=json.loads(settings),
            messages=tuple(_from_row(*row) for row in reversed(newest_first)),
            message_count=message_count,
            created_at=created_at,
            last_active=last_active,
        )

    def append(self, session_id: str, messages: Sequence[Message]) -> None:
        """Adds messages; a turn is two short statements and their commit, however long the history is."""
        now = self._now()
        with self._transaction() as connection:
            [(count,)] = connection.execute(
                """
                INSERT INTO sessions (session_id, message_count, created_at, last_active) VALUES (?, ?, ?, ?)
                ON CONFLICT (session_id) DO UPDATE SET
                    message_count = message_count + excluded.message_count, last_active = excluded.last_active
                RETURNING message_count
                """,
                (session_id, len(messages), now, now),
            ).fetchall()
            connection.executemany(
                "INSERT INTO messages (session_id, seq, role, content, rest) VALUES (?, ?, ?, ?, ?)",
                [
                    (session_id, seq, *_to_row(message))
                    for seq, message in enumerate(messages, count - len(messages))
                ],
            )

    def save_settings(self, session_id: str, model: str, settings: str) -> None:
        """Keeps the model and the settings, which are JSON; makes the session if it is new."""
        now = self._now()
        with self._transaction() as connection:
            connection.execute(
                """
                INSERT INTO sessions (session_id, model, settings, created_at, last_active) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (session_id) DO UPDATE SET
                    model = excluded.model, settings = excluded.settings, last_active = excluded.last_active
                """,
                (session_id, model, settings, now, now),
            )

    def clear(self, session_id: str) -> int:
        """Forgets the messages; how many those were."""
        with self._transaction() as connection:
            connection.execute("UPDATE sessions SET message_count = 0 WHERE session_id = ?", (session_id,))
            return connection.execute("DELETE FROM messages WHERE session_id = ?", (session_id,)).rowcount

    def rewind(self, session_id: str, keep: int) -> int:
        """Forgets all but the oldest `keep` messages; how many went."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE sessions SET message_count = min(message_count, ?) WHERE session_id = ?",
                (keep, session_id),
            )
            return connection.execute(
                "DELETE FROM messages WHERE session_id = ? AND seq >= ?", (session_id, keep)
            ).rowcount

    def delete(self, session_id: str) -> bool:
        """Forgets the session; whether there was one."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM messages WHERE session_id = ?", (session_id,))
            return connection.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,)).rowcount > 0

    def _migrate(self, path: Path) -> None:
        # Under the write lock, so that of two processes only one migrates, and a read-only file is found at once.
        with self._transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(_MIGRATIONS):
                raise StoreError(
                    f"the session database {path} was written by a newer llamaproxy"
                    f" (schema {version}, this one knows {len(_MIGRATIONS)}); upgrade, or move the file away"
                )
            for statements in _MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits at the end, or rolls back."""
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection


def _to_row(message: Message) -> tuple[str, str, str | None]:
    fields = msgspec.to_builtins(message)
    role, content = fields.pop("role"), fields.pop("content")
    # A model that cuts an emoji in half must not cost the turn, and half an emoji would only break the next prompt.
    return role, joined(content), joined(json.dumps(fields, ensure_ascii=False)) if fields else None


def _from_row(role: str, content: str, rest: str | None) -> Message:
    fields = json.loads(rest) if rest else {}
    return msgspec.convert({"role": role, "content": content, **fields}, Message)
