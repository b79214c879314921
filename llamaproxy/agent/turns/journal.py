"""The journal of a turn: what it has done so far is in the store while it goes on, and is found there after a crash.

The calls of a round are written down before they run, and what came of them before the model is asked again. So a call
whose result is missing is one that began and whose end nobody knows.
"""

from collections.abc import Sequence
from functools import partial

from twisted.internet.defer import Deferred

from ...seams.apps import AppResult
from ...seams.errors import NotYetStored
from ...seams.interfaces import ISessionStore
from ...seams.types import Message
from ..sessions.history import last_turn_start
from ..sessions.limits import Limits
from ..sessions.session import Session
from .exchange import Exchange
from .material import kept

UNKNOWN = (
    "[It is not known whether this call was carried out: the server stopped in the middle of it. It was not made "
    "again. Find out what became of it, or ask the user, before you repeat it.]"
)


class Journal:
    """Keeps exchanges in the `store`, and in the memory of their sessions."""

    def __init__(self, store: ISessionStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def keep(self, session: Session, exchange: Exchange) -> bool:
        """Returns once the store has what the exchange has so far; as `remember`."""
        new = exchange.messages[exchange.stored :]
        if not new:
            return True
        known = await self.remember(session, exchange, new)
        exchange.stored, exchange.after = len(exchange.messages), None
        return known

    async def remember(self, session: Session, exchange: Exchange, messages: Sequence[Message]) -> bool:
        """Keeps the messages; whether they are in the store by now, and not in memory only."""
        if not messages:
            return True
        after, branch = exchange.after, session.branch
        length = session.message_count if after is None else after.length
        lasting = [kept(message) for message in messages]
        late: Deferred[int] | None = None
        try:
            branch = await self._store.append(session.session_id, lasting, after)
        except NotYetStored as not_yet:
            late = not_yet.written
        session.remember(lasting, branch, length, self._limits.history_max_ctx)
        if late is not None:
            late.addCallback(partial(setattr, session, "branch"))
        return late is None

    async def restore(self, session: Session, exchange: Exchange) -> bool:
        """Gives an exchange its messages back, of which it has the first one; whether the history has them.

        It has not if the conversation went on from elsewhere.
        """
        if session.message_count != exchange.begins + exchange.stored:
            return False
        missing = exchange.stored - 1
        if missing > len(session.messages):
            stored = await self._store.load(session.session_id, missing)
            messages = stored.messages if stored is not None else ()
        else:
            messages = tuple(session.messages)
        exchange.messages += messages[len(messages) - missing :]
        return True

    def cut_off(self, session: Session, results: Sequence[AppResult]) -> Exchange | None:
        """The turn that these results of an app's tools belong to, and that a crash cut off once it had them."""
        messages = session.messages
        if not (messages and messages[-1].role == "tool"):
            return None
        turn = messages[last_turn_start(messages) :]
        calls = [call for message in turn for call in message.tool_calls]
        if not all(
            result.call_id in {call.id for call in calls}
            if result.call_id
            else result.name in {"", *(call.name for call in calls)}
            for result in results
        ):
            return None
        cut = Exchange(key="", messages=turn, begins=session.message_count - len(turn))
        cut.stored = cut.taken = len(turn)
        return cut

    async def close(self, session: Session) -> None:
        """Ends the turn that a crash cut off, with which the history ends."""
        messages = session.messages
        cut = Exchange(key="", messages=messages[last_turn_start(messages) :])
        cut.stored = cut.taken = len(cut.messages)
        take_up(cut)
        cut.settle(UNKNOWN)
        cut.taken = 0
        await self.remember(session, cut, cut.conclude("", interrupted=True))


def take_up(exchange: Exchange) -> None:
    """Finds the calls of an exchange that began and have no end."""
    last = exchange.messages[-1]
    if last.tool_calls:
        exchange.calls, exchange.extra = last.tool_calls, last.extra
