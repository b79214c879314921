"""Connections that are made straight to an address: real sockets, and all that can be in the way."""

import errno
import socket
from typing import Any
from unittest.mock import patch

from twisted.internet import error as net
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from llamaproxy.sockets.straight import Straight, goes_straight

reactor: Any = _reactor
SIZE = 16 * 1024


class Ear(Protocol):
    """Reads what comes, and what was there when the connection was lost."""

    def __init__(self) -> None:
        self.heard = b""
        self.last = b""
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def hearOut(self) -> None:
        transport: Any = self.transport
        try:
            self.last = transport.socket.recv(100)
        except BlockingIOError:
            self.last = b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class StraightTests(TestCase):
    def listen(self, family: int = socket.AF_INET, backlog: int = 8) -> tuple[socket.socket, int]:
        ear = socket.socket(family)
        self.addCleanup(ear.close)
        ear.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        ear.listen(backlog)
        return ear, ear.getsockname()[1]

    def connect(self, port: int, address: str = "127.0.0.1", timeout: float = 5.0) -> Any:
        return Straight(reactor, address, port, timeout, SIZE).connect(Factory.forProtocol(Ear))

    async def test_protocol_talks_over_the_connection(self) -> None:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            ear, port = self.listen(family)
            protocol = await self.connect(port, address)
            there, _ = ear.accept()
            protocol.transport.write(b"hello")
            there.sendall(b"good day")
            there.close()
            await protocol.lost
            self.assertEqual(protocol.heard, b"good day")

    async def test_what_the_kernel_keeps_is_limited(self) -> None:
        _, port = self.listen()
        protocol = await self.connect(port)
        # Linux doubles what it is told, for what it needs itself.
        size = protocol.transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertIn(size, (SIZE, 2 * SIZE))
        protocol.transport.abortConnection()
        await protocol.lost

    async def test_what_came_before_the_connection_was_lost_can_still_be_read(self) -> None:
        ear, port = self.listen()
        protocol = await self.connect(port)
        protocol.transport.pauseProducing()
        there, _ = ear.accept()
        there.sendall(b"last words")
        protocol.transport.connectionLost(Failure(net.ConnectionLost()))
        await protocol.lost
        self.assertEqual(protocol.last, b"last words")
        there.close()

    async def test_nobody_who_listens_is_an_error(self) -> None:
        ear, port = self.listen()
        ear.close()
        await self.assertFailure(self.connect(port), net.ConnectionRefusedError)

    async def test_no_descriptor_left_is_an_error_with_its_number(self) -> None:
        with patch(
            "llamaproxy.sockets.straight.socket.socket", side_effect=OSError(errno.EMFILE, "too many")
        ):
            error = await self.assertFailure(self.connect(1), net.ConnectError)
        self.assertEqual(error.osError, errno.EMFILE)

    async def test_connection_that_takes_a_while_is_waited_for(self) -> None:
        ear, port = self.listen()
        connect_ex, begun = socket.socket.connect_ex, set[socket.socket]()

        def later(each: socket.socket, address: Any) -> int:
            if each not in begun:
                begun.add(each)
                connect_ex(each, address)
            return errno.EINPROGRESS

        with patch("socket.socket.connect_ex", later):
            connecting, refused = self.connect(port), self.connect(free_port())
        self.assertNoResult(connecting)
        protocol = await connecting
        there, _ = ear.accept()
        there.close()
        await protocol.lost
        await self.assertFailure(refused, net.ConnectionRefusedError)

    def pending(self, timeout: float = 5.0) -> tuple[Any, Any]:
        """A connection that nobody answers, as it is made by a reactor whose clock stands still."""
        clock = MemoryReactorClock()
        with patch("socket.socket.connect_ex", return_value=errno.EINPROGRESS):
            done = Straight(clock, "127.0.0.1", 1, timeout, SIZE).connect(Factory.forProtocol(Ear))
        self.assertEqual(len(clock.writers), 1)
        return clock, done

    def test_who_does_not_answer_in_time_is_given_up(self) -> None:
        clock, done = self.pending(timeout=3.0)
        clock.advance(2.9)
        self.assertNoResult(done)
        clock.advance(0.2)
        self.failureResultOf(done, net.TimeoutError)
        self.assertFalse(clock.writers)

    def test_connection_that_is_cancelled_leaves_nothing_behind(self) -> None:
        clock, done = self.pending()
        (attempt,) = clock.writers
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual((set(clock.writers), clock.getDelayedCalls(), attempt.fileno()), (set(), [], -1))

    def test_attempt_is_not_taken_for_another_that_had_its_number_before(self) -> None:
        clock, done = self.pending()
        (attempt,) = clock.writers
        with patch("socket.socket.connect_ex", return_value=errno.EALREADY):
            attempt.doWrite()
        self.assertNoResult(done)
        self.assertEqual(len(clock.writers), 1)
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_reactor_that_lets_go_ends_the_attempt(self) -> None:
        clock, done = self.pending()
        (attempt,) = clock.writers
        attempt.connectionLost(Failure(net.ConnectionLost()))
        self.failureResultOf(done, net.ConnectError)
        self.assertEqual((set(clock.writers), clock.getDelayedCalls()), (set(), []))

    def test_only_a_reactor_of_sockets_goes_straight(self) -> None:
        self.assertTrue(goes_straight(reactor))
        self.assertFalse(goes_straight(MemoryReactorClock()))


def free_port() -> int:
    """One at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as ear:
        return int(ear.getsockname()[1])
