"""From a user's message to a committed answer: prompt and window, the model, the history, the store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from .errors import ContextTooLong, ModelError
from .history import estimate_all, estimate_tokens, prompt_budget, window
from .session import Session
from .turn import Turn
from .types import ChatTurn, Message, ModelRequest, ModelResult, Options, Usage

if TYPE_CHECKING:
    from .agent import Agent

# Token estimates can be off by this much before a second refusal.
SAFETY = 0.8


class Conversation:
    """The part of a turn that reaches a model. `message_limits` and `prompt_folders` are by model key."""

    log = Logger()

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

    async def system_prompt(self, key: str) -> Message:
        """The model's system message."""
        prompt = await self._agent.prompts.prompt(self._prompt_folders.get(key))
        return Message(role="system", content=prompt.text)

    async def ask(self, session: Session, key: str, text: str, asked: ChatTurn, turn: Turn) -> None:
        """Runs `text`, the prompt in what was `asked`, through the model `key` and commits what came of it.

        A turn that was cut short keeps the text so far, marked as interrupted; one without any text leaves no
        trace, so that the history never holds two messages of the user in a row.
        """
        reply = turn.reply
        info = self._agent.backends[key].info()
        if asked.images and not info.vision:
            reply.say(
                f"The model '{key}' cannot see pictures. Choose one that can with !model, or send text only."
            )
            reply.finish()
            return
        user = Message(role="user", content=text, images=asked.images)
        try:
            result, usage = await self._complete(session, key, user, asked.options, turn)
        except (ModelError, CancelledError):
            await self._commit(session, user, turn, interrupted=True)
            raise
        if not reply.transcript:
            reply.say("[the model gave no answer; ask again, or choose another model with !model]")
        await self._commit(session, user, turn)
        reply.finish(result, usage)

    async def _complete(
        self, session: Session, key: str, user: Message, options: Options, turn: Turn
    ) -> tuple[ModelResult, Usage]:
        """Asks the model; if it refuses the prompt for its length, once more with a shorter one."""
        model = self._agent.backends[key]
        system = await self.system_prompt(key)
        history = [*session.messages, user]
        length = model.info().context_length
        budget = prompt_budget(length) - estimate_tokens(system) if length else None
        messages = [system, *window(history, self.message_limit(key), budget)]
        request = ModelRequest(messages=messages, options=options, session_id=session.session_id)
        turn.reply.asking()
        try:
            result = await model.chat(request, turn.reply)
        except ContextTooLong as refusal:
            if turn.reply.begun or len(messages) <= 2:
                raise
            messages = [system, *_shorter(messages[1:], refusal)]
            self.log.info(
                "{session}: the prompt was too long for {model}, trying with {count} messages",
                session=session.session_id,
                model=key,
                count=len(messages),
            )
            result = await model.chat(replace(request, messages=messages), turn.reply)
        return result, Usage(estimate_all(messages), turn.reply.tokens)

    async def _commit(self, session: Session, user: Message, turn: Turn, interrupted: bool = False) -> None:
        turn.seal()
        if not turn.reply.transcript:
            return
        answer = Message(role="assistant", content=turn.reply.transcript.text(), interrupted=interrupted)
        messages = [user, answer]
        await self._agent.store.append(session.session_id, messages)
        session.remember(messages, self._agent.limits.history_max_ctx)


def _shorter(messages: list[Message], refusal: ContextTooLong) -> list[Message]:
    """What is tried after a refusal: by the server's own numbers, or else the user's message alone."""
    if not refusal.prompt_tokens or not refusal.context_length:
        return messages[-1:]
    share = prompt_budget(refusal.context_length) / refusal.prompt_tokens
    return window(messages, len(messages), int(estimate_all(messages) * share * SAFETY))
