"""The agent: takes one message of one caller through session, commands and model to a committed reply."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..seams.errors import NoEmbedder, Stopping
from ..seams.interfaces import IAgent, IEmbedder, IKeepsHistory, IModel, IPeers, IReply, ISessionStore
from ..seams.types import Caller, ChatTurn, Embeddings, Message, ModelInfo
from .aside import ask_aside
from .calls.agentcall import AgentCall, conversation_id
from .calls.delegation import Delegation, LlmCall
from .calls.gates import GateMap
from .calls.prompttools import ReadSystemPrompt, UpdateSystemPrompt
from .calls.toolbox import Toolbox
from .commands import Commands
from .commands.script import Script, TooManyCommands
from .prompts import PromptFiles
from .sessions.history import estimate_all
from .sessions.limits import Limits
from .sessions.peers import Alone
from .sessions.session import Session, Sessions
from .sessions.turn import Turn
from .turns.approvals import parked_turn, reminder
from .turns.conversation import Conversation

REAPER_INTERVAL = 60.0


@implementer(IAgent)
class Agent:
    """The built-in agent. `models` are the enabled ones in the registry's order, `default` is one of their keys."""

    log = Logger()

    def __init__(
        self,
        models: Mapping[str, IModel],
        default: str,
        store: ISessionStore,
        prompts: PromptFiles,
        clock: IReactorTime,
        limits: Limits | None = None,
        message_limits: Mapping[str, int] | None = None,
        prompt_folders: Mapping[str, str] | None = None,
        embedders: Mapping[str, IEmbedder] | None = None,
        toolbox: Toolbox | None = None,
        gate_defaults: GateMap | None = None,
        delegation: Delegation | None = None,
        peers: IPeers | None = None,
    ) -> None:
        self.backends = models
        self._embedders = embedders or {}
        self.default = default
        self.store = store
        self.prompts = prompts
        self.clock = clock
        self.limits = limits or Limits()
        self.toolbox = toolbox or Toolbox()
        self.gate_defaults = gate_defaults or {}
        self.delegation = delegation or Delegation()
        self._delegating = (LlmCall(self), AgentCall(self))
        self.offer_delegation()
        self.peers = peers or Alone()
        self.peers.join(self)
        self.sessions = Sessions(store, clock.seconds, self.peers)
        self.conversation = Conversation(self, message_limits or {}, prompt_folders or {})
        self.started_at = clock.seconds()
        self.commands = Commands(self)
        self._turns: dict[Turn, Deferred[None]] = {}
        self._asides: set[Deferred[str]] = set()
        self._stopping = False
        self._reaper = LoopingCall(self.reap)
        self._reaper.clock = clock

    # -- IAgent

    def models(self) -> Sequence[ModelInfo]:
        """The enabled models to talk to, in the registry's order."""
        return [model.info() for model in self.backends.values()]

    def turn(self, caller: Caller, turn: ChatTurn) -> Deferred[IReply]:
        """Runs one turn; see `IAgent`."""
        session = self.sessions.get(caller.session_id)
        if session is not None and (same := session.turn_of(caller, turn)) is not None:
            return same.join(turn)
        running = Turn(self.clock, caller, turn, self.limits.retry_wait)
        reply = running.join(turn)
        done = self._turns[running] = running.run(self._run(running, caller, turn))
        done.addCallback(lambda _: self._turns.__delitem__(running))
        return reply

    def estimate(self, messages: Sequence[Message]) -> int:
        """About how many tokens the messages are."""
        return estimate_all(messages)

    def embedders(self) -> Sequence[ModelInfo]:
        """The enabled models that make embeddings, in the registry's order."""
        return [embedder.info() for embedder in self._embedders.values()]

    def embed(
        self, texts: Sequence[str], model: str = "", dimensions: int | None = None
    ) -> Deferred[Embeddings]:
        """Embeddings of `texts`; see `IAgent`."""
        embedder = self._embedders.get(model) or next(iter(self._embedders.values()), None)
        if embedder is None:
            return fail(
                NoEmbedder(
                    "No model here makes embeddings. "
                    "The operator can add one to llm-models.json, an entry with embedding set to true."
                )
            )
        return embedder.embed(texts, dimensions)

    def aside(self, turn: ChatTurn, system: str = "") -> Deferred[str]:
        """One completion outside any session; see `IAgent`."""
        if self._stopping:
            return fail(_stopping())
        timeout = self.delegation.time_limit(self.default)
        asking = Deferred.fromCoroutine(ask_aside(self.backends[self.default], turn, system, timeout=timeout))
        self._asides.add(asking)

        def over(result: str | Failure) -> str | Failure:
            self._asides.discard(asking)
            return result

        return asking.addBoth(over)

    def offer_prompt_tools(self) -> None:
        """Offers models the tools to read and change their own system prompt."""
        for tool in (ReadSystemPrompt(self), UpdateSystemPrompt(self)):
            self.toolbox.add(tool)

    def offer_delegation(self) -> None:
        """Offers models the tools to ask others while there is one that may be asked."""
        for tool in self._delegating:
            if tool.keys:
                self.toolbox.add(tool)
            else:
                self.toolbox.remove(tool.name)

    def askable(self) -> Iterator[tuple[str, IModel]]:
        """The models that others may ask, by key."""
        return ((key, model) for key, model in self.backends.items() if self.delegation.allows(key))

    async def forget(self, session: Session) -> int:
        """Empties the session's history, here, in the store and where models keep it; how many messages went."""
        session.forget()
        for key, model in self.backends.items():
            if IKeepsHistory.providedBy(model):
                model.forget(session.session_id)
                model.forget(conversation_id(session.session_id, key))
        return await self.store.clear(session.session_id)

    async def remove(self, session_id: str, turn: Turn | None = None) -> str:
        """Deletes a session by its full or short id; its full id, which is empty if there is no such session."""
        if (removal := self.peers.remove(session_id)) is not None:
            return await removal
        if (session := self.sessions.get(session_id)) is not None:
            await self.delete(session, turn)
            return session.session_id
        return session_id if await self.store.delete(session_id) else ""

    async def delete(self, session: Session, turn: Turn | None) -> bool:
        """Ends what runs in the session and empties it, at the wish of `turn`; whether the store had it.

        Messages that wait go on in the emptied session: it stays, for its lock keeps them apart from those to come.
        """
        if turn is not None and session.running is turn:
            return await self._erase(session)
        if session.running is not None:
            session.running.stop()
        await session.acquire_next()
        try:
            # Another deletion may have been faster.
            return not self.sessions.is_live(session) or await self._erase(session)
        finally:
            session.lock.release()

    async def _erase(self, session: Session) -> bool:
        await self.forget(session)
        session.begin_anew(self.default)
        existed = await self.store.delete(session.session_id)
        if not session.turns:
            self.sessions.drop(session)
        return existed

    # -- life

    def start(self) -> None:
        """Begins to reap idle sessions."""
        self._reaper.start(REAPER_INTERVAL, now=False)

    async def stop(self) -> None:
        """Takes no more turns, ends those that run, and returns when all of them are committed."""
        self._stopping = True
        for asking in list(self._asides):
            asking.cancel()
        if self._reaper.running:
            self._reaper.stop()
        under_way = list(self._turns.values())
        # Those that wait first, or each would begin when the one before it ends.
        for turn in reversed(list(self._turns)):
            turn.cancel()
        await DeferredList(under_way)

    def reap(self) -> None:
        """Lets sessions go from memory that nobody used for a while; they are in the store."""
        minutes = self.limits.session_idle_minutes
        try:
            for session in self.sessions.idle(minutes * 60) if minutes else []:
                self.sessions.drop(session)
        except Exception:
            # A LoopingCall never again calls what failed once.
            self.log.failure("sessions could not be put away")

    # -- one turn

    async def _run(self, running: Turn, caller: Caller, turn: ChatTurn) -> None:
        if self._stopping:
            raise _stopping()
        try:
            script = self.commands.read(turn.text)
        except TooManyCommands as problem:
            running.reply.say(str(problem))
            running.reply.finish()
            return
        session = self.sessions.get(caller.session_id)
        if session is None and self._full():
            running.reply.say(
                f"There are already {self.limits.max_users} users here, as many as the operator allows. "
                "Try again later."
            )
            running.reply.finish()
            return
        session = self.sessions.obtain(caller)
        at_once, later = self.commands.split(script.commands)
        if at_once and not later and not script.prompt:
            await self._load(session, running)
            running.reply.say(await self.commands.run(at_once, session, running))
            running.reply.finish()
            return
        session.enter(running)
        try:
            if at_once:
                await self._load(session, running)
                answer = await self.commands.run(at_once, session, running)
                running.reply.say(answer + ("\n" if later else "\n\n"))
                script = replace(script, commands=later)
            session.check_room(self.limits.queue)
            await session.begin(running)
            try:
                await self._locked(session, running, script, turn)
            finally:
                session.end()
        finally:
            session.turns.remove(running)

    def _full(self) -> bool:
        return 0 < self.limits.max_users <= self.peers.live_in_all()

    async def _load(self, session: Session, running: Turn) -> None:
        await self.sessions.load(session, self.limits.history_max_ctx)
        if session.model not in self.backends:
            gone, session.model = session.model, self.default
            if gone:
                running.reply.say(f"[model '{gone}' is not available any more, using '{self.default}']\n\n")

    async def _locked(self, session: Session, running: Turn, script: Script, turn: ChatTurn) -> None:
        await self._load(session, running)
        await self.sessions.refill(session, self.limits.history_max_ctx)
        reply = running.reply
        if script.commands:
            if answer := await self.commands.run(script.commands, session, running):
                reply.say(answer)
            if running.then is not None:
                if script.prompt:
                    reply.say("[the text beside the command is not passed on; send it again afterwards]\n\n")
                await running.then()
                return
            if not script.prompt:
                reply.finish()
                return
            reply.say("\n\n")
        if (parked := parked_turn(session)) is not None:
            if self.clock.seconds() < parked.expires:
                reply.say(reminder(parked))
                reply.finish()
                return
            await self.conversation.give_up(session)
        key = script.model or session.model
        running.gates_open = script.model is not None and running.caller.owner
        if key not in self.backends:
            reply.say(f"Unknown model '{key}'. There are: {', '.join(self.backends)}")
            reply.finish()
        elif not script.prompt and not turn.images:
            reply.say(f"Usage: @{key} <text>")
            reply.finish()
        else:
            await self.conversation.ask(session, key, script.prompt, turn, running)


def _stopping() -> Stopping:
    return Stopping("The server is shutting down. Try again in a moment.")
