"""The socket is the point here; the reactor is one that the test turns by hand."""

import select
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from unittest import skipUnless

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from llamaproxy.sockets import polling
from llamaproxy.sockets.polling import AT_ONCE, LONGEST_TURN, LONGEST_WAIT, Poll, Reading, breaks
from llamaproxy.sockets.sending import together


class Reactor:
    """The readers and writers; `turn` reads once from all that read."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:
        pass

    def turn(self) -> None:
        for reader in list(self.readers):
            if (reason := reader.doRead()) is not None:
                reader.connectionLost(Failure(reason))


class Ear(Protocol):
    """Notes what it hears; tells `poll` when it is over."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.depths: list[int] = []
        self.lost: list[Failure] = []
        self.reading: Reading
        self.work: Callable[[], object] = lambda: None

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)
        self.depths.append(together.depth)
        self.work()
        if data == b"raise":
            raise KeyError

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reading.lost()
        self.lost.append(reason)


@skipUnless(hasattr(select, "epoll"), "there is no epoll here")
class PollTests(TestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.poll = Poll(self.reactor)

    def connect(self, size: int = 100) -> tuple[Ear, socket.socket, Connection]:
        """A connection that is read by the poll, and its other end."""
        here, there = socket.socketpair(socket.AF_UNIX)
        self.addCleanup(here.close)
        self.addCleanup(there.close)
        ear = Ear()
        transport = Connection(here, ear, cast(Any, self.reactor))
        transport.connected = 1
        transport.startReading()
        ear.reading = self.poll.reading(transport, ear, size)
        return ear, there, transport

    def test_all_that_are_ready_are_served_in_one_turn(self) -> None:
        pairs = [self.connect() for _ in range(3)]
        for number, (_, there, _) in enumerate(pairs):
            there.send(b"%d" % number)
        self.assertEqual(self.reactor.readers, [self.poll])
        self.reactor.turn()
        self.assertEqual([ear.heard for ear, _, _ in pairs], [[b"0"], [b"1"], [b"2"]])

    def test_what_is_written_meanwhile_leaves_together(self) -> None:
        ear, there, _ = self.connect()
        there.send(b"x")
        self.reactor.turn()
        self.assertEqual(ear.depths, [1])

    def test_what_there_is_no_time_for_waits_for_the_next_turn(self) -> None:
        clock = Clock()
        self.patch(polling, "monotonic", clock.seconds)
        pairs = [self.connect() for _ in range(3 * AT_ONCE)]
        for ear, there, _ in pairs:
            ear.work = partial(clock.advance, 1.5 * LONGEST_TURN / 2 / AT_ONCE)
            there.send(b"x")
        for heard in (2 * AT_ONCE, 3 * AT_ONCE):
            self.reactor.turn()
            self.assertEqual(sum(len(ear.heard) for ear, _, _ in pairs), heard)

    def test_what_is_ready_has_a_turn_in_the_middle_of_long_work(self) -> None:
        clock = Clock()
        self.patch(polling, "monotonic", clock.seconds)
        ear, there, _ = self.connect()
        self.reactor.turn()
        there.send(b"x")
        breaks.take()
        self.assertEqual(ear.heard, [])
        clock.advance(LONGEST_WAIT + 0.001)
        with together:  # sockets are being served
            breaks.take()
        self.assertEqual(ear.heard, [])
        breaks.take()
        self.assertEqual(ear.heard, [b"x"])

    def test_no_more_than_its_size_is_read_at_a_time(self) -> None:
        ear, there, _ = self.connect(size=2)
        there.send(b"abc")
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(ear.heard, [b"ab", b"c"])

    def test_what_comes_in_a_pause_stays_in_the_socket(self) -> None:
        ear, there, _ = self.connect()
        ear.reading.pause()
        ear.reading.pause()
        there.send(b"later")
        self.assertEqual(self.reactor.readers, [])
        ear.reading.resume()
        ear.reading.resume()
        self.reactor.turn()
        self.assertEqual(ear.heard, [b"later"])

    def test_end_of_the_stream_is_reported_by_the_transport(self) -> None:
        ear, there, transport = self.connect()
        there.send(b"last words")
        there.close()
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(self.reactor.readers, [transport])
        self.reactor.turn()
        self.assertEqual((ear.heard, len(ear.lost)), ([b"last words"], 1))

    def test_descriptor_of_a_lost_connection_may_be_another_s(self) -> None:
        ear, _, transport = self.connect()
        number = transport.fileno()
        transport.connectionLost(Failure(connectionDone.value))
        other, there, successor = self.connect()
        self.assertEqual(successor.fileno(), number)
        there.send(b"new")
        self.reactor.turn()
        self.assertEqual((ear.heard, other.heard), ([], [b"new"]))

    def test_lost_connection_that_another_process_holds_open_is_passed_over(self) -> None:
        lost, _, transport = self.connect()
        ear, there, _ = self.connect()
        twin = transport.socket.dup()
        self.addCleanup(twin.close)
        transport.connectionLost(Failure(connectionDone.value))
        there.send(b"x")
        self.reactor.turn()
        self.assertEqual((lost.heard, ear.heard), ([], [b"x"]))

    def test_reactor_that_lets_all_go_ends_the_connections(self) -> None:
        ear, _, _ = self.connect()
        self.poll.connectionLost(Failure(connectionDone.value))
        self.assertEqual((len(ear.lost), self.reactor.readers), (1, []))

    def test_reader_that_fails_loses_its_connection_and_nobody_else_s(self) -> None:
        bad, its_end, transport = self.connect()
        good, there, _ = self.connect()
        aborted: list[bool] = []
        self.patch(transport, "abortConnection", lambda: aborted.append(True))
        its_end.send(b"raise")
        there.send(b"fine")
        self.reactor.turn()
        self.assertEqual((bad.heard, good.heard, aborted), ([b"raise"], [b"fine"], [True]))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_transport_of_another_kind_reads_for_itself(self) -> None:
        transport = StringTransport()
        reading = self.poll.reading(transport, Ear(), 10)
        reading.pause()
        self.assertEqual(transport.producerState, "paused")
        reading.resume()
        self.assertEqual(transport.producerState, "producing")
        self.assertEqual(self.reactor.readers, [])
