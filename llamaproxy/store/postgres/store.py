"""Sessions in PostgreSQL, behind `ISharedStore`: two threads, one that writes and one that reads, and a pulse.

What is asked to be written at the same time goes over in one transaction, and costs one commit.
"""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import psycopg
from msgspec import DecodeError, ValidationError
from msgspec import json as fast_json
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ... import __version__
from ...seams.errors import StoreError, StoreUnavailable
from ...seams.interfaces import ISharedStore
from ...seams.types import Branch, Message, Resting, Spot, StoredSession, Trace
from ..thread import OneThread, each_by_itself
from . import turns
from .database import Database, Reader
from .pulse import Pulse

T = TypeVar("T")

# Seconds between two looks of those who wait for a turn: whoever has it may have died without a word.
SLOW_LOOK = 1.0
# Seconds after a failed try to connect for which nobody tries again.
PAUSE = 0.5
# Sessions whose version is remembered; more are read anew.
MOST_KNOWN = 100_000


class _Waiter:
    """One turn of this node that waits for another node's."""

    def __init__(self, ticket: int, done: Deferred[bool]) -> None:
        self.ticket = ticket
        self.done = done
        self.asking = False


@implementer(ISharedStore)
class PostgresSessionStore:
    """See `ISharedStore`; `arguments` are psycopg's, `address` is what messages call the database.

    `heard` is called with what other nodes tell, but for turns. Failures are `StoreError`s.
    """

    log = Logger()

    def __init__(
        self,
        arguments: dict[str, Any],
        address: str,
        reactor: Any,
        name: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._arguments, self._address, self._reactor, self._now = arguments, address, reactor, now
        self._reads = OneThread(reactor, "session reads")
        self._writes = OneThread(reactor, "session writes", self._commit_together)
        self._pulse = Pulse(arguments, name, __version__, now, self._entered, self._was_told)
        self.heard: Callable[[dict[str, Any]], None] = _nothing
        # Each belongs to its thread.
        self._reader: Reader | None = None
        self._database: Database | None = None
        self._tried_at = {"reads": 0.0, "writes": 0.0}
        self.node: int | None = None
        self._ready: Deferred[None] = Deferred()
        # The tickets of the turns that this node has, by session; read by the writing thread.
        self._held: dict[str, int] = {}
        self._waiters: dict[str, list[_Waiter]] = {}
        # Up to where this node knows each session.
        self._known: dict[str, int] = {}
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def check(self) -> None:
        """Connects and hangs up again, here and now: for the time before the reactor runs."""
        self._explained(lambda: Database(self._arguments, self._now, {}).connection.close())

    def open(self) -> Deferred[None]:
        """Connects, making the tables if need be."""
        return Deferred.fromCoroutine(self._open())

    def close(self) -> Deferred[None]:
        """Hangs up after whatever was asked before; closing twice does no harm."""
        return Deferred.fromCoroutine(self._close())

    # -- ISessionStore

    def load(self, session_id: str, limit: int) -> Deferred[StoredSession | None]:
        """The session with its newest `limit` messages, or None."""

        def load(reader: Reader) -> tuple[int, StoredSession | None]:
            # What is written between the two is read again at the next turn.
            return reader.version(session_id), reader.load(session_id, limit)

        return self._read(load).addCallback(self._learned, session_id)

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
        return self._read(lambda reader: reader.at_rest())

    def holding(self, setting: str) -> Deferred[Sequence[str]]:
        """The sessions whose settings have that one."""
        return self._read(lambda reader: reader.holding(setting))

    def branches(self, session_id: str) -> Deferred[Sequence[Branch]]:
        """All branches, by their numbers."""
        return self._read(lambda reader: reader.branches(session_id))

    def take_up(self, session_id: str, branch: int) -> Deferred[bool]:
        """Makes a branch the active one; fires with whether there is such a branch."""
        return self._write(session_id, lambda database: database.take_up(session_id, branch))

    def step_back(self, session_id: str) -> Deferred[int | None]:
        """Makes the branch active that was so before; fires with its number, None if there was none."""
        return self._write(session_id, lambda database: database.step_back(session_id))

    def find(self, session_id: str, places: Sequence[str]) -> Deferred[Sequence[Trace]]:
        """The messages and answers at these places, the newest first."""
        wanted = tuple(places)
        return self._read(lambda reader: reader.find(session_id, wanted))

    def clear(self, session_id: str) -> Deferred[int]:
        """Forgets the session's messages; fires with how many."""
        return self._write(session_id, lambda database: database.clear(session_id))

    def delete(self, session_id: str) -> Deferred[bool]:
        """Forgets the session; fires with whether it existed."""
        return self._write(session_id, lambda database: database.delete(session_id))

    # -- ISharedStore

    def take(self, session_id: str) -> Deferred[bool]:
        """See `ISharedStore`."""
        node = self.node
        if node is None:
            return fail(self._away())
        done: Deferred[bool] = Deferred(lambda done: self._waits_no_more(session_id, done))
        asked = self._run(lambda database: _take_or_wait(database, session_id, node))
        asked.addCallbacks(self._taken, done.errback, callbackArgs=(session_id, done))
        return done

    def give_back(self, session_id: str) -> None:
        """See `ISharedStore`."""
        ticket = self._held.pop(session_id, None)
        if ticket is not None:
            self._quietly(partial(_give_back, session_id=session_id, ticket=ticket))

    def tell(self, what: dict[str, Any]) -> Deferred[None]:
        """Tells all nodes, this one as well; see `heard`."""
        said = fast_json.encode(what).decode()
        return self._run(
            lambda database: database.connection.execute("SELECT pg_notify(?, ?)", (turns.CHANNEL, said))
        ).addCallback(lambda _: None)

    # -- turns

    def _taken(self, outcome: tuple[int | None, int, int], session_id: str, done: Deferred[bool]) -> None:
        ticket, place, version = outcome
        if ticket is not None:
            self._has(session_id, ticket, version, done)
            return
        waiter = _Waiter(place, done)
        self._waiters.setdefault(session_id, []).append(waiter)
        if done.called:
            self._waits_no_more(session_id, done)
            return
        if not self._looking.running:
            self._looking.start(SLOW_LOOK, now=False)
        # It may have been given back while we got in line.
        self._try_again(session_id)

    def _has(self, session_id: str, ticket: int, version: int, done: Deferred[bool]) -> None:
        self._held[session_id] = ticket
        if done.called:
            self.give_back(session_id)
            return
        known = self._known.get(session_id)
        done.callback(known == version)

    def _try_again(self, session_id: str) -> None:
        node = self.node
        for waiter in self._waiters.get(session_id, ())[:1]:
            if waiter.asking or node is None:
                return
            waiter.asking = True
            asked = self._run(partial(_take_or_bury, session_id=session_id, node=node, ticket=waiter.ticket))
            asked.addCallbacks(
                partial(self._tried, session_id, waiter), partial(self._not_tried, session_id, waiter)
            )

    def _tried(self, session_id: str, waiter: _Waiter, version: int | None) -> None:
        waiter.asking = False
        if version is not None:
            self._forget(session_id, waiter)
            self._has(session_id, waiter.ticket, version, waiter.done)

    def _not_tried(self, session_id: str, waiter: _Waiter, failure: Failure) -> None:
        self._forget(session_id, waiter)
        if not waiter.done.called:
            waiter.done.errback(failure)

    def _waits_no_more(self, session_id: str, done: Deferred[bool]) -> None:
        waiter = next((each for each in self._waiters.get(session_id, ()) if each.done is done), None)
        if waiter is not None:
            self._forget(session_id, waiter)
            self._quietly(partial(_leave, ticket=waiter.ticket))

    def _forget(self, session_id: str, waiter: _Waiter) -> None:
        waiters = self._waiters.get(session_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(session_id, None)
        if not self._waiters and self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        for session_id in list(self._waiters):
            self._try_again(session_id)

    # -- what the pulse says, in its own thread

    def _entered(self, node: int | None) -> None:
        self._reactor.callFromThread(self._is_node, node)

    def _was_told(self, payload: str) -> None:
        self._reactor.callFromThread(self._hear, payload)

    def _is_node(self, node: int | None) -> None:
        self.node = node
        if node is not None and not self._ready.called:
            self._ready.callback(None)
        if node is None:
            self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        """Whoever waited did so under a number that means nothing any more."""
        for session_id, waiters in list(self._waiters.items()):
            for waiter in list(waiters):
                self._not_tried(session_id, waiter, Failure(self._away()))

    def _hear(self, payload: str) -> None:
        try:
            what = fast_json.decode(payload, type=dict[str, Any])
        except (DecodeError, ValidationError):
            return
        if "turn" in what:
            self._try_again(str(what["turn"]))
        else:
            self.heard(what)

    # -- threads

    async def _open(self) -> None:
        self._reads.start()
        self._writes.start()
        try:
            await self._run(lambda database: None)
            self._pulse.start()
            await self._ready
        except BaseException:
            await self._end()
            raise

    async def _close(self) -> None:
        if self._writes.started:
            await self._end()

    async def _end(self) -> None:
        if self._looking.running:
            self._looking.stop()
        self._give_up_waiting()
        # In the order in which they were asked: what is to be written comes before this.
        await self._writes.run(self._hang_up)
        self._pulse.stop()
        self._reads.stop()
        self._writes.stop()

    def _hang_up(self) -> None:
        for each in (self._database, self._reader):
            if each is not None:
                each.connection.close()
        self._database = self._reader = None

    def _learned(self, outcome: tuple[int, StoredSession | None], session_id: str) -> StoredSession | None:
        version, stored = outcome
        self._knows(session_id, version)
        return stored

    def _knows(self, session_id: str, version: int) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[session_id] = version

    def _read(self, work: Callable[[Reader], T]) -> Deferred[T]:
        def asked() -> T:
            if self._reader is None or self._reader.connection.broken:
                self._reader = self._connected("reads", lambda: Reader(self._arguments))
            return work(self._reader)

        if not self._reads.started:
            return fail(self._not_open())
        return self._reads.run(lambda: self._explained(asked))

    def _write(self, session_id: str, work: Callable[[Database], T]) -> Deferred[T]:
        def written(database: Database) -> tuple[T, int | None]:
            database.written = None
            return work(database), database.written

        def over(outcome: tuple[T, int | None]) -> T:
            result, version = outcome
            if version is not None and self._known.get(session_id) == version - 1:
                self._known[session_id] = version
            return result

        return self._run(written).addCallback(over)

    def _run(self, work: Callable[[Database], T]) -> Deferred[T]:
        def asked() -> T:
            if self._database is None or self._database.connection.broken:
                self._database = self._connected(
                    "writes", lambda: Database(self._arguments, self._now, self._held)
                )
            return work(self._database)

        if not self._writes.started:
            return fail(self._not_open())
        return self._writes.run(lambda: self._explained(asked))

    def _quietly(self, work: Callable[[Database], None]) -> None:
        """Runs what nobody waits for: where it fails, the node has lost its turns anyway."""
        self._run(work).addErrback(lambda failure: failure.trap(StoreError) and None)

    def _connected(self, thread: str, connect: Callable[[], T]) -> T:
        if time.monotonic() - self._tried_at[thread] < PAUSE:
            raise self._away()
        try:
            return connect()
        except psycopg.OperationalError:
            self._tried_at[thread] = time.monotonic()
            raise

    def _commit_together(self, batch: list[Callable[[], Any]]) -> list[Any]:
        database = self._database
        if len(batch) == 1 or database is None or database.connection.broken:
            return each_by_itself(batch)
        try:
            with database.connection.transaction():
                return each_by_itself([partial(_apart, database, work) for work in batch])
        except psycopg.Error as error:
            if database.connection.broken:
                # Whether it was written, nobody can say.
                return [Failure(self._error(error))] * len(batch)
            # Nothing was; a lock, say, that one of them waited for in vain.
            return each_by_itself(batch)

    def _explained(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (psycopg.Error, OSError, ValueError, ValidationError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OSError):
            return self._away(str(error).strip().partition("\n")[0])
        return StoreError(
            f"the store {self._address} cannot be used ({str(error).strip().partition(chr(10))[0]})"
        )

    def _away(self, why: str = "") -> StoreUnavailable:
        if why:
            self.log.error("the store {address} cannot be reached ({why})", address=self._address, why=why)
        return StoreUnavailable(
            "The conversations cannot be reached at the moment; try again in a few seconds."
        )

    def _not_open(self) -> StoreError:
        return StoreError(f"the store {self._address} is not open")


def _nothing(what: dict[str, Any]) -> None:
    """Nobody listens yet."""


def _apart(database: Database, work: Callable[[], T]) -> T:
    """Runs one of several, so that its failure is its own."""
    with database.connection.transaction():
        return work()


def _leave(database: Database, ticket: int) -> None:
    turns.leave(database.connection, ticket)


def _give_back(database: Database, session_id: str, ticket: int) -> None:
    turns.give_back(database.connection, session_id, ticket)


def _take_or_wait(database: Database, session_id: str, node: int) -> tuple[int | None, int, int]:
    """The ticket if the turn was free, else the place in the line; and the session's version."""
    connection = database.connection
    ticket = turns.take(connection, session_id, node)
    place = 0 if ticket is not None else turns.wait(connection, session_id, node)
    return ticket, place, database.version(session_id)


def _take_or_bury(database: Database, session_id: str, node: int, ticket: int) -> int | None:
    """The session's version if the turn is ours now."""
    connection = database.connection
    taken = turns.take_next(connection, session_id, node, ticket) or (
        turns.bury(connection, session_id) and turns.take_next(connection, session_id, node, ticket)
    )
    return database.version(session_id) if taken else None
