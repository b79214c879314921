"""From a user's message to a committed answer: the model and its tools, the history, the store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from .errors import ModelError
from .exchange import Exchange
from .prompts import Prompt
from .session import Session
from .toolloop import ToolLoop
from .turn import Turn
from .types import ChatTurn, Message

if TYPE_CHECKING:
    from .agent import Agent


class Conversation:
    """The part of a turn that reaches a model. `message_limits` and `prompt_folders` are by model key."""

    def __init__(
        self, agent: "Agent", message_limits: Mapping[str, int], prompt_folders: Mapping[str, str]
    ) -> None:
        self._agent = agent
        self._message_limits = message_limits
        self._prompt_folders = prompt_folders

    def message_limit(self, key: str) -> int:
        """How many messages of history the model gets: its own limit under the agent's ceiling."""
        ceiling = self._agent.limits.history_max_ctx
        return min(ceiling, self._message_limits.get(key, ceiling))

    async def prompt(self, key: str) -> Prompt:
        """The model's system prompt."""
        return await self._agent.prompts.prompt(self._prompt_folders.get(key))

    async def system_prompt(self, key: str) -> Message:
        """The model's system message."""
        return Message(role="system", content=(await self.prompt(key)).text)

    async def ask(self, session: Session, key: str, text: str, asked: ChatTurn, turn: Turn) -> None:
        """Runs `text`, the prompt in what was `asked`, through the model `key` and commits what came of it.

        A turn that was cut short keeps what was said and done so far, marked as interrupted; one without any of
        that leaves no trace, so that the history never holds two messages of the user in a row.
        """
        info = self._agent.backends[key].info()
        if asked.images and not info.vision:
            turn.reply.say(
                f"The model '{key}' cannot see pictures. Choose one that can with !model, or send text only."
            )
            turn.reply.finish()
            return
        user = Message(role="user", content=text, images=asked.images)
        exchange = Exchange(key=key, messages=[user], options=asked.options)
        try:
            await ToolLoop(self._agent, session, exchange, turn).run()
        except (ModelError, CancelledError):
            await self._commit(session, exchange, turn, interrupted=True)
            raise
        if not turn.reply.transcript:
            turn.reply.say("[the model gave no answer; ask again, or choose another model with !model]")
        await self._commit(session, exchange, turn)
        turn.reply.finish()

    async def _commit(
        self, session: Session, exchange: Exchange, turn: Turn, interrupted: bool = False
    ) -> None:
        turn.seal()
        # The words before a round's calls are part of that round.
        answer = "" if exchange.calls else turn.reply.transcript.text()
        messages = exchange.conclude(answer, interrupted)
        if messages:
            await self._agent.store.append(session.session_id, messages)
            session.remember(messages, self._agent.limits.history_max_ctx)
