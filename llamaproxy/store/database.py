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
from ..seams.types import Branch, Message, Spot, StoredSession, Trace
from .schema import MIGRATIONS

# That SQLite takes.
LARGEST_INTEGER = 2**63 - 1

# Of the first words of a branch's own messages, and of the answers that `find` gives.
WORDS = 200
MOST_FOUND = 256


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
            """
            SELECT s.model, s.settings, s.branch, coalesce(b.length, 0), s.created_at, s.last_active
            FROM sessions s LEFT JOIN branches b ON b.session_id = s.session_id AND b.branch = s.branch
            WHERE s.session_id = ?
            """,
            (session_id,),
        ).fetchone()
        if row is None:
            return None
        model, settings, branch, length, created_at, last_active = row
        newest_first = self._newest(session_id, branch, length, max(0, min(limit, LARGEST_INTEGER)))
        return StoredSession(
            session_id=session_id,
            model=model,
            settings=json.loads(settings),
            messages=tuple(_from_row(*row) for row in reversed(newest_first)),
            message_count=length,
            created_at=created_at,
            last_active=last_active,
            branch=branch,
        )

    def append(self, session_id: str, messages: Sequence[Message], after: Spot | None = None) -> int:
        """Adds messages; a turn is a few short statements and their commit, however long the history is."""
        now = self._now()
        with self._transaction() as connection:
            [(active,)] = connection.execute(
                """
                INSERT INTO sessions (session_id, created_at, last_active) VALUES (?, ?, ?)
                ON CONFLICT (session_id) DO UPDATE SET last_active = excluded.last_active
                RETURNING branch
                """,
                (session_id, now, now),
            ).fetchall()
            branch = active
            if after is not None and (branch := self._branch_at(session_id, after)) != active:
                self._activate(session_id, branch, active)
            [(length,)] = connection.execute(
                """
                INSERT INTO branches (session_id, branch, length) VALUES (?, ?, ?)
                ON CONFLICT (session_id, branch) DO UPDATE SET length = length + excluded.length
                RETURNING length
                """,
                (session_id, branch, len(messages)),
            ).fetchall()
            connection.executemany(
                """
                INSERT INTO messages (session_id, branch, seq, role, content, rest, opening)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    (session_id, branch, seq, *_to_row(message))
                    for seq, message in enumerate(messages, length - len(messages))
                ],
            )
        return int(branch)

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

    def branches(self, session_id: str) -> list[Branch]:
        """All branches, by their numbers."""
        rows = self.connection.execute(
            """
            SELECT b.branch, b.start, b.length, coalesce(substr(m.content, 1, ?), ''), b.branch = s.branch
            FROM branches b
            JOIN sessions s ON s.session_id = b.session_id
            LEFT JOIN messages m ON m.session_id = b.session_id AND m.branch = b.branch AND m.seq = b.start
            WHERE b.session_id = ? ORDER BY b.branch
            """,
            (WORDS, session_id),
        )
        return [
            Branch(number=number, begins=start, length=length, words=words, active=bool(active))
            for number, start, length, words, active in rows
        ]

    def take_up(self, session_id: str, branch: int) -> bool:
        """Makes a branch the active one; whether there is such a branch."""
        with self._transaction() as connection:
            row = connection.execute(
                """
                SELECT s.branch FROM sessions s JOIN branches b ON b.session_id = s.session_id
                WHERE s.session_id = ? AND b.branch = ?
                """,
                (session_id, min(branch, LARGEST_INTEGER)),
            ).fetchone()
            if row is not None and row[0] != branch:
                self._activate(session_id, branch, row[0])
            return row is not None

    def step_back(self, session_id: str) -> int | None:
        """Makes the branch active that was so before the active one; its number, None if there was none."""
        with self._transaction() as connection:
            row = connection.execute(
                """
                SELECT b.left_branch FROM sessions s
                JOIN branches b ON b.session_id = s.session_id AND b.branch = s.branch
                WHERE s.session_id = ? AND b.left_branch IS NOT NULL
                """,
                (session_id,),
            ).fetchone()
            if row is None:
                return None
            self._activate(session_id, row[0])
            return int(row[0])

    def find(self, session_id: str, openings: Sequence[str]) -> list[Trace]:
        """The newest answers that began like one of these."""
        marks = ", ".join("?" * len(openings))
        rows = self.connection.execute(
            f"""
            SELECT role, content, rest, branch, seq FROM messages
            WHERE session_id = ? AND opening IN ({marks}) ORDER BY branch DESC, seq DESC LIMIT ?
            """,
            (session_id, *openings, MOST_FOUND),
        )
        found = ((_from_row(*row[:3]).given, Spot(row[3], row[4] + 1)) for row in rows)
        return [Trace(given, spot) for given, spot in found if given is not None]

    def clear(self, session_id: str) -> int:
        """Forgets the messages; how many those were."""
        with self._transaction() as connection:
            connection.execute("UPDATE sessions SET branch = 1 WHERE session_id = ?", (session_id,))
            return self._forget(session_id)

    def delete(self, session_id: str) -> bool:
        """Forgets the session; whether there was one."""
        with self._transaction() as connection:
            self._forget(session_id)
            return connection.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,)).rowcount > 0

    def _newest(self, session_id: str, branch: int, length: int, limit: int) -> list[tuple[str, str, str]]:
        """The rows of the newest messages, the last one first; goes down the tree no further than it has to."""
        rows: list[tuple[str, str, str]] = []
        below: int | None = branch
        while below is not None and len(rows) < limit:
            rows += self.connection.execute(
                """
                SELECT role, content, rest FROM messages
                WHERE session_id = ? AND branch = ? AND seq < ? ORDER BY seq DESC LIMIT ?
                """,
                (session_id, below, length, limit - len(rows)),
            ).fetchall()
            below, length = self._root_of(session_id, below)
        return rows

    def _root_of(self, session_id: str, branch: int) -> tuple[int | None, int]:
        """The branch from which this one went off, and after how many messages."""
        row = self.connection.execute(
            "SELECT parent, start FROM branches WHERE session_id = ? AND branch = ?", (session_id, branch)
        ).fetchone()
        return (None, 0) if row is None else (row[0], row[1])

    def _branch_at(self, session_id: str, spot: Spot) -> int:
        """The branch that ends at this spot; if it is in the middle of its branch, a new one that begins there."""
        rows = self.connection.execute(
            "SELECT length FROM branches WHERE session_id = ? AND branch = ?", (session_id, spot.branch)
        ).fetchall()
        if not rows or rows[0][0] == spot.length:
            return spot.branch
        # A branch never begins where its parent does, so that every one on the way down has messages.
        parent: int | None = spot.branch
        while parent is not None and spot.length <= (root := self._root_of(session_id, parent))[1]:
            parent = root[0]
        [(number,)] = self.connection.execute(
            "SELECT max(branch) + 1 FROM branches WHERE session_id = ?", (session_id,)
        ).fetchall()
        self.connection.execute(
            "INSERT INTO branches (session_id, branch, parent, start, length) VALUES (?, ?, ?, ?, ?)",
            (session_id, number, parent, spot.length, spot.length),
        )
        return int(number)

    def _activate(self, session_id: str, branch: int, before: int | None = None) -> None:
        """Makes a branch the active one, and remembers which one was so `before`."""
        self.connection.execute(
            "UPDATE sessions SET branch = ?, last_active = ? WHERE session_id = ?",
            (branch, self._now(), session_id),
        )
        if before is not None:
            self.connection.execute(
                "UPDATE branches SET left_branch = ? WHERE session_id = ? AND branch = ?",
                (before, session_id, branch),
            )

    def _forget(self, session_id: str) -> int:
        self.connection.execute("DELETE FROM branches WHERE session_id = ?", (session_id,))
        return self.connection.execute("DELETE FROM messages WHERE session_id = ?", (session_id,)).rowcount

    def _migrate(self, path: Path) -> None:
        # Under the write lock, so that of two processes only one migrates, and a read-only file is found at once.
        with self._transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"the session database {path} was written by a newer llamaproxy"
                    f" (schema {version}, this one knows {len(MIGRATIONS)}); upgrade, or move the file away"
                )
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits at the end, or rolls back."""
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection


def _to_row(message: Message) -> tuple[str, str, str | None, str | None]:
    fields = msgspec.to_builtins(message)
    role, content = fields.pop("role"), fields.pop("content")
    opening = (message.given.opening or None) if message.given else None
    # A model that cuts an emoji in half must not cost the turn, and half an emoji would only break the next prompt.
    return role, joined(content), joined(json.dumps(fields, ensure_ascii=False)) if fields else None, opening


def _from_row(role: str, content: str, rest: str | None) -> Message:
    fields = json.loads(rest) if rest else {}
    return msgspec.convert({"role": role, "content": content, **fields}, Message)
