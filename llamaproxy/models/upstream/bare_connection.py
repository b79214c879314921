"""One connection of the fast path: HTTP/1.1 over plain TCP, and nothing between the socket and a body's reader.

What keeps it fast, and must stay true:

- Whoever reads the socket calls the parser of the current state directly: `dataReceived` is an attribute that changes
  with it.
- One segment of the socket is at most one call of the body's reader; the framing of HTTP costs no call per chunk.
- A piece of a chunk is handed on as soon as it is there; only an unfinished line of the framing is kept.
"""

import re
from collections.abc import Callable

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection as TCPConnection
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from ...sockets.eager import before_loss, waiting, write
from ...sockets.polling import Poll
from ...sockets.straight import Outgoing
from .client import Response
from .endings import PotentialDataLoss, ResponseDone, ResponseFailed
from .heads import STATUS, Head, read_head
from .troubles import Trouble

# Idle connections that are kept for one server.
MAX_IDLE = 256
# Seconds for which one is kept idle.
MAX_REST = 60.0
MAX_HEAD = 64 * 1024
# Answers of the 1xx kind before the real one, which say nothing that is of use here.
MAX_INFORMATIONAL = 16
# A line of the chunked framing: a size with its extension, or a trailer.
MAX_LINE = 16 * 1024
# Bytes that are read at a time.
SEGMENT = 16 * 1024

_BLANK_LINE = re.compile(rb"\n\r?\n")
# RFC 9112, section 7.1: what stands between the data of two chunks. An extension is ignored.
_SIZE = re.compile(rb"\r\n([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


_DONE = Failure(ResponseDone())


class Answer(Struct, frozen=True):
    """The `client.Response` of this room; `read_with` takes the body's reader. For `is_plain` see `Head`."""

    code: int
    headers: Headers
    is_plain: bool
    read_with: Callable[[IProtocol], None]

    def deliverBody(self, protocol: IProtocol) -> None:
        """See `client.Response`."""
        self.read_with(protocol)


class Connection(Protocol):
    """One connection: at rest among the `idle` ones, or busy with one request and its response.

    For the reader of a body it is also the transport: `pauseProducing`, `resumeProducing`, `stopProducing`.
    """

    # A thousand streams do not fit the processor's cache; what one token touches shall lie close together.
    __slots__ = (
        "_answer",
        "_gone",
        "_idle",
        "_informational",
        "_kept",
        "_left",
        "_paused",
        "_persistent",
        "_poll",
        "_reader",
        "_reading",
        "_seconds",
        "connected",
        "dataReceived",
        "is_over",
        "rested_since",
        "transport",
    )

    transport: TCPConnection

    def __init__(self, poll: Poll, seconds: Callable[[], float], idle: list["Connection"]) -> None:
        self.rested_since = 0.0
        self._poll = poll
        self._seconds = seconds
        self._idle = idle
        self._answer: Deferred[Response] | None = None
        self._gone: Deferred[None] | None = None
        self._reader: IProtocol | None = None
        # What came and waits for more: an unfinished head or framing line, or a body that nobody reads yet.
        self._kept = b""
        # Bytes of the current chunk, or of a body of known length, that are still to come.
        self._left = 0
        self._informational = 0
        self._persistent = self._paused = False
        # The end of the body is there, behind the piece that its reader is handed now.
        self.is_over = False
        self._go_on_with(self._unasked)

    def connectionMade(self) -> None:
        """Takes the place of whatever stands between the transport and this."""
        self.transport.protocol = self
        self._reading = self._poll.reading(self.transport, self, SEGMENT)
        if not isinstance(self.transport, Outgoing):
            before_loss(self.transport, self.hearOut)

    def send(self, request: bytes) -> Deferred[Response]:
        """Sends a whole request; fires with the response once its head is there. Cancelling it hangs up."""
        answer = self._answer = Deferred(lambda _: self._given_up())
        self._informational = 0
        self._go_on_with(self._head)
        write(self.transport, request)
        self._choose_reading()
        return answer

    def read_with(self, reader: IProtocol) -> None:
        """Delivers the body to `reader`, first of all what has already come of it."""
        self._reader = reader
        reader.makeConnection(self)  # type: ignore[arg-type]  # all that it needs of an ITransport
        kept, self._kept = self._kept, b""
        if self._paused:
            self.resumeProducing()
        self.dataReceived(kept)

    # -- what the reader of a body has as its transport

    def pauseProducing(self) -> None:
        """Stops reading the socket."""
        self._paused = True
        self._reading.pause()

    def resumeProducing(self) -> None:
        """Reads on."""
        self._paused = False
        self._reading.resume()

    def stopProducing(self) -> None:
        """Closes the connection now."""
        self._persistent = False
        self._reading.pause()
        self.transport.abortConnection()

    # -- how it ends

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server hung up, which is how a body without a length ends."""
        self._reading.lost()
        if self in self._idle:
            self._idle.remove(self)
        if self._gone is not None:
            self._gone.callback(None)
        without_length = self.dataReceived == self._until_close
        self._end(Failure(PotentialDataLoss()) if without_length else Failure(ResponseFailed([reason])))

    def _choose_reading(self) -> None:
        """Reads by the poll, but not while some of the request waits in the transport.

        The reactor has the socket then, too. It would take the connection for lost when the server has answered early
        and hung up, unless it also reads what came before.
        """
        if self._reading.is_polled == bool(waiting(self.transport)):
            self._reading.pause()
            self._reading = self._poll.reading(self.transport, self, SEGMENT)

    def hearOut(self) -> None:
        """Reads the answer that is there already, where the connection was lost while the request was being sent."""
        while self._answer is not None:
            try:
                data = self.transport.socket.recv(SEGMENT)
            except OSError:
                return
            if not data:
                return
            self.dataReceived(data)

    def _given_up(self) -> None:
        self._answer = None
        # What was received by now may still be handed on.
        self._go_on_with(self._unasked)
        self.stopProducing()

    def _complete(self, rest: bytes) -> None:
        """The response is; what follows it was not asked for."""
        if self._paused:
            self.resumeProducing()
        if rest or not self._persistent or len(self._idle) >= MAX_IDLE:
            self._lose()
        else:
            self.rested_since = self._seconds()
            self._idle.append(self)
            # Those of a crowd that has gone are let go; nobody else would come by them.
            while self._idle[0].rested_since + MAX_REST < self.rested_since:
                self._idle.pop(0).stopProducing()
        self._end(_DONE)

    def _malformed(self, why: str) -> None:
        self._broken(Trouble(f"its answer cannot be read: {why}"))

    def _broken(self, error: Exception) -> None:
        self.stopProducing()
        self._end(Failure(ResponseFailed([Failure(error)])))

    def _end(self, reason: Failure) -> None:
        """Tells whoever waits, for the head or for the body, that it is over."""
        self._kept, self._left, self.is_over = b"", 0, False
        self._go_on_with(self._unasked)
        reader, self._reader = self._reader, None
        answer, self._answer = self._answer, None
        if reader is not None:
            reader.connectionLost(reason)
        elif answer is not None:
            answer.errback(reason)

    def close(self) -> Deferred[None]:
        """Closes the connection, which is at rest; fires when it is closed."""
        self._gone = Deferred()
        self._lose()
        return self._gone

    def _lose(self) -> None:
        self._reading.pause()
        self.transport.loseConnection()

    # -- one parser for each state

    def _go_on_with(self, parser: Callable[[bytes], None]) -> None:
        self.dataReceived = parser  # type: ignore[method-assign, assignment]

    def _unasked(self, data: bytes) -> None:
        """Nothing was asked, or nothing more is wanted."""
        if data:
            self.stopProducing()

    def _head(self, data: bytes) -> None:
        data = self._kept + data
        while (end := _BLANK_LINE.search(data)) and end.start() <= MAX_HEAD:
            status = STATUS.match(data)
            if status is None:
                self._malformed(_no_status(data))
                return
            head, data = data[: end.start() + 1], data[end.end() :]
            if status[2] >= b"200":
                self._kept = data
                try:
                    parsed = read_head(head)
                except ValueError:
                    self._malformed("a line of its head is no header")
                else:
                    self._begin(parsed)
                return
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                self._malformed(f"more than {MAX_INFORMATIONAL} answers of the 1xx kind came before it")
                return
        self._kept = data
        if len(data) > MAX_HEAD:
            self._malformed("its head has no end")

    def _begin(self, head: Head) -> None:
        """Hands the answer out, now that its head is there."""
        if not self._reading.is_polled:
            self._choose_reading()
        self._persistent = head.persists
        if problem := self._choose_parser(head):
            self._malformed(problem)
            return
        answer, self._answer = self._answer, None
        assert answer is not None
        answer.callback(Answer(head.code, head.headers, head.is_plain, self.read_with))
        # Whoever took the answer may have read it to its end by now, and asked the next thing here.
        if self._reader is None and self._answer is None and self._awaits_body():
            self.pauseProducing()

    def _awaits_body(self) -> bool:
        return self.dataReceived != self._unasked

    def _choose_parser(self, head: Head) -> str:
        """Selects the body's parser; what is wrong with the head, if anything is."""
        codings, lengths = head.codings, head.lengths
        if codings:
            # The first chunk's size has no line break before it, as all the others have.
            self._kept = b"\r\n" + self._kept
            self._go_on_with(self._chunks)
            return "" if codings == ("chunked",) else "its body is encoded in a way that nobody asked for"
        if not lengths:
            self._go_on_with(self._until_close)
            return ""
        if len(lengths) > 1 or not lengths[0].isdecimal():
            return "its length is not one number"
        self._left = int(lengths[0])
        self._go_on_with(self._counted)
        return ""

    def _counted(self, data: bytes) -> None:
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        self._hand_on(body)
        if not self._left and self._reader is not None:
            self._complete(rest)

    def _until_close(self, data: bytes) -> None:
        self._hand_on(data)

    def _chunks(self, data: bytes) -> None:
        """Takes the body out of the framing; the line break after a chunk is read with the next one's size."""
        left, at, end = self._left, 0, len(data)
        if not left:
            data = self._kept + data
            end = len(data)
        pieces = []
        is_last = False
        while True:
            if left:
                pieces.append(data[at : at + left])
                at += left
                if at >= end:
                    left, at = at - end, end
                    break
            size = _SIZE.match(data, at)
            if size is None:
                left = 0
                break
            left, at = int(size[1], 16), size.end()
            if not left:
                is_last = True
                break
        self._left, self._kept = left, data[at:]
        self.is_over = is_last and self._kept == b"\r\n"
        self._hand_on(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if left or self._reader is None:
            return
        if is_last:
            # The line break lets an empty trailer look like the others.
            self._kept = b""
            self._go_on_with(self._trailer)
            self._trailer(b"\r\n" + data[at:])
        elif self._kept != b"\r\n" and (end - at > MAX_LINE or _is_no_size(self._kept)):
            self._malformed("a chunk's size is no number")

    def _trailer(self, data: bytes) -> None:
        self._kept += data
        _, found, rest = self._kept.partition(b"\r\n\r\n")
        if found:
            self._complete(rest)
        elif len(self._kept) > MAX_HEAD:
            self._malformed("its trailer has no end")

    def _hand_on(self, body: bytes) -> None:
        if not body:
            return
        try:
            self._reader.dataReceived(body)  # type: ignore[union-attr]
        except Exception as error:
            self._broken(error)


def _no_status(data: bytes) -> str:
    """What is wrong with the first line of an answer."""
    if data.startswith((b"\x15\x03", b"\x16\x03")):
        return "it speaks TLS, and its host would begin with https://"
    return "it does not begin as HTTP does"


def _is_no_size(data: bytes) -> bool:
    """Whether this, which is not a chunk's size line, cannot become one either."""
    return not b"\r\n".startswith(data[:2]) or b"\r\n" in data[2:]
