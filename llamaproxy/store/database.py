"""The sessions' database: its schema and its statements, all blocking; `sqlite` keeps them off the reactor's thread."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from ..seams.errors import StoreError
from ..seams.surrogates import joined
from ..seams.types import Message, Spot
from .reader import LARGEST_INTEGER, Reader
from .schema import MIGRATIONS

# How long SQLite itself waits for another process's write, a worker's or a backup's.
BUSY_MILLISECONDS = 100


class Moved(Exception):
    """The file is not where it was: it was deleted, or another one is in its place. Nothing was written."""


class Database(Reader):
    """One connection to write with; belongs to the thread that made it. `now` gives Unix seconds.

    With `power`, what was committed survives a power cut as well, for an fsync a turn.
    """

    def __init__(self, path: Path, now: Callable[[], float], power: bool = False) -> None:
        self._now = now
        self._path = path
        self._file: tuple[int, int] | None = None
        self.write_ahead_log: tuple[int, int] | None = None
        # SQLite would make the file with the umask's mode; its -wal and -shm files take after this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Transactions are begun by hand. The timeout is for another process in the file, a backup say.
        self.connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        try:
            self.connection.execute("PRAGMA journal_mode = WAL")
            # With NORMAL, a commit is in the kernel's hands when it returns, where killing this process cannot undo
            # it; only a power cut may take the last turns, and never the file's integrity.
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if power else 'NORMAL'}")
            self._migrate(path)
            [(self.identity,)] = self.connection.execute("SELECT id FROM store").fetchall()
            self._file = file_at(path)
            # From here on who waits is told so, and tries again.
            self.connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Ends the connection, which also folds the write-ahead log into the file."""
        self.connection.close()

    def copy_to(self, path: Path) -> None:
        """Writes all of it into another file, as it is now, with this one's access rights."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(path)) as target:
            self.connection.backup(target)

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
                INSERT INTO messages (session_id, branch, seq, role, content, rest, place)
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

    def _branch_at(self, session_id: str, spot: Spot) -> int:
        """The branch that ends at this spot; if it is in the middle of its branch, a new one that begins there."""
        rows = self.connection.execute(
            "SELECT length FROM branches WHERE session_id = ? AND branch = ?", (session_id, spot.branch)
        ).fetchall()
        if not rows or rows[0][0] == spot.length:
            return spot.branch
        # A branch never begins where its parent does, so that every one on the way down has messages.
        parent: int | None = spot.branch
        while parent is not None and spot.length <= (root := self.root_of(session_id, parent))[1]:
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
            # What is committed to a file that has no name any more is lost for whoever opens it next.
            if self._file is not None and file_at(self._path) != self._file:
                raise Moved
            if self.write_ahead_log is None:
                self.write_ahead_log = file_at(self._path.with_name(f"{self._path.name}-wal"))
            yield self.connection


def _to_row(message: Message) -> tuple[str, str, str | None, str | None]:
    fields = msgspec.to_builtins(message)
    role, content = fields.pop("role"), fields.pop("content")
    place = message.given.place if message.given else message.mark.after if message.mark else None
    # A model that cuts an emoji in half must not cost the turn, and half an emoji would only break the next prompt.
    return role, joined(content), joined(json.dumps(fields, ensure_ascii=False)) if fields else None, place


def file_at(path: Path) -> tuple[int, int] | None:
    """Which file has that name: device and inode, None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
