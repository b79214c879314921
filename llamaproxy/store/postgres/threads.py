"""The two threads that speak with the database, one that reads and one that writes, and what they say when it is away.

What is asked to be written at the same time goes over in one transaction, and costs one commit; if it consists of
questions only, it costs one trip as well.
"""

import time
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any, Generic, TypeVar

import psycopg
from msgspec import ValidationError
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...seams.errors import PLACE, StoreError, StoreUnavailable
from ..thread import OneThread, each_by_itself
from .database import Database, Reader
from .trouble import AWAY, is_conflict, meaning, reason

T = TypeVar("T")
# Sends statements, and gives what reads their answers later.
Question = Callable[[Database], Callable[[], T]]

# Seconds after a failed try to connect for which nobody tries again.
PAUSE = 0.5
# So often something is done once more that was in another transaction's way.
TRIES = 5


class Phase(IntEnum):
    """When something is done of what goes over together.

    To take a turn waits for nothing that is asked with it. To give one back comes after what was written in it. Neither
    belongs into a transaction with what is written, or two nodes might wait for each other in it.
    """

    BEFORE = 0
    WRITING = 1
    AFTER = 2


class _Work(Generic[T]):
    """`about` is the session of a `question`."""

    def __init__(
        self, phase: Phase, run: Callable[[], T], about: str = "", question: Question[T] | None = None
    ) -> None:
        self.phase, self._run, self.about, self.question = phase, run, about, question

    def __call__(self) -> T:
        return self._run()


class Threads:
    """Connects when first asked, and anew after every interruption. Failures are `StoreError`s.

    `lost` is called, in the writing thread, when its connection breaks: nobody can say then what of the last work the
    database has done.
    """

    log = Logger()

    def __init__(
        self,
        arguments: dict[str, Any],
        address: str,
        reactor: Any,
        now: Callable[[], float],
        lost: Callable[[], None],
    ) -> None:
        self._arguments, self._address, self._now, self._lost = arguments, address, now, lost
        self._reads = OneThread(reactor, "session reads")
        self._writes = OneThread(reactor, "session writes", self._work_off)
        # Each belongs to its thread, and is connected anew once it is among the old ones.
        self._reader: Reader | None = None
        self._database: Database | None = None
        self._old: set[int] = set()
        self._away = False
        self._tried_at = {"reads": 0.0, "writes": 0.0}

    @property
    def started(self) -> bool:
        """Whether anything may be asked."""
        return self._writes.started

    def start(self) -> None:
        """Begins to take work."""
        self._reads.start()
        self._writes.start()

    async def end(self) -> None:
        """Hangs up after what was asked before."""
        await self._reads.run(self._hang_up_reader)
        await self._writes.run(self._hang_up)
        self._reads.stop()
        self._writes.stop()

    def check(self) -> None:
        """Connects and hangs up again, here and now; fails in words for the operator."""
        try:
            Database(self._arguments, self._now).connection.close()
        except psycopg.Error as error:
            raise StoreError(f"the store{PLACE} cannot be used: {reason(error)}", self._address) from None

    def distrust(self) -> None:
        """The database was away: what is connected has most likely lost its other end, without a word about it.

        Whoever waits there for an answer would do so until the kernel gives up, and to connect anew would take as long
        to fail; so nobody tries before `trust`. Both are called from another thread.
        """
        self._away = True
        for each in (self._reader, self._database):
            if each is not None:
                self._old.add(id(each))
                each.connection.interrupt()

    def trust(self) -> None:
        """The database is there again."""
        self._away = False

    def read(self, work: Callable[[Reader], T]) -> Deferred[T]:
        """Runs what changes nothing."""

        def asked() -> T:
            if (reader := self._reader) is None or reader.connection.broken or id(reader) in self._old:
                self._hang_up_reader()
                reader = self._reader = self._connected("reads", lambda: Reader(self._arguments))
            return work(reader)

        return self._reads.run(partial(self._explained, asked)) if self.started else self._not_open()

    def write(self, work: Callable[[Database], T], phase: Phase = Phase.WRITING) -> Deferred[T]:
        """Runs what changes something."""

        def asked() -> T:
            return work(self._writable())

        whole = _Work(phase, partial(self._explained, asked))
        return self._writes.run(whole) if self.started else self._not_open()

    def ask(self, about: str, question: Question[T], phase: Phase = Phase.WRITING) -> Deferred[T]:
        """Runs what changes something of one session, and may be sent together with other questions."""

        def asked() -> T:
            return question(self._writable())()

        whole = _Work(phase, partial(self._explained, asked), about, question)
        return self._writes.run(whole) if self.started else self._not_open()

    def quietly(self, work: Callable[[Database], Any]) -> None:
        """Runs what nobody waits for, after what is to be written: where it fails, the node has lost its turns."""
        self.write(work, Phase.AFTER).addErrback(_nobody_waits)

    def ask_quietly(self, about: str, question: Question[Any]) -> None:
        """The same for a question."""
        self.ask(about, question, Phase.AFTER).addErrback(_nobody_waits)

    def away(self, why: str = "") -> StoreUnavailable:
        """What is said to those who need the database while it is not there."""
        if why:
            self.log.error("the store {address} cannot be reached ({why})", address=self._address, why=why)
        return StoreUnavailable(AWAY)

    def _writable(self) -> Database:
        database = self._database
        if database is None or database.connection.broken or id(database) in self._old:
            self._hang_up()
            database = self._database = self._connected(
                "writes", lambda: Database(self._arguments, self._now)
            )
        return database

    def _hang_up_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            self._old.discard(id(reader))
            reader.connection.close()

    def _hang_up(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            self._old.discard(id(database))
            database.connection.close()

    def _connected(self, thread: str, connect: Callable[[], T]) -> T:
        if self._away or time.monotonic() - self._tried_at[thread] < PAUSE:
            raise self.away()
        try:
            return connect()
        except psycopg.OperationalError:
            self._tried_at[thread] = time.monotonic()
            raise

    def _work_off(self, batch: list[Callable[[], Any]]) -> list[Any]:
        results: dict[_Work[Any], Any] = {}
        works = [work if isinstance(work, _Work) else _Work(Phase.AFTER, work) for work in batch]
        for phase in Phase:
            those = [work for work in works if work.phase is phase]
            questions = [work for work in those if work.question is not None]
            others = [work for work in those if work.question is None]
            if phase is Phase.WRITING and others:
                # In their order: one may undo what another does.
                questions, others = [], those
            # In the same order at every node, so that no two wait for each other.
            questions.sort(key=lambda work: work.about)
            results.update(zip(questions, self._together(questions, _ask_all), strict=True))
            run = partial(self._together, run=_each_apart) if phase is Phase.WRITING else _each_surely
            results.update(zip(others, run(others), strict=True))
        return [results[work] for work in works]

    def _together(
        self, works: list[_Work[Any]], run: Callable[[Database, list[_Work[Any]]], list[Any]]
    ) -> list[Any]:
        """Does several in one transaction; where that fails, each by itself."""
        if len(works) < 2:
            return _each_surely(works)
        try:
            database = self._explained(self._writable)
            return run(database, works)
        except StoreError as error:
            return [Failure(error)] * len(works)
        except psycopg.Error as error:
            if database.connection.broken:
                # Whether it was written, nobody can say.
                self._lost()
                return [Failure(self._error(error))] * len(works)
            # Nothing was; a lock, say, that one of them waited for in vain.
            return _each_surely(works)

    def _explained(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (psycopg.Error, OSError, ValueError, ValidationError) as error:
            if (
                isinstance(error, psycopg.Error)
                and self._database is not None
                and self._database.connection.broken
            ):
                self._lost()
            raise self._error(error) from error

    def _error(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        meant = meaning(error, self._address)
        if isinstance(meant, StoreUnavailable):
            self.log.error(
                "the store {address} cannot be used now ({why})", address=self._address, why=reason(error)
            )
        return meant

    def _not_open(self) -> Deferred[Any]:
        return fail(StoreError(f"the store{PLACE} is not open", self._address))


def _ask_all(database: Database, works: list[_Work[Any]]) -> list[Any]:
    """What is sent without a look at the answers is one transaction."""
    with database.connection.together():
        answers = [work.question(database) for work in works if work.question is not None]
    return each_by_itself(answers)


def _each_surely(works: list[_Work[Any]]) -> list[Any]:
    """One after the other; again, where another transaction was in the way."""
    results = []
    for work in works:
        for _ in range(TRIES):
            [result] = each_by_itself([work])
            if _conflict(result) is None:
                break
        results.append(result)
    return results


def _each_apart(database: Database, works: list[_Work[Any]]) -> list[Any]:
    """One after the other, so that the failure of one is its own."""
    with database.connection.transaction():
        results = each_by_itself([partial(_apart, database, work) for work in works])
        if (conflict := next(filter(None, map(_conflict, results)), None)) is not None:
            # To be done once more, it has to be rolled back with all that came after it.
            raise conflict
    if database.connection.broken:
        # Behind a broken connection a transaction ends without a word; what worked before it was not committed.
        raise psycopg.OperationalError("the connection broke before the commit")
    return results


def _conflict(result: Any) -> BaseException | None:
    cause = result.value.__cause__ if isinstance(result, Failure) and result.value is not None else None
    return cause if is_conflict(cause) else None


def _apart(database: Database, work: Callable[[], T]) -> T:
    with database.connection.transaction():
        return work()


def _nobody_waits(failure: Failure) -> None:
    failure.trap(StoreError)
