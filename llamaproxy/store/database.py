"""The sessions' file, as its two threads have it open: connections that block; `sqlite` keeps them off the reactor."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from twisted.logger import Logger

from ..seams.errors import PLACE, StoreError
from .reading import Connection, Reading
from .schema import AT_REST, MIGRATIONS, OPEN
from .writing import Writing

# How long SQLite itself waits for another process's write, a worker's or a backup's.
BUSY_MILLISECONDS = 100

log = Logger()


class Moved(Exception):
    """The file is not where it was: it was deleted, or another one is in its place. Nothing was written."""


class Reader(Reading):
    """One connection, which belongs to the thread that made it; another program's write lock does not hold it up."""

    connection: sqlite3.Connection

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        self.connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Ends the connection."""
        self.connection.close()


class Database(Writing):
    """One connection to write with; belongs to the thread that made it. `now` gives Unix seconds.

    With `power`, what was committed survives a power cut as well, for an fsync a turn.
    """

    connection: sqlite3.Connection

    def __init__(self, path: Path, now: Callable[[], float], power: bool = False) -> None:
        self.now = now
        self._path = path
        self._file: tuple[int, int] | None = None
        self.write_ahead_log: tuple[int, int] | None = None
        is_whole = file_at(self._log_file) is not None
        # Whether what is written belongs to a transaction that others write in as well.
        self._shared = False
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
            self._mark_open(is_whole)
            [(self.identity,)] = self.connection.execute("SELECT id FROM store").fetchall()
            self._file = file_at(path)
            # From here on who waits is told so, and tries again.
            self.connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Ends the connection, which also folds the write-ahead log into the file."""
        # Where another program holds the file, it stays as it is.
        with suppress(sqlite3.Error):
            self.connection.execute(f"PRAGMA application_id = {AT_REST}")
        self.connection.close()

    def copy_to(self, path: Path) -> None:
        """Writes all of it into another file, as it is now, with this one's access rights."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(path)) as target:
            self.connection.backup(target)
            target.execute(f"PRAGMA application_id = {AT_REST}")

    @property
    def _log_file(self) -> Path:
        return self._path.with_name(f"{self._path.name}-wal")

    def _mark_open(self, is_whole: bool) -> None:
        """Notes in the file itself that somebody has it; `is_whole` says whether a write-ahead log lay beside it.

        A server that ends leaves no such mark, and one that is killed leaves its log.
        """
        [(mark,)] = self.connection.execute("PRAGMA application_id").fetchall()
        if mark != OPEN:
            self.connection.execute(f"PRAGMA application_id = {OPEN}")
            # In the file, and not beside it.
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        elif not is_whole:
            log.warn(
                "the session database {path} was copied while a server had it open, and its -wal file was not: "
                "the newest turns may be missing; agentctl backup copies all of them",
                path=str(self._path),
            )

    def _migrate(self, path: Path) -> None:
        # Under the write lock, so that of two processes only one migrates, and a read-only file is found at once.
        with self.transaction("") as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"the session database{PLACE} was written by a newer llamaproxy"
                    f" (schema {version}, this one knows {len(MIGRATIONS)}); upgrade, or move the file away",
                    path,
                )
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commits what was written of all sessions at the end, or nothing of it if anything raises."""
        with self.transaction(""):
            self._shared = True
            try:
                yield
            finally:
                self._shared = False

    @contextmanager
    def transaction(self, session_id: str) -> Iterator[Connection]:
        """See `Writing`."""
        if self._shared:
            yield self.connection
            return
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            # What is committed to a file that has no name any more is lost for whoever opens it next.
            if self._file is not None and file_at(self._path) != self._file:
                raise Moved
            if self.write_ahead_log is None:
                self.write_ahead_log = file_at(self._log_file)
            yield self.connection


def file_at(path: Path) -> tuple[int, int] | None:
    """Which file has that name: device and inode, None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
