"""Sessions in one SQLite file, through one thread of its own: the default store.

One thread serves all sessions because SQLite has one writer anyway; what is asked first is done first.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from msgspec import ValidationError
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface import implementer

from ..seams.errors import StoreError
from ..seams.interfaces import ISessionStore
from ..seams.types import Branch, Message, Spot, StoredSession, Trace
from .database import Database
from .thread import OneThread

T = TypeVar("T")


@implementer(ISessionStore)
class SqliteSessionStore:
    """See `ISessionStore`; `now` gives Unix seconds. Every failure is a `StoreError` naming the file."""

    def __init__(
        self, path: str | PathLike[str], reactor: IReactorFromThreads, now: Callable[[], float] = time.time
    ) -> None:
        self._path, self._now = Path(path), now
        self._thread = OneThread(reactor, "session store")
        # The thread's own.
        self._database: Database | None = None

    def check(self) -> None:
        """Opens the file and closes it again, here and now: for the time before the reactor runs."""
        self._explained(lambda: Database(self._path, self._now).close())

    def open(self) -> Deferred[None]:
        """Opens the file, making it and its tables if need be. What is asked meanwhile waits for that."""
        return Deferred.fromCoroutine(self._open())

    def close(self) -> Deferred[None]:
        """Closes the file after whatever was asked before; closing twice does no harm."""
        return Deferred.fromCoroutine(self._close())

    def load(self, session_id: str, limit: int) -> Deferred[StoredSession | None]:
        """The session with its newest `limit` messages, or None."""
        return self._ask(lambda database: database.load(session_id, limit))

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        """Adds one turn's messages in one transaction; fires with their branch."""
        turn = tuple(messages)
        return self._ask(lambda database: database.append(session_id, turn, after))

    def save_settings(self, session_id: str, model: str, settings: dict[str, Any]) -> Deferred[None]:
        """Keeps the session's model and settings."""
        kept = json.dumps(settings)
        return self._ask(lambda database: database.save_settings(session_id, model, kept))

    def branches(self, session_id: str) -> Deferred[Sequence[Branch]]:
        """All branches, by their numbers."""
        return self._ask(lambda database: database.branches(session_id))

    def take_up(self, session_id: str, branch: int) -> Deferred[bool]:
        """Makes a branch the active one; fires with whether there is such a branch."""
        return self._ask(lambda database: database.take_up(session_id, branch))

    def step_back(self, session_id: str) -> Deferred[int | None]:
        """Makes the branch active that was so before; fires with its number, None if there was none."""
        return self._ask(lambda database: database.step_back(session_id))

    def find(self, session_id: str, openings: Sequence[str]) -> Deferred[Sequence[Trace]]:
        """The answers that began like one of these, the newest first."""
        wanted = tuple(openings)
        return self._ask(lambda database: database.find(session_id, wanted))

    def clear(self, session_id: str) -> Deferred[int]:
        """Forgets the session's messages; fires with how many."""
        return self._ask(lambda database: database.clear(session_id))

    def delete(self, session_id: str) -> Deferred[bool]:
        """Forgets the session; fires with whether it existed."""
        return self._ask(lambda database: database.delete(session_id))

    async def _open(self) -> None:
        self._thread.start()
        try:
            await self._run(self._connect)
        except BaseException:
            self._thread.stop()
            raise

    async def _close(self) -> None:
        if not self._thread.started:
            return
        try:
            await self._run(self._disconnect)
        finally:
            # Joins the thread, which has nothing left to do.
            self._thread.stop()

    def _connect(self) -> None:
        self._database = Database(self._path, self._now)

    def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _ask(self, work: Callable[[Database], T]) -> Deferred[T]:
        def asked() -> T:
            if self._database is None:
                raise self._not_open()
            return work(self._database)

        return self._run(asked) if self._thread.started else fail(self._not_open())

    def _run(self, work: Callable[[], T]) -> Deferred[T]:
        return self._thread.run(lambda: self._explained(work))

    def _explained(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError, ValueError, ValidationError) as error:
            raise StoreError(self._advice(error)) from error

    def _not_open(self) -> StoreError:
        return StoreError(f"the session database {self._path} is not open")

    def _advice(self, error: Exception) -> str:
        """One line for the operator: which file, what happened, what to do."""
        # The low byte of SQLite's extended codes is the primary one.
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(
            error, ValueError | ValidationError
        ):
            todo = "it is damaged; restore a copy, or move it away to start with an empty one"
        elif code == sqlite3.SQLITE_FULL:
            todo = "make room on the disk"
        elif code == sqlite3.SQLITE_BUSY:
            todo = "another program holds it locked; end that program"
        else:
            todo = "see to it that this user may write to the file and its folder"
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"the session database {self._path} cannot be used ({reason}): {todo}"
