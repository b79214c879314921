"""The sessions' file under its name again, after somebody has deleted or replaced it while the server ran.

A deleted file lives on in whoever has it open, with all that was in it. So it gets its name back, as a copy. Of several
processes one does that; a lock on the folder has them come one by one.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from twisted.logger import Logger

from ..seams.errors import PLACE, StoreError
from .database import Database, file_at

log = Logger()


def found_again(path: Path, lost: Database, opened: Callable[[], Database]) -> Database:
    """The store at `path`, opened anew by `opened`; `lost` is closed then.

    Raises `StoreError` if another store's file is there now, which is left alone (what was in ours is kept beside it);
    `sqlite3.Error` or `OSError` where the files cannot be used.
    """
    with _locked(path.parent):
        if not path.exists():
            log.critical(
                "the session database {path} was deleted while the server ran; it is written anew, with all that was "
                "in it",
                path=str(path),
            )
            _forget_log(path)
            _write_anew(path, lost)
        else:
            ours = _identity_at(path) == lost.identity
            if not ours and not (kept := _beside(path, ".lost")).exists():
                lost.copy_to(kept)
            if file_at(_beside(path, "-wal")) == lost.write_ahead_log:
                # SQLite would take it for the new file's.
                _forget_log(path)
            if not ours:
                raise StoreError(
                    f"the session database{PLACE} was replaced by another one while the server ran; nothing is written "
                    "to it before the server has been started again, and what was in the old one is beside it, "
                    "with .lost behind its name",
                    path,
                )
        found = opened()
    lost.close()
    return found


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder against the server's other processes; the lock ends with its process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_anew(path: Path, lost: Database) -> None:
    spare = _beside(path, f".{os.getpid()}")
    spare.unlink(missing_ok=True)
    try:
        lost.copy_to(spare)
        path.hardlink_to(spare)
    finally:
        spare.unlink(missing_ok=True)


def _identity_at(path: Path) -> str | None:
    """Which store a file is, None for none; without a look at what may not be its write-ahead log."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            [(identity,)] = connection.execute("SELECT id FROM store").fetchall()
    except (sqlite3.Error, ValueError):
        return None
    return str(identity)


def _forget_log(path: Path) -> None:
    for ending in ("-wal", "-shm"):
        _beside(path, ending).unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
