"""From a user's message to a committed answer: the model and its tools, the history, the store."""

from functools import partial

from twisted.internet.defer import CancelledError, Deferred

from ...seams.errors import ModelError, NotYetStored
from ...seams.interfaces import ISessionStore
from ...seams.openings import opening_of
from ...seams.types import ChatTurn, Given, Message
from ..calls.gates import Gates
from ..calls.runner import DENIED
from ..sessions.branches import Branches
from ..sessions.edits import mark_of, unheard
from ..sessions.session import Session
from ..sessions.stored import soon
from ..sessions.turn import Turn
from .approvals import UNANSWERED, Decision, Parked, open_for_good, park, parked_turn, unpark
from .exchange import Exchange
from .material import kept
from .toolloop import Means, ToolLoop

# What the user hears of an answer that would have been longer, by `Finish`.
_CUT = {
    "content_filter": "[The answer ends here: a filter of the model's server stopped it.]",
    "refusal": "[The answer ends here: the model refused to go on.]",
    "pause_turn": "[The model paused here. Ask it to go on.]",
}


NOT_YET = (
    "\n[This is not saved yet: another program holds the server's database. It is kept in memory, and saved once that "
    "program lets go.]\n"
)


class Conversation:
    """The part of a turn that reaches a model."""

    def __init__(self, means: Means, store: ISessionStore, branches: Branches) -> None:
        self._means = means
        self._backends = means.backends
        self._limits = means.bench.limits
        self._store = store
        self._branches = branches

    async def ask(self, session: Session, key: str, text: str, asked: ChatTurn, turn: Turn) -> None:
        """Runs `text`, the prompt in what was `asked`, through the model `key` and commits what came of it.

        A turn that was cut short keeps what was said and done so far, marked as interrupted; one without any of
        that leaves no trace, so that the history never holds two messages of the user in a row.
        """
        turn.record.hear(asked=text)
        info = self._backends[key].info()
        if asked.images and not info.vision:
            turn.reply.say(
                f"The model '{key}' cannot see pictures. Choose one that can with !model, or send text only."
            )
            turn.reply.finish()
            return
        place = await self._branches.place(session, asked, text, turn.late)
        if place.note:
            turn.reply.preface(place.note)
        mark = mark_of(asked, place.linked)
        if place.stored:
            text = place.stored[0].content
        else:
            before = session.messages if place.after is None else session.until(place.after.length)
            text = "\n\n".join(filter(None, [*unheard(before, asked), text]))
        user = Message(role="user", content=text, material=asked.material, images=asked.images, mark=mark)
        exchange = Exchange(
            key=key,
            messages=[user, *place.stored[1:]],
            after=place.after,
            stored=len(place.stored),
            options=asked.options,
            rounds=sum(bool(message.tool_calls) for message in place.stored),
            depth=turn.caller.depth,
        )
        await self._carry_on(session, exchange, turn)

    async def resume(
        self, session: Session, parked: Parked, decision: Decision, turn: Turn, answer: str = ""
    ) -> None:
        """Takes up a turn that waited for the user's leave, from where it stood; it is not parked any more.

        `answer` is what they said to a tool's question.
        """
        exchange = parked.exchange
        exchange.depth = max(exchange.depth, turn.caller.depth)
        if exchange.key not in self._backends:
            exchange.key = session.model
        if decision == "always":
            open_for_good(parked, Gates(session.settings, self._means.bench.gate_defaults))
            await self._save(session)
        if decision == "no":
            exchange.settle(DENIED)
        turn.leave = parked.needs
        turn.answer = answer if parked.asks else None
        await self._carry_on(session, exchange, turn)

    async def give_up(self, session: Session, result: str = UNANSWERED) -> None:
        """Ends a parked turn without an answer, if there is one; what was said and done goes into the history."""
        parked = parked_turn(session)
        if parked is not None:
            parked.exchange.settle(result)
            unpark(session)
            await self._save(session)
            await self._remember(session, parked.exchange, parked.exchange.conclude("", interrupted=True))

    async def _carry_on(self, session: Session, exchange: Exchange, turn: Turn) -> None:
        reply = turn.reply
        loop = ToolLoop(self._means, session, exchange, turn)
        try:
            waiting = await loop.run()
        except (ModelError, CancelledError):
            turn.record.hear(answered=reply.text())
            await self._commit(session, exchange, turn, interrupted=True)
            raise
        if waiting:
            turn.seal()
            bench = self._means.bench
            question = park(session, exchange, waiting, bench.clock.seconds(), bench.wall())
            await self._save(session)
            reply.say(question)
            turn.record.break_off("asked")
        else:
            cut = _CUT.get(reply.ending, "")
            if cut:
                reply.say(f"\n\n{cut}" if reply.transcript else cut)
            elif not reply.transcript:
                reply.say("[the model gave no answer; ask again, or choose another model with !model]")
            await self._commit(session, exchange, turn, interrupted=bool(cut))
            turn.record.break_off("cut" if cut else "done")
        turn.record.hear(answered=reply.text())
        reply.finish()

    async def _commit(
        self, session: Session, exchange: Exchange, turn: Turn, interrupted: bool = False
    ) -> None:
        turn.seal()
        # The words before a round's calls are part of that round.
        answer = "" if exchange.calls else turn.reply.transcript.text()
        place = turn.place
        given = Given(place=place, opening=opening_of(turn.reply.text())) if place else None
        if not await self._remember(session, exchange, exchange.conclude(answer, interrupted, given)):
            turn.reply.murmur(NOT_YET)

    async def _remember(self, session: Session, exchange: Exchange, messages: list[Message]) -> bool:
        """Keeps the messages; whether they are in the store by now, and not in memory only."""
        if not messages:
            return True
        after, branch = exchange.after, session.branch
        length = session.message_count if after is None else after.length
        messages = [kept(message) for message in messages]
        late: Deferred[int] | None = None
        try:
            branch = await self._store.append(session.session_id, messages, after)
        except NotYetStored as not_yet:
            late = not_yet.written
        session.remember(messages, branch, length, self._limits.history_max_ctx)
        if late is not None:
            late.addCallback(partial(setattr, session, "branch"))
        return late is None

    async def _save(self, session: Session) -> None:
        await soon(self._store.save_settings(session.session_id, session.model, session.settings), None)
