"""The app's side: a bare HTTP client that calls from any loopback address, reads when it is told to, and hangs up."""

from typing import Any, NamedTuple

from msgspec import json
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection as TCPConnection
from twisted.python.failure import Failure

from tests.support import Response

from .program import HOST

reactor: Any = installed_reactor


class Dialect(NamedTuple):
    """One way to ask for a chat turn, and how its answers are read."""

    path: str
    is_openai: bool
    # The last bytes of a streamed reply.
    end: bytes

    def body(self, text: str, stream: bool = True) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}

    def text(self, response: Response) -> str:
        """What a streamed reply says."""
        if not self.is_openai:
            return "".join(line["message"]["content"] for line in response.lines())
        events = [event for event in response.events() if event != "[DONE]"]
        return "".join(
            event["choices"][0]["delta"].get("content", "") for event in events if "choices" in event
        )

    def error(self, response: Response) -> str:
        """What a response that is an error says, in the form that this dialect's clients need."""
        error = response.json()["error"]
        if not self.is_openai:
            return str(error)
        assert isinstance(error["type"], str)
        return str(error["message"])

    def broken_off(self, response: Response) -> str:
        """What a stream that broke off says about it at its proper end."""
        if self.is_openai:
            *_, error, done = response.events()
            assert done == "[DONE]"
            assert isinstance(error["error"]["type"], str)
            return str(error["error"]["message"])
        *_, said, last = response.lines()
        assert last["done"]
        return str(said["message"]["content"])


OLLAMA = Dialect("/api/chat", False, b"}\n\r\n0\r\n\r\n")
OPENAI = Dialect("/v1/chat/completions", True, b"data: [DONE]\n\n\r\n0\r\n\r\n")
DIALECTS = (OLLAMA, OPENAI)


class Phone(Protocol):
    """One connection to the server and all that came over it."""

    transport: TCPConnection

    def __init__(self) -> None:
        self.received = bytearray()
        self.is_closed = False
        self._expected: tuple[bytes, int, Deferred[None]] | None = None
        self._closed: list[Deferred[bytes]] = []

    def ask(self, dialect: Dialect, text: str, stream: bool = True) -> None:
        """Sends a chat turn, on a connection that is closed after the answer."""
        self.request("POST", dialect.path, json.encode(dialect.body(text, stream)))

    def request(self, method: str, path: str, body: bytes = b"", *headers: str) -> None:
        """Sends one request, on a connection that is closed after the answer."""
        head = [
            f"{method} {path} HTTP/1.1",
            "Host: server",
            "Connection: close",
            f"Content-Length: {len(body)}",
        ]
        self.send("\r\n".join([*head, *headers, "", ""]).encode() + body)

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def until(self, text: bytes) -> Deferred[None]:
        """Fires once `text` has come; fails if the connection ends before that."""
        arrived: Deferred[None] = Deferred()
        self._expected = (text, 0, arrived)
        self._look()
        return arrived

    def closed(self) -> Deferred[bytes]:
        """Fires with everything once the connection is closed, in whatever way."""
        closed: Deferred[bytes] = Deferred()
        if self.is_closed:
            closed.callback(bytes(self.received))
        else:
            self._closed.append(closed)
        return closed

    async def response(self) -> Response:
        """The answer, once the server has closed the connection behind it."""
        return Response(await self.closed())

    def stall(self) -> None:
        """Reads no more."""
        self.transport.pauseProducing()

    def read_on(self) -> None:
        self.transport.resumeProducing()

    def hang_up(self) -> None:
        """Is gone at once, as a phone that lost its network would be in the end."""
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_closed = True
        self._look()
        closed, self._closed = self._closed, []
        for each in closed:
            each.callback(bytes(self.received))

    def _look(self) -> None:
        if self._expected is None:
            return
        text, start, arrived = self._expected
        if self.received.find(text, start) >= 0:
            self._expected = None
            arrived.callback(None)
        elif self.is_closed:
            self._expected = None
            arrived.errback(AssertionError(f"the connection ended after {bytes(self.received[-500:])!r}"))
        else:
            self._expected = (text, max(0, len(self.received) - len(text)), arrived)


async def dial(port: int, address: str = HOST) -> Phone:
    """A connection from the given loopback address."""
    return await connect(TCP4ClientEndpoint(reactor, HOST, port, bindAddress=(address, 0)))


async def connect(endpoint: IStreamClientEndpoint) -> Phone:
    """A connection through any endpoint."""
    factory = Factory.forProtocol(Phone)
    factory.noisy = False
    phone: Phone = await endpoint.connect(factory)  # type: ignore[assignment]
    return phone
