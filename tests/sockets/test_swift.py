import select
import socket
from typing import Any
from unittest import skipUnless

from twisted.internet.abstract import FileDescriptor
from twisted.python import log
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.sockets.swift import hasten


class Ear(FileDescriptor):
    """One end of a pair of sockets, which tells what it hears."""

    def __init__(self, reactor: Any, told: list[str], name: str) -> None:
        super().__init__(reactor)
        self.told, self.name = told, name
        self.socket, self.other = socket.socketpair()
        self.startReading()

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return self.name

    def doRead(self) -> None:
        self.told.append(f"{self.name} {self.socket.recv(99).decode()}")

    def doWrite(self) -> None:
        self.told.append(f"{self.name} may write")
        self.stopWriting()

    def connectionLost(self, reason: Any) -> None:
        self.told.append(f"{self.name} lost")
        self.stopReading()


@skipUnless(hasattr(select, "epoll"), "this system has no epoll")
class SwiftTests(SynchronousTestCase):
    def setUp(self) -> None:
        from twisted.internet.epollreactor import EPollReactor

        self.reactor: Any = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.addCleanup(self.reactor.removeAll)
        hasten(self.reactor)
        self.told: list[str] = []

    def ear(self, name: str, kind: type[Ear] = Ear) -> Ear:
        ear = kind(self.reactor, self.told, name)
        self.addCleanup(ear.socket.close)
        self.addCleanup(ear.other.close)
        self.addCleanup(ear.stopReading)
        return ear

    def test_whatever_is_ready_does_its_work(self) -> None:
        one, other = self.ear("one"), self.ear("other")
        one.other.send(b"hello")
        other.startWriting()
        self.reactor.doIteration(0)
        self.assertEqual(sorted(self.told), ["one hello", "other may write"])

    def test_end_of_a_connection_is_told(self) -> None:
        ear = self.ear("one")
        ear.other.send(b"last")
        ear.other.close()
        ear.socket.recv(99)
        ear.stopReading()
        ear.startWriting()
        self.reactor.doIteration(0)
        self.assertEqual(self.told, ["one lost"])

    def test_nothing_is_done_for_what_went_with_an_event_before(self) -> None:
        ears = [self.ear("one"), self.ear("other")]

        class Last(Ear):
            def doRead(self) -> None:
                super().doRead()
                for each in ears:
                    each.stopReading()

        ears.insert(0, self.ear("last", Last))
        # In the order in which they became ready.
        for each in ears:
            each.other.send(b"hello")
        self.reactor.doIteration(0)
        self.assertEqual(self.told, ["last hello"])

    def test_what_is_logged_in_the_old_way_names_the_connection(self) -> None:
        class Broken(Ear):
            def doRead(self) -> None:
                super().doRead()
                log.msg("said here")
                raise ValueError("in the middle of it")

        events: list[dict[str, Any]] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        self.ear("broken", Broken).other.send(b"hello")
        self.reactor.doIteration(0)
        log.msg("said later")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual([event["system"] for event in events], ["broken", "broken", "-"])
        self.assertEqual(self.told, ["broken hello", "broken lost"])

    def test_timers_ring_in_their_order_and_share_what_moves_them(self) -> None:
        last, first = (self.reactor.callLater(0, self.told.append, name) for name in ("last", "first"))
        gone = self.reactor.callLater(0, self.told.append, "gone")
        self.assertIs(last.resetter, first.resetter)
        self.assertIs(last.canceller, first.canceller)
        gone.cancel()
        last.reset(0.001)
        while len(self.told) < 2:
            self.reactor.runUntilCurrent()
        self.assertEqual(self.told, ["first", "last"])

    def test_trouble_with_an_end_is_logged_and_the_others_are_served(self) -> None:
        class Broken(Ear):
            def doRead(self) -> None:
                raise KeyError

            def connectionLost(self, reason: Any) -> None:
                super().connectionLost(reason)
                raise ValueError

        self.ear("broken", Broken).other.send(b"hello")
        self.ear("other").other.send(b"hello")
        self.reactor.doIteration(0)
        self.assertEqual(self.told, ["broken lost", "other hello"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError, ValueError)), 2)
