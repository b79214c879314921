"""Unpacks the body of an answer that came packed, although nobody asked for that."""

import zlib
from typing import Any

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from .client import Response
from .troubles import Trouble

# Bytes that are unpacked at a time: a few packed ones may be any number.
STEP = 64 * 1024

KNOWN = ("gzip", "x-gzip", "deflate")


class Unpacked:
    """A `client.Response` whose body is handed on as it was before it was packed."""

    def __init__(self, response: Response) -> None:
        self._response = response

    @property
    def code(self) -> int:
        """See `client.Response`."""
        return self._response.code

    @property
    def headers(self) -> Headers:
        """See `client.Response`."""
        return self._response.headers

    def deliverBody(self, protocol: IProtocol) -> None:
        """See `client.Response`."""
        self._response.deliverBody(_Unpacking(protocol))


def packing_of(headers: Headers) -> list[str]:
    """What the body was packed with."""
    lines = headers.getRawHeaders("content-encoding")
    if not lines:
        return []
    names = [name.strip().lower() for line in lines for name in line.split(",")]
    return [name for name in names if name not in ("", "identity")]


@implementer(IPushProducer)
class _Unpacking(Protocol):
    """Stands between the connection and a body's reader, which may pause it in the middle of a segment."""

    def __init__(self, reader: IProtocol) -> None:
        self._reader = reader
        self._unpacker: Any = None
        self._packed = b""
        self._paused = self._busy = False
        # Why the connection went, with some of the body still to be handed on.
        self._lost: Failure | None = None

    def connectionMade(self) -> None:
        self._reader.makeConnection(self)  # type: ignore[arg-type]  # all that it needs of an ITransport

    def dataReceived(self, data: bytes) -> None:
        if self._unpacker is None:
            # What is called deflate has a head, by the standard, and none by some servers.
            self._unpacker = zlib.decompressobj(47 if data[0] & 0x0F in (8, 15) else -15)
        self._packed += data
        self._unpack()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = reason
        self._end()

    # -- what the reader has as its transport

    def pauseProducing(self) -> None:
        self._paused = True
        if self._lost is None:
            self._socket.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._lost is not None:
            self._end()
            return
        self._unpack()
        if not self._paused:
            self._socket.resumeProducing()

    def stopProducing(self) -> None:
        self._paused, self._packed = True, b""
        if self._lost is None:
            self._socket.stopProducing()

    def _end(self) -> None:
        """Tells the reader of the end, once it has all that came before."""
        assert self._lost is not None
        try:
            self._unpack()
        except Trouble as trouble:
            self._lost = Failure(trouble)
        if not self._paused:
            self._reader.connectionLost(self._lost)

    def _unpack(self) -> None:
        if self._busy or self._unpacker is None:
            return
        self._busy = True
        try:
            while not self._paused:
                piece = self._unpacker.decompress(self._packed, STEP)
                self._packed = self._unpacker.unconsumed_tail
                if not piece:
                    break
                self._reader.dataReceived(piece)
        except zlib.error:
            self._unpacker = None
            raise Trouble("its answer is packed in a way that cannot be read") from None
        finally:
            self._busy = False

    @property
    def _socket(self) -> IPushProducer:
        assert self.transport is not None
        return self.transport  # type: ignore[return-value]  # see `client.Response`
