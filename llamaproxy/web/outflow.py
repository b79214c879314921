"""How answers leave: in as few pieces as may be, each straight to the socket where nothing waits before it.

Twisted writes a head line by line and a chunk in four pieces, and asks the reactor for the socket each time.
"""

from collections.abc import Iterable
from typing import Any, cast

from twisted.internet.interfaces import ITransport
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from ..eager import write

# Bytes that may wait here for one client before its reply is held.
OWN_BUFFER = 8 * 1024


class EagerRequest(Request):
    """A request whose body, once its head is out, leaves a piece at a time."""

    def write(self, data: bytes) -> None:
        """Sends a piece of the body; the first one takes the head along."""
        if self.chunked and data and not (self.finished or self._disconnected):
            self.sentLength += len(data)
            self.channel.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            super().write(data)


class EagerChannel(HTTPChannel):
    """A connection that sends what belongs together in one piece.

    That is a head with the first bytes of its body, and a whole answer that is there by the time its request is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: list[bytes] = []
        self._holding = False

    def connectionMade(self) -> None:
        """Somebody called."""
        super().connectionMade()
        # Above this the transport holds the reply: what a slow client has not taken is the kernel's to keep.
        cast(Any, self.transport).bufferSize = OWN_BUFFER

    def allContentReceived(self) -> None:
        """A request is complete: whatever is answered from in here leaves together."""
        self._holding = True
        try:
            super().allContentReceived()
        finally:
            self._holding = False
            self._send()

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Prepares the head."""
        lines = [b"%b %b %b" % (version, code, reason)]
        lines += [
            b"%b: %b" % (name, value) for name, values in headers.getAllRawHeaders() for value in values
        ]
        self._held.append(b"\r\n".join([*lines, b"", b""]))

    def write(self, data: bytes) -> None:
        """Sends a piece of an answer."""
        if self._held or self._holding:
            self._held.append(data)
            if not self._holding:
                self._send()
        else:
            write(cast(ITransport, self.transport), data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Sends a piece of an answer."""
        self.write(b"".join(iovec))

    def requestDone(self, request: Request) -> None:
        """The answer is complete; the connection may be closed behind it."""
        self._send()
        super().requestDone(request)

    def _send(self) -> None:
        if self._held:
            held, self._held = self._held, []
            write(cast(ITransport, self.transport), b"".join(held))
