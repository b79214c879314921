"""Both neighbours of a model in memory: the server that it asks, and the agent that listens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError  # noqa: A004
from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.registry import ModelContext, build_embedders, build_models, model_context
from llamaproxy.seams.interfaces import IDeltaReceiver, IEmbedder, IModel
from llamaproxy.seams.types import Message, ModelDelta, ModelRequest, ModelResult, Text

KEY = "sk-very-secret"
HELLO = ModelRequest(messages=[Message(role="user", content="hello")])


@implementer(IDeltaReceiver)
class Listener:
    """Notes what comes; holds the stream from the start if `holding`."""

    def __init__(self, holding: bool = False) -> None:
        self.segments: list[list[ModelDelta]] = []
        self.producer: IPushProducer | None = None
        self.registrations = 0
        self._holding = holding

    @property
    def text(self) -> str:
        return "".join(delta.text for deltas in self.segments for delta in deltas if isinstance(delta, Text))

    def registerProducer(self, producer: IPushProducer) -> None:
        self.producer = producer
        self.registrations += 1
        if self._holding:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        self.segments.append(list(deltas))

    def hold(self) -> None:
        assert self.producer is not None
        self.producer.pauseProducing()

    def release(self) -> None:
        assert self.producer is not None
        self.producer.resumeProducing()


class Connection:
    """One connection that a model made, seen from the server."""

    def __init__(self, factory: Any) -> None:
        self.transport = StringTransport()
        self._protocol = factory.buildProtocol(None)
        self._protocol.makeConnection(self.transport)

    @property
    def head(self) -> str:
        return self.transport.value().partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self) -> Any:
        return json.decode(self.transport.value().partition(b"\r\n\r\n")[2])

    @property
    def closed(self) -> bool:
        transport = self.transport
        return transport.disconnecting or transport.producerState == "stopped"

    def answer(
        self, status: int, body: bytes, *headers: str, kind: str = "application/json", more: int = 0
    ) -> None:
        """A response in one segment, of which `more` bytes are still to come, and after which the server hangs up."""
        head = (
            f"HTTP/1.1 {status} X",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body) + more}",
            *headers,
        )
        self._protocol.dataReceived("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)

    def begin(self, content_type: str = "text/event-stream") -> None:
        """The head of a streamed response."""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._protocol.dataReceived(head.encode())

    def send(self, data: bytes) -> None:
        """One chunk of a streamed response."""
        self._protocol.dataReceived(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """The end of a streamed response."""
        self._protocol.dataReceived(b"0\r\n\r\n")

    def receive(self, data: bytes) -> None:
        """Any bytes, as one segment of the network; none get through to who hung up."""
        if not self.closed:
            self._protocol.dataReceived(data)

    def cut(self, reason: Exception | None = None) -> None:
        """The cable is pulled, or whatever `reason` is."""
        self._protocol.connectionLost(Failure(reason or ConnectionLost()))


class Network:
    """Where the connections of the models under test end, on a clock that the test turns."""

    def __init__(self) -> None:
        self.clock = MemoryReactorClock()
        self.environ = {"MODEL_KEY": KEY}
        self.accepted = 0

    def model(self, kind: str = "OPENAI", **fields: Any) -> IModel:
        """A model named `m` with the entry `fields`."""
        return build_models(*self._entry(kind, fields))["m"]

    def embedder(self, kind: str = "OPENAI", **fields: Any) -> IEmbedder:
        """An embedder named `m` with the entry `fields`."""
        return build_embedders(*self._entry(kind, {"embedding": True, **fields}))["m"]

    def _entry(self, kind: str, fields: dict[str, Any]) -> tuple[ModelRegistry, ModelContext]:
        host = "http://127.0.0.1:8080/v1" if kind == "OPENAI" else "http://127.0.0.1:8080"
        fields = {"type": kind, "model_id": "tiny", "host": host, **fields}
        registry = ModelRegistry(default_model="m", models={"m": ModelEntry(**fields)})
        return registry, model_context(self.clock, self.environ.get, Home(Path("/nowhere")))

    @property
    def attempts(self) -> int:
        return len(self.clock.tcpClients)

    def accept(self) -> Connection:
        """Takes the newest attempt to connect."""
        return Connection(self._factory())

    def refuse(self, reason: Exception | None = None) -> None:
        """Turns the newest attempt to connect away."""
        self._factory().clientConnectionFailed(None, Failure(reason or ConnectionRefusedError()))

    def next_attempt(self) -> None:
        """Lets the pause before the second attempt pass."""
        self.clock.advance(0.25)

    def _factory(self) -> Any:
        self.accepted += 1
        assert self.attempts == self.accepted, "nobody is connecting"
        return self.clock.tcpClients[-1][2]


class Call:
    """One `chat` of a model, with its connection."""

    def __init__(
        self, network: Network, request: ModelRequest = HELLO, holding: bool = False, **fields: Any
    ) -> None:
        self.network = network
        self.listener = Listener(holding)
        self.model = network.model(**fields)
        self.done: Deferred[ModelResult] = self.model.chat(request, self.listener)


def event(text: str) -> bytes:
    """A chunk of OpenAI's format with a piece of text."""
    return b"data: " + json.encode({"choices": [{"delta": {"content": text}}]}) + b"\n\n"


def finish(reason: str = "stop") -> bytes:
    """The chunk of OpenAI's format that says why the model ended."""
    return b"data: " + json.encode({"choices": [{"delta": {}, "finish_reason": reason}]}) + b"\n\n"


DONE = b"data: [DONE]\n\n"
