"""From a user's message to a committed answer: the model and its tools, the history, the store."""

from twisted.internet.defer import CancelledError

from ...seams.errors import ModelError
from ...seams.interfaces import ISessionStore
from ...seams.types import ChatTurn, Message
from ..calls.gates import Gates
from ..calls.runner import DENIED
from ..sessions.edits import is_first, mark_of, retry_point, rewind_point, rounds_of
from ..sessions.eraser import Eraser
from ..sessions.session import Session
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


class Conversation:
    """The part of a turn that reaches a model."""

    def __init__(self, means: Means, store: ISessionStore, eraser: Eraser) -> None:
        self._means = means
        self._backends = means.backends
        self._limits = means.bench.limits
        self._store = store
        self._eraser = eraser

    async def ask(self, session: Session, key: str, text: str, asked: ChatTurn, turn: Turn) -> None:
        """Runs `text`, the prompt in what was `asked`, through the model `key` and commits what came of it.

        A turn that was cut short keeps what was said and done so far, marked as interrupted; one without any of
        that leaves no trace, so that the history never holds two messages of the user in a row.
        """
        info = self._backends[key].info()
        if asked.images and not info.vision:
            turn.reply.say(
                f"The model '{key}' cannot see pictures. Choose one that can with !model, or send text only."
            )
            turn.reply.finish()
            return
        rounds = await self._follow(session, text, asked)
        mark = mark_of(session.messages, asked.trail)
        user = Message(role="user", content=text, material=asked.material, images=asked.images, mark=mark)
        exchange = Exchange(
            key=key,
            messages=[user, *rounds],
            options=asked.options,
            rounds=sum(bool(message.tool_calls) for message in rounds),
            depth=turn.caller.depth,
        )
        await self._carry_on(session, exchange, turn)

    async def resume(self, session: Session, parked: Parked, decision: Decision, turn: Turn) -> None:
        """Takes up a turn that waited for the user's leave, from where it stood; it is not parked any more."""
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
        await self._carry_on(session, exchange, turn)

    async def give_up(self, session: Session, result: str = UNANSWERED) -> None:
        """Ends a parked turn without an answer, if there is one; what was said and done goes into the history."""
        parked = parked_turn(session)
        if parked is not None:
            parked.exchange.settle(result)
            unpark(session)
            await self._save(session)
            await self._remember(session, parked.exchange.conclude("", interrupted=True))

    async def _follow(self, session: Session, text: str, asked: ChatTurn) -> list[Message]:
        """Takes the session back to where the user went back in the app, or begins it anew with a new chat.

        Gives the rounds of tools that another try of the last message takes over, so that they do not run twice.
        """
        rounds: list[Message] = []
        keep = retry_point(session.messages, asked, text)
        if keep is not None:
            rounds = rounds_of(session.messages[keep:])
        elif self._limits.follow_edits:
            keep = rewind_point(session.messages, asked)
        if keep is not None:
            for _, model in self._backends.keeping():
                model.rewind(session.session_id)
            await self._store.rewind(session.session_id, session.rewind(keep))
        elif self._limits.new_chat == "reset" and session.message_count and is_first(asked.trail):
            await self._eraser.forget(session)
        return rounds

    async def _carry_on(self, session: Session, exchange: Exchange, turn: Turn) -> None:
        reply = turn.reply
        loop = ToolLoop(self._means, session, exchange, turn)
        try:
            waiting = await loop.run()
        except (ModelError, CancelledError):
            await self._commit(session, exchange, turn, interrupted=True)
            raise
        if waiting:
            turn.seal()
            bench = self._means.bench
            question = park(session, exchange, waiting, bench.clock.seconds(), bench.wall())
            await self._save(session)
            reply.say(question)
        else:
            cut = _CUT.get(reply.ending, "")
            if cut:
                reply.say(f"\n\n{cut}" if reply.transcript else cut)
            elif not reply.transcript:
                reply.say("[the model gave no answer; ask again, or choose another model with !model]")
            await self._commit(session, exchange, turn, interrupted=bool(cut))
        reply.finish()

    async def _commit(
        self, session: Session, exchange: Exchange, turn: Turn, interrupted: bool = False
    ) -> None:
        turn.seal()
        # The words before a round's calls are part of that round.
        answer = "" if exchange.calls else turn.reply.transcript.text()
        await self._remember(session, exchange.conclude(answer, interrupted))

    async def _remember(self, session: Session, messages: list[Message]) -> None:
        if messages:
            messages = [kept(message) for message in messages]
            await self._store.append(session.session_id, messages)
            session.remember(messages, self._limits.history_max_ctx)

    async def _save(self, session: Session) -> None:
        await self._store.save_settings(session.session_id, session.model, session.settings)
