"""The socket is the point here: real ones, and a peer that does not read."""

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from llamaproxy.sockets.eager import waiting
from llamaproxy.sockets.sending import Sender, together

reactor: Any = _reactor
PIECE = b"0123456789abcdef" * 1024


class SenderTests(TestCase):
    def setUp(self) -> None:
        here, self.there = socket.socketpair(socket.AF_UNIX)
        self.addCleanup(self.there.close)
        self.there.setblocking(False)
        self.transport = Connection(here, Protocol(), reactor)
        self.transport.connected = 1
        self.addCleanup(here.close)
        self.addCleanup(self.transport.stopWriting)
        self.sender = Sender(self.transport)

    def received(self) -> bytes:
        try:
            return self.there.recv(1 << 20)
        except BlockingIOError:
            return b""

    def test_what_is_written_is_sent_at_once(self) -> None:
        for piece in (b"one", b"two"):
            self.sender.write(piece)
            self.assertEqual(self.received(), piece)

    def test_head_leaves_with_the_first_piece(self) -> None:
        self.sender.hold(b"head ")
        self.assertEqual(self.received(), b"")
        self.sender.write(b"body")
        self.assertEqual(self.received(), b"head body")

    def test_what_is_written_together_leaves_in_one_piece_at_the_end(self) -> None:
        with together:
            self.sender.hold(b"head ")
            with together:
                self.sender.write(b"body")
            self.sender.write(b" end")
            self.assertEqual(self.received(), b"")
        self.assertEqual(self.received(), b"head body end")

    def test_failure_inside_does_not_keep_it_back(self) -> None:
        with self.assertRaises(KeyError), together:
            self.sender.write(b"said")
            raise KeyError
        self.assertEqual(self.received(), b"said")
        self.assertEqual(together.depth, 0)

    def test_what_was_sent_early_is_not_sent_again_at_the_end(self) -> None:
        with together:
            self.sender.write(b"now")
            self.sender.flush()
            self.assertEqual(self.received(), b"now")
        self.assertEqual(self.received(), b"")

    def test_what_the_socket_does_not_take_waits_and_all_else_behind_it(self) -> None:
        pieces = 0
        while not waiting(self.transport):
            self.sender.write(PIECE)
            pieces += 1
        data = self.received()
        self.sender.write(b"behind")
        while waiting(self.transport):
            self.transport.doWrite()
            data += self.received()
        self.sender.write(b" the end")
        data += self.received()
        self.assertEqual(data, PIECE * pieces + b"behind the end")

    def test_what_somebody_else_wrote_comes_first(self) -> None:
        self.sender.write(b"answer ")
        self.transport.write(b"continue ")
        self.sender.distrust()
        self.sender.write(b"answer")
        self.transport.doWrite()
        self.assertEqual(self.received(), b"answer continue answer")

    def test_peer_that_has_gone_is_no_error_here(self) -> None:
        self.sender.write(b"to somebody")
        self.there.close()
        self.sender.write(b"to nobody")
        self.assertEqual(waiting(self.transport), len(b"to nobody"))

    def test_other_transports_get_it_as_well(self) -> None:
        transport = StringTransport()
        sender = Sender(transport)
        sender.write(b"one ")
        with together:
            sender.write(b"two")
        self.assertEqual(transport.value(), b"one two")

    def test_producer_that_fails_does_not_keep_the_others_back(self) -> None:
        class Broken(StringTransport):
            def write(self, data: bytes) -> None:
                raise KeyError

        broken = Sender(Broken())
        with together:
            broken.write(b"lost")
            self.sender.write(b"kept")
        self.assertEqual(self.received(), b"kept")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
