"""Sockets of database drivers: how much they take in, with TLS and without."""

import socket
import ssl
from pathlib import Path
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import ToolError
from llamaproxy.tools.sql import sockets
from llamaproxy.tools.sql.server import Server
from tests.acceptance.test_tls import write_certificate


class BoundTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(sockets, "MOST_RECEIVED", 1000)
        theirs, ours = socket.socketpair()
        for end in (theirs, ours):
            end.settimeout(5)
        self.theirs, self.ours = theirs, sockets.BoundedSocket(ours)
        self.addCleanup(theirs.close)
        self.addCleanup(self.ours.close)

    def check(self, connected: socket.socket) -> None:
        """The way drivers read; the server sends 999 bytes and then 2."""
        with connected.makefile("rb", buffering=0) as file:
            self.assertEqual(len(file.read(999) or b""), 999)
            with self.assertRaisesRegex(ToolError, "has more than"):
                file.read(2)

    def test_no_more_than_the_limit_is_taken_in(self) -> None:
        self.assertEqual(self.ours.gettimeout(), 5)
        self.theirs.sendall(b"x" * 999)
        self.theirs.sendall(b"x" * 2)
        self.check(self.ours)

    def test_same_holds_under_tls(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        key, certificate = write_certificate(folder)

        def serve() -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            with context.wrap_socket(self.theirs, server_side=True) as encrypted:
                encrypted.sendall(b"x" * 999)
                encrypted.sendall(b"x" * 2)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5)
        server = Server(host="h", port=1, user="", password="", database="", sslmode="require")
        tls = server.tls()
        assert tls is not None
        with tls.wrap_socket(self.ours) as connected:
            self.check(connected)
