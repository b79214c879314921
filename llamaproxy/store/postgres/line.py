"""The turns that this node has or waits for, as its agent takes them and gives them back."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ...seams.types import Taken
from . import turns
from .database import Database
from .threads import Phase, Threads

# Seconds between two looks of those who wait for a turn: whoever has it may have died without a word.
SLOW_LOOK = 0.5
# Seconds for which a node has to be dead before its turns are another's: it may live, and needs a moment to hear that
# it has lost the database, and to hang up on its models.
GRACE = 0.4


class _Waiter:
    """One turn of this node that waits for another node's.

    The session had that `version` when it got in line. A turn `of_the_dead` may have been answered before that, and
    nobody heard it.
    """

    def __init__(self, ticket: int, version: int, done: Deferred[Taken]) -> None:
        self.ticket = ticket
        self.version = version
        self.of_the_dead = False
        self.done = done
        self.asking = False


class Line:
    """One node's part of the lines for all sessions. `known` says which version of a session this node knows."""

    def __init__(self, threads: Threads, clock: Any, known: Callable[[str], int | None]) -> None:
        self._threads = threads
        self._version_known = known
        self.node: int | None = None
        # The turns that this node has, by session: their tickets, and the memos that came with them.
        self._held: dict[str, tuple[int, str]] = {}
        self._waiters: dict[str, list[_Waiter]] = {}
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        # Since when nodes are known to be dead; of the writing thread.
        self._dead: dict[int, float] = {}

    def ticket(self, session_id: str) -> int | None:
        """That of the session's turn, if this node has it."""
        held = self._held.get(session_id)
        return None if held is None else held[0]

    def take(self, session_id: str, waits: Callable[[], None]) -> Deferred[Taken]:
        """See `ISharedStore`."""
        node = self.node
        if node is None:
            return fail(self._threads.away())
        done: Deferred[Taken] = Deferred(lambda done: self._waits_no_more(session_id, done))
        question = partial(_take_or_wait, session_id=session_id, node=node)
        asked = self._threads.ask(session_id, question, Phase.BEFORE)
        asked.addCallback(self._taken, session_id, waits, done)
        asked.addErrback(lambda failure: None if done.called else done.errback(failure))
        return done

    def give_back(self, session_id: str, memo: str) -> None:
        """See `ISharedStore`."""
        held = self._held.pop(session_id, None)
        if held is not None:
            ticket, came = held
            new = memo if memo != came else None
            question = partial(_give_back, session_id=session_id, ticket=ticket, new_memo=new)
            self._threads.ask_quietly(session_id, question)

    def try_again(self, session_id: str, is_dead: bool = False) -> None:
        """The turn may be free; it was a node's that `is_dead`."""
        node = self.node
        for waiter in self._waiters.get(session_id, ())[:1]:
            waiter.of_the_dead |= is_dead
            if waiter.asking or node is None:
                return
            waiter.asking = True
            take = partial(self._take_or_bury, session_id=session_id, node=node, ticket=waiter.ticket)
            asked = self._threads.write(take, Phase.BEFORE)
            asked.addCallbacks(
                partial(self._tried, session_id, waiter), partial(self._not_tried, session_id, waiter)
            )

    def give_up(self) -> None:
        """Whoever waits does so under a number that means nothing any more."""
        for session_id, waiters in list(self._waiters.items()):
            for waiter in list(waiters):
                self._not_tried(session_id, waiter, Failure(self._threads.away()))

    # -- inside

    def _taken(
        self,
        outcome: tuple[int | None, int | None, int, int, str],
        session_id: str,
        waits: Callable[[], None],
        done: Deferred[Taken],
    ) -> None:
        ticket, place, before, version, memo = outcome
        if ticket is not None:
            self._has(session_id, ticket, done, version, memo)
            return
        assert place is not None
        waiter = _Waiter(place, before, done)
        self._waiters.setdefault(session_id, []).append(waiter)
        if done.called:
            self._waits_no_more(session_id, done)
            return
        if not self._looking.running:
            self._looking.start(SLOW_LOOK, now=False)
        waits()
        # It may have been given back while we got in line.
        self.try_again(session_id)

    def _has(
        self,
        session_id: str,
        ticket: int,
        done: Deferred[Taken],
        version: int,
        memo: str,
        waited: bool = False,
        answered: bool = False,
    ) -> None:
        self._held[session_id] = ticket, memo
        if done.called:
            self.give_back(session_id, memo)
            return
        known = self._version_known(session_id)
        taken = Taken(
            current=known == version,
            new=known is None and not version,
            waited=waited,
            answered=answered,
            memo=memo,
        )
        done.callback(taken)

    def _tried(self, session_id: str, waiter: _Waiter, outcome: tuple[int, str, bool] | None) -> None:
        waiter.asking = False
        if waiter not in self._waiters.get(session_id, ()):
            # This node has another number by now, and what it took is a dead node's.
            return
        if outcome is None:
            if waiter.done.called:
                self._waits_no_more(session_id, waiter.done)
            return
        self._forget(session_id, waiter)
        version, memo, has_buried = outcome
        answered = has_buried or waiter.of_the_dead or version != waiter.version
        self._has(session_id, waiter.ticket, waiter.done, version, memo, waited=True, answered=answered)

    def _not_tried(self, session_id: str, waiter: _Waiter, failure: Failure) -> None:
        waiter.asking = False
        self._forget(session_id, waiter)
        if not waiter.done.called:
            waiter.done.errback(failure)

    def _waits_no_more(self, session_id: str, done: Deferred[Taken]) -> None:
        waiter = next((each for each in self._waiters.get(session_id, ()) if each.done is done), None)
        if waiter is not None and not waiter.asking:
            # One that is asking will hear whether the turn is its own, and give it back.
            self._forget(session_id, waiter)
            self._threads.quietly(partial(_leave, session_id=session_id, ticket=waiter.ticket))

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
            self.try_again(session_id)

    # -- in the writing thread

    def _take_or_bury(
        self, database: Database, session_id: str, node: int, ticket: int
    ) -> tuple[int, str, bool] | None:
        """Version and memo of the session if the turn is ours now, and whether a node was buried for that."""
        connection, has_buried = database.connection, False
        taken = turns.take_next(connection, session_id, node, ticket)
        if not taken:
            others = turns.holders(connection, session_id) - {node}
            buried = [self._bury(database, each) for each in others]
            if has_buried := any(buried):
                taken = turns.take_next(connection, session_id, node, ticket)
        if not taken:
            return None
        [(version, memo)] = turns.ask_state(connection, session_id)
        return version, memo, has_buried

    def _bury(self, database: Database, node: int) -> bool:
        """Buries a node that has been dead for a moment; whether it did."""
        if not turns.is_dead(database.connection, node):
            self._dead.pop(node, None)
            return False
        since = self._dead.setdefault(node, time.monotonic())
        if time.monotonic() - since < GRACE:
            return False
        del self._dead[node]
        return turns.bury(database.connection, node)

    def bury_dead(self, database: Database, living: set[int]) -> None:
        """Buries all the others, so that nothing remains of nodes whose sessions nobody asks for."""
        rows = database.connection.execute("SELECT node FROM nodes").fetchall()
        for (node,) in rows:
            if node not in living:
                self._bury(database, node)


def _leave(database: Database, session_id: str, ticket: int) -> None:
    turns.leave(database.connection, ticket)
    turns.wake(database.connection, session_id)


def _give_back(database: Database, session_id: str, ticket: int, new_memo: str | None) -> Callable[[], None]:
    if new_memo is not None:
        turns.keep_memo(database.connection, session_id, ticket, new_memo)
    turns.give_back(database.connection, session_id, ticket)
    return _nothing


def _take_or_wait(
    database: Database, session_id: str, node: int
) -> Callable[[], tuple[int | None, int | None, int, int, str]]:
    """The ticket if the turn was free, else the place in the line with the version before; version and memo."""
    tickets = turns.take_or_wait(database.connection, session_id, node)
    state = turns.ask_state(database.connection, session_id)

    def answer() -> tuple[int | None, int | None, int, int, str]:
        [(ticket, place, before)], [(version, memo)] = tickets, state
        return ticket, place, before, version, memo

    return answer


def _nothing() -> None:
    """There is no answer."""
