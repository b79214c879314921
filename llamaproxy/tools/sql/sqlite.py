"""SQLite files, each statement on a connection of its own."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from ...seams.errors import ToolError
from ..threads import Abort
from .statement import Bounds, Verdict
from .table import Table, changed

# No value may be larger, in bytes; SQLite would make some of a gigabyte.
LARGEST_VALUE = 8 * 1024 * 1024
# How often a running statement looks at the clock, in its own instructions.
_LOOK_EVERY = 20_000


class SqliteDatabase:
    """One file. Reading opens it read-only and never makes it; no statement reaches another file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, verdict: Verdict, bounds: Bounds, abort: Abort) -> str:
        """Runs one statement, blocking. Raises `ToolError`."""
        try:
            return self._run(verdict.text, not verdict.writes, bounds, abort)
        except sqlite3.Error as error:
            if abort.called:
                raise ToolError("the statement was cancelled") from None
            if "interrupted" in str(error):
                raise ToolError(f"the statement was ended after {bounds.seconds:g} seconds") from None
            raise ToolError(f"the database says: {error}") from None

    def _run(self, text: str, reading: bool, bounds: Bounds, abort: Abort) -> str:
        uri = f"{self._path.absolute().as_uri()}?mode={'ro' if reading else 'rwc'}"
        if reading and not self._path.exists():
            uri = "file::memory:?mode=memory"  # as empty as the database is before its first table
        with closing(
            sqlite3.connect(uri, uri=True, timeout=bounds.seconds, isolation_level=None)
        ) as connection:
            connection.execute(f"PRAGMA query_only = {int(reading)}")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            until = time.monotonic() + bounds.seconds
            connection.set_progress_handler(lambda: abort.called or time.monotonic() > until, _LOOK_EVERY)
            connection.set_authorizer(_stay_inside)
            cursor = connection.execute(text)
            if cursor.description is None:
                return changed(cursor.rowcount)
            columns = [column[0] for column in cursor.description]
            return Table(bounds.rows, bounds.bytes).fill(columns, cursor)


def _stay_inside(action: int, *what: str | None) -> int:
    """Lets no statement open other files; VACUUM INTO attaches its file, too."""
    outside = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
    return sqlite3.SQLITE_DENY if outside else sqlite3.SQLITE_OK
