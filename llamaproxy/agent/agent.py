"""The agent: the thin front of its room, which takes messages of callers and gives replies."""

from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Any, cast

from msgspec import Struct
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from ..seams.errors import AgentError, NoEmbedder, Stopping
from ..seams.gates import GateMap
from ..seams.interfaces import (
    IAgent,
    IEmbedder,
    IModel,
    INotifier,
    IPeer,
    IPeers,
    IRecorder,
    IReply,
    ISessionStore,
)
from ..seams.limits import Ruling, Used
from ..seams.types import Caller, ChatTurn, Embeddings, Message, ModelInfo, SessionCard
from ..seams.unrecorded import Unrecorded
from .backends import Backends
from .calls.delegation import Delegation
from .calls.prompttools import ReadSystemPrompt, UpdateSystemPrompt
from .calls.runner import Workbench
from .calls.toolbox import Toolbox
from .meanwhile import Nobody
from .oversight import Oversight
from .parts import assemble
from .prompts import ModelPrompts, PromptFiles
from .sessions.history import estimate_all
from .sessions.limits import Limits
from .sessions.peers import Alone
from .sessions.retention import INTERVAL

REAPER_INTERVAL = 60.0
PROMPT_TOOLS = (ReadSystemPrompt, UpdateSystemPrompt)


class News(Struct, frozen=True, kw_only=True):
    """What the operator's files say anew; see `Agent`, `Toolbox` and `Delegation`."""

    models: Mapping[str, IModel]
    embedders: Mapping[str, IEmbedder]
    default: str
    limits: Limits
    gate_defaults: Mapping[str, Any]
    choices: Mapping[str, Sequence[str] | None]
    allowed: Mapping[str, bool]
    timeouts: Mapping[str, float]
    prompt_folders: Mapping[str, str]
    prompt_tools: bool


@implementer(IAgent, IPeer)
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
        prompt_folders: Mapping[str, str] | None = None,
        embedders: Mapping[str, IEmbedder] | None = None,
        toolbox: Toolbox | None = None,
        gate_defaults: GateMap | None = None,
        delegation: Delegation | None = None,
        peers: IPeers | None = None,
        wall: Callable[[], float] = time,
        recorder: IRecorder | None = None,
        notifier: INotifier | None = None,
    ) -> None:
        bench = Workbench(
            toolbox=toolbox or Toolbox(),
            limits=limits or Limits(),
            gate_defaults=gate_defaults or {},
            clock=clock,
            wall=wall,
            recorder=recorder or Unrecorded(),
        )
        self.parts = assemble(
            Backends(models, default),
            store,
            ModelPrompts(prompts, prompt_folders or {}),
            bench,
            delegation or Delegation(),
            peers or Alone(),
            notifier or Nobody(),
        )
        self.parts.peers.join(self)
        self._embedders = dict(embedders or {})
        self._clock = clock
        self.oversight = Oversight(
            self.parts.runs,
            self.parts.sessions,
            bench,
            self.parts.backends,
            self._embedders.values(),
            self.parts.peers,
            self.parts.inquiries,
            self.parts.ledger,
            self.turn,
        )
        self._stopping = False
        self._reaper = LoopingCall(self.reap)
        self._reaper.clock = clock
        self._sweeper = LoopingCall(self.parts.retention.sweep)
        self._sweeper.clock = clock

    # -- IAgent

    def models(self) -> Sequence[ModelInfo]:
        """The enabled models to talk to, in the registry's order."""
        return self.parts.backends.infos()

    def turn(self, caller: Caller, turn: ChatTurn) -> Deferred[IReply]:
        """Runs one turn; see `IAgent`."""
        if self._stopping:
            return fail(_stopping())
        session = self.parts.sessions.get(caller.session_id)
        if session is not None and (same := session.turn_of(caller, turn)) is not None:
            return same.join(turn)
        running = self.parts.runs.begin(caller, turn)
        reply = running.join(turn)
        self.parts.runs.run(running, caller, turn)
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

    def aside(self, caller: Caller, turn: ChatTurn, system: str = "") -> Deferred[str]:
        """One completion outside any session; see `IAgent`."""
        if self._stopping:
            return fail(_stopping())
        return maybeDeferred(self.parts.errands.run, caller, turn, system)

    # -- IPeer

    def obey(self, ruling: Ruling) -> None:
        """Makes a ruling hold here."""
        self.parts.rules.obey(ruling)

    def cards(self) -> Sequence[SessionCard]:
        """The sessions that are in memory here."""
        return [session.card for session in self.parts.sessions]

    def stop_turn(self, session_id: str, job: int) -> bool:
        """Ends the turn that runs in a session here, or a job of it; see `IPeer`."""
        session = self.parts.sessions.get(session_id)
        if session is None:
            return False
        jobs = (turn for turn in session.turns if turn.job is not None and turn.job.number == job)
        turn = next(jobs, None) if job else session.running
        if turn is not None:
            turn.stop()
        return turn is not None

    def keep_turn(self, session_id: str, message: str) -> None:
        """Has the turn about a message go on, and no other that nobody waits for; see `IPeer`."""
        session = self.parts.sessions.get(session_id)
        for turn in session.turns[::-1] if session is not None else ():
            if turn.is_told_apart and turn.digest == message:
                turn.keep()
            elif turn.deserted:
                turn.cancel()

    def forget(self, session_id: str) -> None:
        """Lets go of a session that was deleted elsewhere; see `IPeer`."""
        session = self.parts.sessions.get(session_id)
        if session is not None and session.is_at_rest:
            self.parts.sessions.drop(session)

    def break_off(self, error: AgentError) -> None:
        """Ends all turns that have a session to themselves; see `IPeer`."""
        for session in list(self.parts.sessions):
            if session.running is not None:
                session.running.break_off(error)

    def count(self, used: Used) -> None:
        """Counts what was used elsewhere; see `IPeer`."""
        self.parts.ledger.count(used)

    def count_anew(self, used: Sequence[Used]) -> None:
        """Counts what was used anywhere; see `IPeer`."""
        self.parts.ledger.count_anew(used)

    def take_up(self) -> None:
        """Goes on with what a process that has gone left behind; see `IPeer`."""
        if not self._stopping:
            Deferred.fromCoroutine(self.parts.runs.take_up())

    def remove(self, session_id: str) -> Deferred[str]:
        """Deletes a session; see `IPeer`."""
        return Deferred.fromCoroutine(self.parts.eraser.remove(session_id))

    # -- life

    def offer_prompt_tools(self) -> None:
        """Offers models the tools to read and change their own system prompt."""
        parts = self.parts
        for tool in PROMPT_TOOLS:
            parts.bench.toolbox.add(tool(parts.prompts, parts.sessions, parts.backends.default))

    def renew(self, news: News) -> None:
        """Has what the files say now hold for all turns that begin from here on."""
        parts = self.parts
        parts.backends.renew(news.models, news.default)
        parts.bench.limits.renew(news.limits)
        # Each turn reads it where it stands.
        gates = cast(dict[str, Any], parts.bench.gate_defaults)
        gates.clear()
        gates.update(news.gate_defaults)
        parts.bench.toolbox.choose(news.choices)
        parts.delegation.renew(news.allowed, news.timeouts)
        parts.rules.offer()
        if news.prompt_tools:
            self.offer_prompt_tools()
        else:
            for tool in PROMPT_TOOLS:
                parts.bench.toolbox.remove(tool.name)
        parts.prompts.renew(news.prompt_folders)
        # Others look into it, too.
        self._embedders.clear()
        self._embedders.update(news.embedders)

    def start(self) -> Deferred[None]:
        """Begins to put away what rests, and goes on with jobs that the last end of the server cut off.

        Fires once those have their places in the queues of their sessions.
        """
        self._reaper.start(REAPER_INTERVAL, now=False)
        self._sweeper.start(INTERVAL, now=False)
        return Deferred.fromCoroutine(self.parts.runs.take_up())

    async def stop(self) -> None:
        """Takes no more turns, ends those that run, and returns when all of them are committed."""
        self._stopping = True
        self.parts.errands.stop()
        for each in (self._reaper, self._sweeper):
            if each.running:
                each.stop()
        await self.parts.runs.stop()

    def reap(self) -> None:
        """Lets go from memory what nobody used for a while; the store has it."""
        minutes = self.parts.bench.limits.session_idle_minutes
        sessions = self.parts.sessions
        try:
            for session in sessions.idle(minutes * 60) if minutes else []:
                sessions.drop(session)
            for session in sessions:
                session.let_go()
        except Exception:
            # A LoopingCall never again calls what failed once.
            self.log.failure("sessions could not be put away")


def _stopping() -> Stopping:
    return Stopping("The server is shutting down. Try again in a moment.")
