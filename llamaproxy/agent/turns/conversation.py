"""From a user's message to a committed answer: the model and its tools, the history, the store."""

from collections.abc import Coroutine, Sequence
from typing import Any

from twisted.internet.defer import CancelledError

from ...seams.errors import BadRequest, ModelError
from ...seams.gates import Need
from ...seams.interfaces import ISessionStore
from ...seams.openings import opening_of
from ...seams.oversight import Decision
from ...seams.types import ChatTurn, Given, Message, ToolCall
from ..calls.gates import Gates
from ..calls.runner import DENIED
from ..sessions.branches import Branches
from ..sessions.edits import is_unfinished, mark_of, unheard, was_answered
from ..sessions.session import Session
from ..sessions.stored import for_sure, soon
from ..sessions.turn import Turn
from .approvals import (
    NO_RESULT,
    NOT_RUN,
    UNANSWERED,
    Parked,
    hand_over,
    is_open,
    open_for_good,
    park,
    parked_turn,
    unpark,
)
from .exchange import Exchange
from .inquiries import Inquiries
from .journal import UNKNOWN, Journal, take_up
from .results import put_results
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
# Characters of what an app was told that are remembered while it runs its tools; an answer is known by its first ones.
_TOLD = 2000


# What the user hears of an answer that somebody else gave.
HEARD = {
    "yes": "\n\n[The operator allowed it.]\n\n",
    "always": "\n\n[The operator allowed it for this session.]\n\n",
    "no": "\n\n[The operator said no.]\n\n",
}


class Conversation:
    """The part of a turn that reaches a model."""

    def __init__(self, means: Means, store: ISessionStore, branches: Branches, inquiries: Inquiries) -> None:
        self._means = means
        self._backends = means.backends
        self._store = store
        self._branches = branches
        self._inquiries = inquiries
        self._journal = Journal(store, means.bench.limits)

    async def begin(
        self, session: Session, key: str, text: str, asked: ChatTurn, turn: Turn
    ) -> Exchange | None:
        """What `text`, the prompt in what was `asked`, begins for the model `key`; None if the reply says why not."""
        turn.record.hear(asked=text)
        info = self._backends[key].info()
        if asked.images and not info.vision:
            turn.reply.say(
                f"The model '{key}' cannot see pictures. Choose one that can with !model, or send text only."
            )
            turn.reply.finish()
            return None
        if turn.deserted and was_answered(session.kept, asked):
            # It lay about in a process that stood still, or on the way, and was sent again meanwhile.
            raise CancelledError
        place = await self._branches.place(session, asked, text, turn.late)
        if place.after is None and is_unfinished(session.kept.messages):
            await self._journal.close(session)
        if place.note:
            turn.reply.preface(place.note)
        mark = mark_of(asked, place.linked)
        if place.stored:
            text = place.stored[0].content
        elif asked.unanswered:
            before = session.messages if place.after is None else session.kept.until(place.after.length)
            text = "\n\n".join(filter(None, [*unheard(before, asked), text]))
        user = Message(role="user", content=text, material=asked.material, images=asked.images, mark=mark)
        stored = len(place.stored)
        exchange = Exchange(
            key=key,
            messages=[user, *place.stored[1:]],
            begins=session.message_count if place.after is None else place.after.length - stored,
            after=place.after,
            stored=stored,
            taken=stored,
            options=asked.options,
            rounds=len([message for message in place.stored if message.tool_calls]),
            depth=turn.caller.depth,
        )
        take_up(exchange)
        return exchange

    def answer(self, session: Session, exchange: Exchange, turn: Turn) -> Coroutine[Any, Any, None]:
        """Runs an exchange that was begun through its model and commits what came of it.

        A turn that was cut short keeps what was said and done so far, marked as interrupted; one without any of
        that leaves no trace, so that the history never holds two messages of the user in a row.
        """
        return self._carry_on(session, exchange, turn, unsure=self._settled(exchange, turn))

    async def resume(
        self, session: Session, parked: Parked, decision: Decision, turn: Turn, answer: str = ""
    ) -> None:
        """Takes up a turn that waited for the user's leave, from where it stood; it is not parked any more.

        `answer` is what they said to a tool's question.
        """
        exchange = parked.exchange
        if not await self._journal.restore(session, exchange):
            turn.reply.say("The conversation has gone on since; nothing was run.")
            turn.reply.finish()
            return
        exchange.depth = max(exchange.depth, turn.caller.depth)
        if exchange.key not in self._backends.open_to(turn.caller.grants):
            exchange.key = session.model
        if decision == "always":
            open_for_good(
                parked, Gates(session.settings, self._means.bench.gate_defaults, turn.caller.grants.gates)
            )
            await self._save(session)
        if decision == "no":
            exchange.settle(DENIED)
        if not turn.app.tools:
            # Who gives leave may be another app than the one whose tools were called.
            exchange.settle_app(NOT_RUN)
        turn.leave = parked.needs
        turn.answer = answer if parked.asks else None
        await self._carry_on(session, exchange, turn)

    async def take_results(self, session: Session, asked: ChatTurn, turn: Turn) -> None:
        """Takes up the turn that waits for what the app has `asked` along: results of its own tools.

        Where the user says something beside them, the turn ends with the results. Raises `BadRequest` if nothing
        waits for them.
        """
        parked = parked_turn(session)
        exchange = parked.exchange if parked is not None and not parked.code else None
        if exchange is not None and not await self._journal.restore(session, exchange):
            exchange = None
        if exchange is None and (cut_off := self._journal.cut_off(session, asked.app.results)) is not None:
            unpark(session)
            await self._save(session)
            cut_off.key = session.model
            cut_off.options = asked.options
            await self._carry_on(session, cut_off, turn)
            return
        bench = self._means.bench
        if (
            parked is None
            or exchange is None
            or not is_open(session, parked, bench.clock.seconds(), bench.wall())
        ):
            if not asked.app.is_answer:
                return
            raise BadRequest(
                "No call of a tool waits for these results: the turn they belong to is over, since the user sent "
                "another message or it took too long, or it was never asked for here. Send the user's message again."
            )
        if unknown := put_results(exchange, asked.app.results):
            if not asked.app.is_answer:
                return
            raise BadRequest(f"There was no call of a tool with the id '{unknown[:80]}' in this turn.")
        if not asked.app.is_answer:
            exchange.settle_app(NOT_RUN)
            unpark(session)
            await self._end(session, exchange)
            return
        exchange.settle_app(NO_RESULT)
        exchange.close()
        unpark(session)
        await turn.undisturbed(self._journal.keep(session, exchange))
        await self._save(session)
        # The app counts its own rounds.
        exchange.rounds, exchange.last, exchange.corrected = 0, False, frozenset()
        exchange.options = asked.options
        if exchange.key not in self._backends.open_to(turn.caller.grants):
            exchange.key = session.model
        await self._carry_on(session, exchange, turn)

    async def give_up(self, session: Session, result: str = UNANSWERED) -> None:
        """Ends a parked turn without an answer, if there is one; what was said and done goes into the history."""
        parked = parked_turn(session)
        if parked is None:
            return
        unpark(session)
        exchange = parked.exchange
        if await self._journal.restore(session, exchange):
            exchange.settle(result)
            exchange.settle_app(NOT_RUN)
            await self._end(session, exchange)
        else:
            await self._save(session)

    async def _end(self, session: Session, exchange: Exchange) -> None:
        """Ends a turn that was parked, and is not any more."""
        place, told = exchange.told
        given = Given(place=place, opening=opening_of(told)) if place else None
        await self._journal.remember(session, exchange, exchange.conclude("", interrupted=True, given=given))
        await self._save(session)

    def _settled(self, exchange: Exchange, turn: Turn) -> bool:
        """Settles the calls that a crash cut off; whether the user is to be asked about them instead."""
        if not exchange.calls:
            return False
        calls = exchange.pending()
        tools = self._means.bench.toolbox
        asks = self._means.bench.limits.gate_mode == "ask" and turn.caller.rights == "all"
        if calls and asks and all(tools.get(call.name) for call in calls):
            return True
        exchange.settle(UNKNOWN)
        return False

    async def _carry_on(self, session: Session, exchange: Exchange, turn: Turn, unsure: bool = False) -> None:
        reply = turn.reply
        waiting: Sequence[tuple[ToolCall, list[Need]]] = (
            [(call, []) for call in exchange.pending()] if unsure else ()
        )
        try:
            waiting = waiting or await ToolLoop(self._means, session, exchange, turn, self._journal).run()
        except (ModelError, CancelledError):
            _note_answer(turn)
            await self._commit(session, exchange, turn, interrupted=True)
            raise
        if waiting or (exchange.calls and exchange.handed_over()):
            turn.seal()
            await self._journal.keep(session, exchange)
            await self._wait(session, exchange, turn, waiting)
            if waiting and await self._resumed(session, turn):
                return
            turn.record.break_off("asked")
        else:
            cut = _CUT.get(reply.ending, "")
            if cut:
                reply.say(f"\n\n{cut}" if reply.transcript else cut)
            elif not reply.transcript:
                reply.say("[the model gave no answer; ask again, or choose another model with !model]")
            await self._commit(session, exchange, turn, interrupted=bool(cut))
            turn.record.break_off("cut" if cut else "done")
        _note_answer(turn)
        reply.finish()

    async def _resumed(self, session: Session, turn: Turn) -> bool:
        """Whether the operator answered the question while its reply was still open, and the turn went on in it."""
        if not turn.record.streamed:
            return False
        try:
            decision = await turn.disturbed(self._inquiries.answer(session.session_id))
        except CancelledError:
            return False
        parked = parked_turn(session)
        if decision is None or parked is None:
            return False
        unpark(session)
        await for_sure(self._store.save_settings(session.session_id, session.model, session.settings))
        turn.reply.say(HEARD[decision])
        # What the app was told before is in this very reply.
        parked.exchange.told = ("", "")
        await self.resume(session, parked, decision, turn)
        return True

    async def _wait(
        self,
        session: Session,
        exchange: Exchange,
        turn: Turn,
        waiting: Sequence[tuple[ToolCall, list[Need]]],
    ) -> None:
        """Parks the turn: for the user's leave, or until the app has run its tools."""
        bench, reply = self._means.bench, turn.reply
        now, today = bench.clock.seconds(), bench.wall()
        exchange.told = (turn.place, (_told_before(exchange, turn) + reply.text())[:_TOLD])
        if waiting:
            question = park(session, exchange, waiting, now, today)
            await self._save(session)
            reply.say(question)
        else:
            hand_over(session, exchange, now, today)
            await self._save(session)
            reply.hand_over(exchange.handed_over())

    async def _commit(
        self, session: Session, exchange: Exchange, turn: Turn, interrupted: bool = False
    ) -> None:
        turn.seal()
        unheard_of = interrupted and not turn.reply.heard
        # The words before a round's calls are part of that round.
        answer = "" if exchange.calls or unheard_of else turn.reply.transcript.text()
        given = None
        if place := turn.place:
            said = _told_before(exchange, turn) + turn.reply.text()
            given = Given(place=place, opening=opening_of(said))
        messages = exchange.conclude(answer, interrupted, given)
        if not await self._journal.remember(session, exchange, messages):
            turn.reply.murmur(NOT_YET)

    async def _save(self, session: Session) -> None:
        await soon(self._store.save_settings(session.session_id, session.model, session.settings), None)


def _note_answer(turn: Turn) -> None:
    if turn.record.keeps_words:
        turn.record.hear(answered=turn.reply.text())


def _told_before(exchange: Exchange, turn: Turn) -> str:
    """What the app was sent of the turn before, where it shows that in the same place as what it is sent now."""
    place, told = exchange.told
    return told if place and place == turn.place else ""
