"""How answers leave: in as few pieces as may be, each straight to the socket where nothing waits before it.

Twisted writes a head line by line and a chunk in four pieces, and asks the reactor for the socket each time.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from time import time
from typing import Any, cast

from twisted.internet.interfaces import IAddress, ITransport
from twisted.web import server
from twisted.web.http import NO_BODY_CODES, HTTPChannel, datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from ..sockets.sending import Sender, together

# Bytes that may wait here for one client before its reply is held.
OWN_BUFFER = 8 * 1024

_NO_STEPS: list[bytes] = []
_NOTHING: dict[Any, Any] = {}

# What Twisted's parser sets on a connection only once it reads. Python keeps the names of attributes once for all
# objects of a class, as long as it meets them with the first; each later one would get a dictionary of its own.
_SET_LATE = (
    "_HTTPChannel__first_line",
    "_HTTPChannel__header",
    "_buffer",
    "_busyReceiving",
    "_receivedHeaderCount",
    "_receivedHeaderSize",
    "_requestProducer",
    "_requestProducerStreaming",
    "_savedTimeOut",
    "length",
    "line_mode",
    "persistent",
)
_AT_FIRST = [(name, getattr(HTTPChannel, name)) for name in _SET_LATE]
_SERVER = b"Server: " + server.version


@lru_cache(maxsize=256)
def spelled(name: bytes) -> bytes:
    """The name of a header as it is sent."""
    [(known, _)] = Headers({name: [b""]}).getAllRawHeaders()
    return known


class AnswerSender(Sender):
    """Sends the answers on one connection; `size` counts the bytes of the body that is being sent in chunks."""

    __slots__ = ("size",)

    def __init__(self, transport: ITransport) -> None:
        super().__init__(transport)
        self.size = 0

    def write_chunk(self, data: bytes) -> None:
        """Sends a piece of a chunked body whose head is out."""
        # An empty chunk would be the last one.
        if size := len(data):
            self.size += size
            self.write(b"%x\r\n%b\r\n" % (size, data))


# As numbers: of bytes it is first tried whether they are one, which costs as much as ten looks.
_CR, _LF = b"\r\n"


class AnswerHeaders(Headers):
    """The headers of an answer; ours are set with fewer looks at what is known to be well formed."""

    __slots__ = ()

    def setRawHeaders(self, name: str | bytes, values: Sequence[str | bytes]) -> None:
        """Sets the values of a header; `name` in any case."""
        for value in values:
            if type(value) is not bytes or _LF in value or _CR in value:
                break
        else:
            if type(name) is bytes:
                self._rawHeaders[spelled(name)] = values  # type: ignore[assignment]  # all of them are bytes
                return
        super().setRawHeaders(name, values)

    def put_all(self, *headers: tuple[bytes, bytes]) -> None:
        """Sets several that are well formed, by their names as they are sent."""
        for name, value in headers:
            self._rawHeaders[name] = [value]

    def has(self, name: bytes) -> bool:
        """Whether a header is there; its name as it is sent."""
        return name in self._rawHeaders


NO_HEADERS = Headers()
NO_ANSWER_HEADERS = AnswerHeaders()


class EagerRequest(Request):
    """A request whose body, once its head is out, leaves a piece at a time."""

    # Python keeps the names of up to 30 attributes once for all objects of a class, those of more with each object.
    # Twisted's request has more, so our own, and those of its own that a reply looks at, lie in slots.
    __slots__ = (
        "_disconnected",
        "chunked",
        "finished",
        "producer",
        "sentLength",
        "startedWriting",
        "streamingProducer",
    )

    channel: "EagerChannel"
    responseHeaders: AnswerHeaders

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._disconnected = self.streamingProducer = False
        self.chunked = self.finished = self.sentLength = self.startedWriting = 0
        self.producer = None
        super().__init__(*args, **kwargs)
        self.responseHeaders = AnswerHeaders()

    def write(self, data: bytes) -> None:
        """Sends a piece of the body; the first one takes the head along."""
        if self.chunked and not (self.finished or self._disconnected):
            self.channel.sender.write_chunk(data)
        elif self.startedWriting or not self._is_usual():
            super().write(data)
        else:
            self._open()
            if self.chunked:
                self.channel.sender.write_chunk(data)
            else:
                self.sentLength = len(data)
                self.channel.write(data)

    def _is_usual(self) -> bool:
        """Whether the answer, of which nothing is sent yet, has a body, and no headers but those that were set."""
        return (
            self.method != b"HEAD"
            and self.code not in NO_BODY_CODES
            and self.clientproto == b"HTTP/1.1"
            and self.responseHeaders.has(b"Content-Type")
            and not (self.cookies or self.etag or self.lastModified or self._encoder)
            and not (self.finished or self._disconnected or self._inFakeHead)
        )

    def _open(self) -> None:
        """Does what Twisted does with the first piece of a usual answer: prepares the head."""
        self.startedWriting = 1
        if not self.responseHeaders.has(b"Content-Length"):
            self.responseHeaders.setRawHeaders(b"transfer-encoding", [b"chunked"])
            self.chunked = 1
        self.channel.writeHeaders(
            self.clientproto, b"%d" % self.code, self.code_message, self.responseHeaders
        )

    def stream_writer(self) -> Callable[[bytes], None]:
        """Does what `write` does, at less cost, for a stream of pieces; until `finish`."""
        if not self.chunked:
            return self.write
        self.forget()
        return self.channel.sender.write_chunk

    def forget(self) -> None:
        """Lets go of what was asked: the rest may take long, and needs nothing of it."""
        self.requestHeaders, self.responseHeaders = NO_HEADERS, NO_ANSWER_HEADERS
        self.args = self.received_cookies = _NOTHING
        self.cookies = self.prepath = self.postpath = _NO_STEPS
        if self.content is not None:
            self.content.close()
            self.content = None

    def finish(self) -> None:
        """The body is complete."""
        if self.chunked:
            self.sentLength += self.channel.sender.size
        super().finish()


class EagerChannel(HTTPChannel):
    """A connection that sends what belongs together in one piece.

    That is a head with the first bytes of its body, and a whole answer that is there by the time its request is read.
    """

    # As with requests: what Twisted's parser sets, and takes away again, would cost each connection a dictionary of its
    # own.
    __slots__ = (
        "_command",
        "_dataBuffer",
        "_handlingRequest",
        "_host",
        "_path",
        "_peer",
        "_transferDecoder",
        "_version",
        "requests",
        "sender",
        *_SET_LATE,
    )

    def __init__(self) -> None:
        for name, value in _AT_FIRST:
            setattr(self, name, value)
        super().__init__()

    def connectionMade(self) -> None:
        """Somebody called."""
        super().connectionMade()
        # Above this the transport holds the reply: what a slow client has not taken is the kernel's to keep.
        cast(Any, self.transport).bufferSize = OWN_BUFFER
        self.sender = AnswerSender(cast(ITransport, self.transport))
        self._host, self._peer = super().getHost(), super().getPeer()

    def getHost(self) -> IAddress:
        """The address of this end. Twisted asks the kernel for it with each request."""
        return self._host

    def getPeer(self) -> IAddress:
        """The address of the other end. Twisted makes it anew for each request."""
        return self._peer

    def allContentReceived(self) -> None:
        """A request is complete: whatever is answered from in here leaves together."""
        with together:
            super().allContentReceived()

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Prepares the head."""
        lines = [b"%b %b %b" % (version, code, reason), _SERVER, _date(int(time()))]
        lines += [
            b"%b: %b" % (name, value) for name, values in headers.getAllRawHeaders() for value in values
        ]
        self.sender.size = 0
        self.sender.hold(b"\r\n".join([*lines, b"", b""]))

    def _send100Continue(self) -> None:
        super()._send100Continue()
        # That went past the sender.
        self.sender.distrust()

    def write(self, data: bytes) -> None:
        """Sends a piece of an answer."""
        self.sender.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Sends a piece of an answer."""
        self.write(b"".join(iovec))

    def requestDone(self, request: Request) -> None:
        """The answer is complete; the connection may be closed behind it, or the next request make Twisted write."""
        self.sender.flush()
        super().requestDone(request)

    def loseConnection(self) -> None:
        """Closes the connection behind what was written."""
        self.sender.flush()
        super().loseConnection()


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return b"Date: " + datetimeToString(second)
