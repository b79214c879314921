"""What tests of several rooms share: a model that says what the test tells it, a store in memory, a wire."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from msgspec import json
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from llamaproxy.agent.agent import Agent
from llamaproxy.agent.calls.toolbox import Toolbox
from llamaproxy.agent.prompts import PromptFiles
from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.recorder.recorder import Recorder
from llamaproxy.seams.gates import GateMap
from llamaproxy.seams.interfaces import (
    IDeltaReceiver,
    IEmbedder,
    IModel,
    IPeers,
    IReplyConsumer,
    ISessionStore,
    ITool,
)
from llamaproxy.seams.types import (
    Access,
    AgentEvent,
    Embeddings,
    ModelDelta,
    ModelInfo,
    ModelRequest,
    ModelResult,
    Reasoning,
    ReplyEnd,
    Text,
    ToolCall,
    ToolContext,
    Usage,
)
from llamaproxy.web.bodies import Reader
from llamaproxy.web.guard import Guard
from llamaproxy.web.routes import Routes
from llamaproxy.web.site import FrontChannel, FrontSite

from .stores import Memory

UNGATED = Access(operation=None)


@implementer(IPushProducer)
class ScriptedCall:
    """One call of a `ScriptedModel`: the test speaks through it and sees whether it is paused or cancelled."""

    def __init__(self, request: ModelRequest, receiver: IDeltaReceiver) -> None:
        self.request = request
        self.receiver = receiver
        self.paused = self.cancelled = False
        self.result: Deferred[ModelResult] = Deferred(self._cancel)
        receiver.registerProducer(self)

    def say(self, *pieces: str) -> None:
        self.send([Text(piece) for piece in pieces])

    def send(self, deltas: Sequence[ModelDelta]) -> None:
        self.receiver.deltasReceived(deltas)

    def finish(self, **result: Any) -> None:
        self.receiver.unregisterProducer()
        self.result.callback(ModelResult(**result))

    def call_tools(self, *calls: tuple[str, str]) -> None:
        """Ends the answer with calls, each a name and its arguments."""
        numbered = [
            ToolCall(id=f"call_{number}", name=name, arguments=arguments)
            for number, (name, arguments) in enumerate(calls)
        ]
        self.finish(finish_reason="tool_calls", tool_calls=tuple(numbered))

    def answer(self, text: str, **result: Any) -> None:
        """A whole answer."""
        self.say(text)
        self.finish(**result)

    def fail(self, error: Exception) -> None:
        self.receiver.unregisterProducer()
        self.result.errback(Failure(error))

    def prompt(self) -> list[tuple[str, str]]:
        """The messages as (role, content), without the system prompt."""
        return [
            (message.role, message.content) for message in self.request.messages if message.role != "system"
        ]

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.cancelled = True

    def _cancel(self, _: Deferred[ModelResult]) -> None:
        self.cancelled = True
        self.receiver.unregisterProducer()


@implementer(IModel)
class ScriptedModel:
    """A model whose calls the test answers."""

    def __init__(
        self,
        key: str = "main",
        *,
        vision: bool = False,
        context_length: int = 0,
        tells_calls: bool = False,
    ) -> None:
        self._info = ModelInfo(
            key=key,
            model_id=f"{key}-id",
            kind="OPENAI",
            vision=vision,
            context_length=context_length,
            tells_calls=tells_calls,
        )
        self.calls: list[ScriptedCall] = []

    def info(self) -> ModelInfo:
        return self._info

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        call = ScriptedCall(request, receiver)
        self.calls.append(call)
        return call.result

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)


@implementer(IEmbedder)
class CountingEmbedder:
    """An embedder whose vectors are a text's length and its reciprocal; `failure` is what it fails with."""

    def __init__(self, key: str = "vectors") -> None:
        self._info = ModelInfo(key=key, model_id=f"{key}-id", kind="OPENAI", embedding=True)
        self.dimensions: int | None = None
        self.failure: Exception | None = None

    def info(self) -> ModelInfo:
        return self._info

    def embed(self, texts: Sequence[str], dimensions: int | None = None) -> Deferred[Embeddings]:
        self.dimensions = dimensions
        if self.failure is not None:
            return fail(self.failure)
        vectors = tuple(array("d", [len(text), 1 / (len(text) or 1)]) for text in texts)
        return succeed(Embeddings(vectors=vectors, prompt_tokens=len(texts)))

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)


@implementer(ITool)
class ScriptedTool:
    """A tool whose calls the test answers; without `held`, each returns `result` at once."""

    description = "A tool of the tests."

    def __init__(
        self,
        name: str = "clock",
        category: str = "system",
        *,
        result: Any = "noon",
        access: Access = UNGATED,
        held: bool = False,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self.name, self.category, self.timeout = name, category, 30.0
        self.parameters = parameters or {"type": "object", "properties": {"zone": {"type": "string"}}}
        self.result, self.held, self._access = result, held, access
        self.calls: list[dict[str, Any]] = []
        self.running: list[Deferred[Any]] = []
        self.contexts: list[ToolContext] = []
        self.cancelled: list[Deferred[Any]] = []

    def access(self, arguments: dict[str, Any]) -> Access:
        return self._access

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[Any]:
        self.calls.append(arguments)
        self.contexts.append(context)
        if isinstance(self.result, Exception):
            raise self.result
        self.running.append(Deferred(self.cancelled.append))
        if not self.held:
            self.running[-1].callback(self.result)
        return self.running[-1]


@implementer(IReplyConsumer)
class Listener:
    """A reply's consumer that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []
        self.end: ReplyEnd | None = None
        self.error: BaseException | None = None

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def thoughts(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Reasoning))

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        self.events.extend(events)

    def replyFinished(self, end: ReplyEnd) -> None:
        assert self.end is None
        assert self.error is None
        self.end = end

    def replyFailed(self, reason: Failure) -> None:
        assert self.end is None
        assert self.error is None
        self.error = reason.value


def immediately(function: Any, *args: Any) -> Deferred[Any]:
    """Stands in for `deferToThread`."""
    return succeed(function(*args))


# What the time of day is when a clock of a test begins to count.
UNIX_TIME = 1_700_000_000.0


class Reactor(Clock):
    """A clock that is also where threads bring what they have done, at once."""

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        function(*args)


class House:
    """An agent over scripted models, on a clock. Its sessions are at a `place`."""

    # The tests of turns are run with others as well: agent.test_on_databases.
    place: Callable[[Clock], Any] = Memory

    def __init__(
        self,
        *models: ScriptedModel,
        folder: Any,
        limits: Limits | None = None,
        embedders: Sequence[CountingEmbedder] = (),
        tools: Sequence[ITool] = (),
        gates: GateMap | None = None,
        store: ISessionStore | None = None,
    ) -> None:
        self.embedders = {each.info().key: each for each in embedders}
        self.clock = Reactor()
        # By how much somebody has set the time of day.
        self.wall_step = 0.0
        self.models = models or (ScriptedModel(),)
        self._place = self.place(self.clock)
        self._store = store
        self.limits = limits or Limits()
        self.prompts = PromptFiles(folder, immediately)
        self.toolbox = Toolbox(tools)
        self.recorder = Recorder(now=lambda: UNIX_TIME + self.clock.seconds())
        self.gates = gates
        self.agent = self.new_agent()

    @property
    def calls(self) -> list[ScriptedCall]:
        return self.models[0].calls

    @property
    def store(self) -> Any:
        """Where it has its sessions by itself."""
        return self._place.store

    def new_agent(self, peers: IPeers | None = None) -> Agent:
        """An agent over the same sessions, as after a restart."""
        by_key = {model.info().key: model for model in self.models}
        self._place.begin()
        agent = Agent(
            by_key,
            self.models[0].info().key,
            self._store or self.store,
            self.prompts,
            self.clock,
            self.limits,
            embedders=self.embedders,
            toolbox=self.toolbox,
            gate_defaults=self.gates,
            peers=peers or self._place.peers,
            wall=lambda: UNIX_TIME + self.wall_step + self.clock.seconds(),
            recorder=self.recorder,
        )
        self._place.open()
        return agent

    def close(self) -> None:
        """Ends the turns that a test left under way, which would otherwise end inside a later test."""
        Deferred.fromCoroutine(self.agent.stop())
        self._place.close()


class Response:
    """One HTTP response taken off the wire."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        self.raw = raw
        self.code = int(status.split()[1])
        self.headers = {
            name.strip().lower().decode(): value.strip().decode()
            for name, _, value in (header.partition(b":") for header in headers)
        }
        self.chunks = list(_chunks(body)) if self.headers.get("transfer-encoding") == "chunked" else [body]
        self.body = b"".join(self.chunks)

    def json(self) -> Any:
        return json.decode(self.body)

    def lines(self) -> list[Any]:
        return [json.decode(line) for line in self.body.split(b"\n") if line]

    def events(self) -> list[Any]:
        """The SSE payloads, `[DONE]` as it is."""
        payloads = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]
        return [payload.decode() if payload == b"[DONE]" else json.decode(payload) for payload in payloads]


def _chunks(body: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(body):
        line_end = body.index(b"\r\n", start)
        length = int(body[start:line_end], 16)
        if length == 0:
            return
        start = line_end + 2
        yield body[start : start + length]
        start += length + 2


class Wire:
    """One client connection to a site, in memory."""

    def __init__(self, site: FrontSite, address: str = "192.168.1.20", at: str = "10.0.0.1") -> None:
        self.transport = StringTransport(IPv4Address("TCP", at, 11434), IPv4Address("TCP", address, 4321))
        self.transport.abortConnection = self._abort  # type: ignore[method-assign]
        self.aborted = False
        self.channel: FrontChannel = site.buildProtocol(self.transport.getPeer())
        self.channel.makeConnection(self.transport)

    def _abort(self) -> None:
        self.aborted = True

    def send(self, method: str, path: str, body: bytes | dict[str, Any] = b"", **headers: str) -> "Wire":
        data = json.encode(body) if isinstance(body, dict) else body
        lines = [f"{method} {path} HTTP/1.1", "Host: phone"]
        if data or method == "POST":
            lines.append(f"Content-Length: {len(data)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.channel.dataReceived("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        return self

    def fill_up(self) -> None:
        """What the transport does when its send buffer is full."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def drain(self) -> None:
        """What the transport does when its send buffer has become empty."""
        assert self.transport.producer is not None
        self.transport.producer.resumeProducing()

    def response(self) -> Response:
        return Response(self.transport.value())


class Front:
    """The web room over an agent, in memory."""

    def __init__(
        self,
        house: House,
        guard: Guard | None = None,
        housekeeping: Literal["model", "local", "off"] = "local",
        heartbeat: float = 8.0,
        reader: Reader | None = None,
        **site: Any,
    ) -> None:
        self.house = house
        guard = guard or Guard()
        routes = Routes(
            house.agent,
            guard,
            house.clock,
            heartbeat=heartbeat,
            now=lambda: 1_700_000_000.0,
            housekeeping=housekeeping,
            reader=reader,
            recorder=house.recorder,
        )
        self.site = FrontSite(routes, guard, house.clock, **site)

    def connect(self, address: str = "192.168.1.20", at: str = "10.0.0.1") -> Wire:
        """A client at `address`, connected to the server's address `at`."""
        return Wire(self.site, address, at)

    def ask(self, method: str, path: str, body: bytes | dict[str, Any] = b"", **headers: str) -> Response:
        return self.connect().send(method, path, body, **headers).response()


USAGE = Usage(3, 5)
