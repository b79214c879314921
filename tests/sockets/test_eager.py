"""The socket is the point here: real ones, and a peer that does not read."""

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from llamaproxy.sockets.eager import LimitedReceiving, before_loss, waiting, write

reactor: Any = _reactor
PIECE = b"0123456789abcdef" * 1024


class EagerTests(TestCase):
    def setUp(self) -> None:
        here, self.there = socket.socketpair(socket.AF_UNIX)
        self.addCleanup(self.there.close)
        self.transport = Connection(here, Protocol(), reactor)
        self.transport.connected = 1
        self.addCleanup(here.close)
        self.addCleanup(self.transport.stopWriting)

    def test_what_the_socket_takes_is_sent_before_the_reactor_turns(self) -> None:
        write(self.transport, b"at once")
        self.assertEqual(self.there.recv(100), b"at once")
        self.assertEqual(waiting(self.transport), 0)
        self.assertNotIn(self.transport, reactor.getWriters())

    def test_what_it_does_not_take_waits_and_all_else_behind_it(self) -> None:
        pieces = 0
        while not waiting(self.transport):
            write(self.transport, PIECE)
            pieces += 1
        before = waiting(self.transport)
        received = len(self.there.recv(65536))
        write(self.transport, b"the end")
        self.assertEqual(waiting(self.transport), before + len(b"the end"))
        self.there.setblocking(False)
        data = b""
        while not data.endswith(b"the end"):
            self.transport.doWrite()
            data += self.there.recv(1 << 20)
        self.assertEqual(received + len(data), pieces * len(PIECE) + len(b"the end"))

    def test_peer_that_has_gone_is_no_error_here(self) -> None:
        self.there.close()
        write(self.transport, b"to nobody")
        self.assertEqual(waiting(self.transport), len(b"to nobody"))

    def test_what_came_before_the_connection_was_lost_can_still_be_read(self) -> None:
        heard: list[bytes] = []
        before_loss(self.transport, lambda: heard.append(self.transport.socket.recv(100)))
        self.there.send(b"last words")
        self.there.close()
        self.transport.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(heard, [b"last words"])


class LimitedReceivingTests(TestCase):
    async def test_limit_holds_before_the_connection_is_made(self) -> None:
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(Protocol)
        )
        self.addCleanup(port.stopListening)
        size, sizes = 16 * 1024, []

        class Noting(LimitedReceiving):
            def connectTCP(self, *address: Any, **how: Any) -> Any:
                connector = super().connectTCP(*address, **how)
                transport: Any = connector.transport  # type: ignore[attr-defined]
                sizes.append((transport.connected, buffer_of(transport.socket)))
                return connector

        limited = Noting(reactor, size)
        self.assertTrue(IReactorTCP.providedBy(limited))
        endpoint = TCP4ClientEndpoint(limited, "127.0.0.1", port.getHost().port)
        connected: Any = await endpoint.connect(Factory.forProtocol(Protocol))
        self.addCleanup(connected.transport.abortConnection)
        # Linux doubles what it is told, for what it needs itself.
        doubled = buffer_of(connected.transport.socket)
        self.assertEqual(sizes, [(False, doubled)])
        self.assertIn(doubled, (size, 2 * size))


def buffer_of(each: socket.socket) -> int:
    return each.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
