"""Real sockets for the tests in which the socket is the point."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support import Front, House, Response, ScriptedCall

# The module's type says nothing of what a reactor can do.
reactor: Any = installed_reactor


class Peer(Protocol):
    """A client that keeps what it hears."""

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.lost: Deferred[None] = Deferred()
        self._awaited = b""
        self._heard: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)

    def hear(self, text: bytes) -> Deferred[None]:
        """Fires once `text` has come."""
        self._awaited, self._heard = text, Deferred()
        self._look()
        return self._heard

    def response(self) -> Response:
        return Response(self.heard)

    def _look(self) -> None:
        if self._awaited in self.heard and not self._heard.called:
            self._heard.callback(None)


class SocketCase(TestCase):
    """A front over a house with one scripted model, on real sockets."""

    timeout = 20

    def setUp(self) -> None:
        self.house = House(folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)
        self._answered = 0

    async def listen(self, endpoint: str = "tcp:0:interface=127.0.0.1") -> int:
        """Opens the front door; gives the port's number."""
        port: Any = await serverFromString(reactor, endpoint).listen(self.front.site)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def until(self, happens: Callable[[], bool]) -> None:
        """Waits for something that tells nobody."""
        while not happens():
            await deferLater(reactor, 0.005)

    async def next_call(self) -> ScriptedCall:
        """The next call of the model, once it is made."""
        await self.until(lambda: len(self.house.calls) > self._answered)
        self._answered += 1
        return self.house.calls[-1]

    async def connect(self, endpoint: IStreamClientEndpoint) -> Peer:
        peer: Peer = await connectProtocol(endpoint, Peer())
        self.addCleanup(lambda: peer.lost)
        self.addCleanup(peer.transport.loseConnection)
        return peer


def post(path: str, body: bytes, host: str = "localhost") -> bytes:
    """A POST request."""
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
