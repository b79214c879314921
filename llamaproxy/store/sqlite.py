"""Sessions in one SQLite file, through two threads of its own: the default store.

One thread writes for all sessions because SQLite has one writer anyway; what is asked first is done first. Another one
reads, which SQLite lets it do while another program holds the file.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from msgspec import ValidationError
from twisted.internet.defer import Deferred, fail
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from zope.interface import implementer

from ..seams.errors import PLACE, StoreError
from ..seams.interfaces import ISessionStore
from ..seams.types import Branch, Message, Resting, Spot, StoredSession, Trace
from .database import Database, Moved, Reader
from .reading import Reading
from .rescue import found_again
from .thread import OneThread, each_by_itself
from .writer import Held, Writer

T = TypeVar("T")


HELD = sqlite3.OperationalError("database is locked")
# Sessions of a crowd that are read together. Each begins a turn then and there, and running streams wait for that.
LOADS = 16
# Seconds at the end for what still waits in memory.
LAST_PATIENCE = 10.0


class _Question:
    """What the reading thread is asked; `loads` is the session that is to be read, "" if it is something else.

    Of one that `is_new` there is nothing to read.
    """

    __slots__ = ("_ask", "is_new", "loads")

    def __init__(self, ask: Callable[[], Any], loads: str) -> None:
        self._ask = ask
        self.loads = loads
        self.is_new = False

    def __call__(self) -> Any:
        return None if self.is_new else self._ask()


@implementer(ISessionStore)
class SqliteSessionStore:
    """See `ISessionStore`; `now` gives Unix seconds. Every failure is a `StoreError` naming the file.

    With `power`, what was committed survives a power cut as well.
    """

    log = Logger()

    def __init__(
        self,
        path: str | PathLike[str],
        reactor: Any,
        now: Callable[[], float] = time.time,
        power: bool = False,
    ) -> None:
        self._path, self._now, self._power = Path(path), now, power
        self._reactor = reactor
        self._reads = OneThread(reactor, "session reads", self._read_off, most=LOADS)
        self._writes = OneThread(reactor, "session writes")
        self._writer = Writer(self._writes, reactor, lambda: self._advice(HELD), self._together)
        # Each belongs to its thread.
        self._reader: Reader | None = None
        self._database: Database | None = None
        # Set by the writing thread when the reader's file is another one now.
        self._reader_is_stale = False

    def check(self) -> None:
        """Opens the file and closes it again, here and now: for the time before the reactor runs."""
        self._explained(self._opened).close()

    def open(self) -> Deferred[None]:
        """Opens the file, making it and its tables if need be. What is asked meanwhile waits for that."""
        return Deferred.fromCoroutine(self._open())

    def close(self) -> Deferred[None]:
        """Closes the file after whatever was asked before; closing twice does no harm."""
        return Deferred.fromCoroutine(self._close())

    def load(self, session_id: str, limit: int) -> Deferred[StoredSession | None]:
        """The session with its newest `limit` messages, or None."""
        return self._read(session_id, lambda reader: reader.load(session_id, limit), loads=session_id)

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        """Adds one turn's messages in one transaction; fires with their branch."""
        turn = tuple(messages)
        return self._write(session_id, lambda database: database.append(session_id, turn, after))

    def save_settings(self, session_id: str, model: str, settings: dict[str, Any]) -> Deferred[None]:
        """Keeps the session's model and settings."""
        kept = json.dumps(settings)
        return self._write(session_id, lambda database: database.save_settings(session_id, model, kept))

    def at_rest(self) -> Deferred[Sequence[Resting]]:
        """Every session, with the size of its words."""
        return self._read("", lambda reader: reader.at_rest())

    def holding(self, setting: str) -> Deferred[Sequence[str]]:
        """The sessions whose settings have that one."""
        return self._read("", lambda reader: reader.holding(setting))

    def branches(self, session_id: str) -> Deferred[Sequence[Branch]]:
        """All branches, by their numbers."""
        return self._read(session_id, lambda reader: reader.branches(session_id))

    def take_up(self, session_id: str, branch: int) -> Deferred[bool]:
        """Makes a branch the active one; fires with whether there is such a branch."""
        return self._write(session_id, lambda database: database.take_up(session_id, branch))

    def step_back(self, session_id: str) -> Deferred[int | None]:
        """Makes the branch active that was so before; fires with its number, None if there was none."""
        return self._write(session_id, lambda database: database.step_back(session_id))

    def find(self, session_id: str, openings: Sequence[str]) -> Deferred[Sequence[Trace]]:
        """The answers that began like one of these, the newest first."""
        wanted = tuple(openings)
        return self._read(session_id, lambda reader: reader.find(session_id, wanted))

    def clear(self, session_id: str) -> Deferred[int]:
        """Forgets the session's messages; fires with how many."""
        return self._write(session_id, lambda database: database.clear(session_id))

    def delete(self, session_id: str) -> Deferred[bool]:
        """Forgets the session; fires with whether it existed."""
        return self._write(session_id, lambda database: database.delete(session_id))

    async def _open(self) -> None:
        self._writes.start()
        self._reads.start()
        made = Event()
        # Both first in their threads, so that what is asked meanwhile comes behind them.
        written = self._writes.run(lambda: self._explained(lambda: self._connect(made)))
        read = self._reads.run(lambda: self._explained(lambda: self._connect_reader(made)))
        try:
            await written
            await read
        except BaseException:
            read.addErrback(lambda failure: None)
            self._stop()
            raise

    async def _close(self) -> None:
        if not self._writes.started:
            return
        try:
            await self._writer.settled().addTimeout(LAST_PATIENCE, self._reactor)
        except DeferredTimeout:
            lost = self._writer.abandon()
            self.log.critical("{number} turns and settings that waited in memory are lost", number=lost)
        try:
            # The last connection to close folds the write-ahead log into the file, which a reader may not.
            await self._reads.run(self._disconnect_reader)
            await self._writes.run(self._disconnect)
        finally:
            self._stop()

    def _stop(self) -> None:
        # Joins the threads, which have nothing left to do.
        self._reads.stop()
        self._writes.stop()

    def _opened(self) -> Database:
        return Database(self._path, self._now, self._power)

    def _connect(self, made: Event) -> None:
        try:
            self._database = self._opened()
        finally:
            made.set()

    def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _connect_reader(self, made: Event | None = None) -> None:
        if made is not None:
            made.wait()
        self._reader = Reader(self._path)

    def _disconnect_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _read(self, session_id: str, work: Callable[[Reading], T], loads: str = "") -> Deferred[T]:
        if self._writer.waits(session_id):
            # What is still to be written is part of the answer.
            return self._write(session_id, work)
        if not self._reads.started:
            return self._closed()
        return self._reads.run(_Question(lambda: self._answer(work), loads))

    def _read_off(self, batch: list[Callable[[], Any]]) -> list[Any]:
        """Answers what was asked together; one look finds who of a crowd is new, and nothing is read of those.

        Each statement lets go of the interpreter, which the reactor takes, and has to be waited for to go on.
        """
        loads = [each for each in batch if isinstance(each, _Question) and each.loads]
        if len(loads) > 1:
            # What is wrong each of them meets again, and tells.
            with suppress(StoreError):
                there = self._answer(lambda reader: reader.present([each.loads for each in loads]))
                for each in loads:
                    each.is_new = each.loads not in there
        return each_by_itself(batch)

    def _answer(self, work: Callable[[Reading], T]) -> T:
        def asked() -> T:
            if self._reader_is_stale:
                self._disconnect_reader()
                self._connect_reader()
                self._reader_is_stale = False
            if self._reader is None:
                raise self._not_open()
            return work(self._reader)

        return self._explained(asked)

    def _write(self, session_id: str, work: Callable[[Database], T]) -> Deferred[T]:
        def asked() -> T:
            with _LOCK_SEEN:
                return self._written(work)

        if not self._writes.started:
            return self._closed()
        return self._writer.write(session_id, lambda: self._explained(asked))

    @contextmanager
    def _together(self) -> Iterator[None]:
        """See `Writer`."""
        if self._database is None:
            raise self._not_open()
        with _LOCK_SEEN, self._database.together():
            yield

    def _written(self, work: Callable[[Database], T]) -> T:
        if self._database is None:
            raise self._not_open()
        try:
            return work(self._database)
        except Moved:
            self._database = found_again(self._path, self._database, self._opened)
            self._reader_is_stale = True
            return work(self._database)

    def _explained(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError, ValueError, ValidationError) as error:
            raise StoreError(self._advice(error), self._path) from error

    def _closed(self) -> Deferred[Any]:
        return fail(self._not_open())

    def _not_open(self) -> StoreError:
        return StoreError(f"the session database{PLACE} is not open", self._path)

    def _advice(self, error: Exception) -> str:
        """One line for the operator: which file, what happened, what to do."""
        code = _primary(error)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(
            error, ValueError | ValidationError
        ):
            todo = "it is damaged; restore a copy, or move it away to start with an empty one"
        elif code == sqlite3.SQLITE_FULL:
            todo = "make room on the disk"
        elif error is HELD or code == sqlite3.SQLITE_BUSY:
            todo = "another program holds it locked; end that program"
        else:
            todo = "see to it that this user may write to the file and its folder"
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"the session database{PLACE} cannot be used ({reason}): {todo}"


class _LockSeen:
    """Tells that another program holds the file as `Held`."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, sqlite3.OperationalError) and _primary(error) == sqlite3.SQLITE_BUSY:
            raise Held from None


_LOCK_SEEN = _LockSeen()


def _primary(error: Exception) -> int:
    """SQLite's code for an error: the low byte of its extended codes is the primary one."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
