"""The wire side of HTTP: limits on what comes in, the guard at the door, paths made plain before they are routed."""

import sys
from collections.abc import Awaitable, Callable, Collection
from io import BytesIO
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes as unquote

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import parse_qs
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from zope.interface import implementer

from ..seams.errors import AgentError, BadRequest, TooLarge
from ..seams.lines import Lines
from ..sockets.polling import breaks
from . import beginnings, errors
from .beginnings import HeadTooLarge, OddFraming, SlowRequest, has_readable_path
from .cors import Cors
from .crowd import Crowd
from .guard import Guard
from .heads import Head, is_visit, settle_host, whole
from .inflate import Inflater, inflater
from .meters import Meters
from .placed import Answering, PlacedChannel, PlacedRequest

PROBES = frozenset({"/", "/v1"})
# What apps ask every few seconds; not worth a line in the log while it goes well.
POLLED = PROBES | {"/api/version", "/api/tags"}
# What load balancers ask, whatever they are told.
HEALTH = frozenset({"/healthz", "/readyz"})
ALIVE = b"Ollama is running"
# How much of a body that is over the limit is read and thrown away for the sake of a clean answer.
PATIENCE = 4
LINGER_SECONDS = 2.0


class Intake(PlacedRequest):
    """One request on its way in. A body over the limit, or from somebody who may not come in, is not stored."""

    __slots__ = ("_inflater", "_received", "_stored", "answering", "refusal")

    # None once the client has left.
    channel: "FrontChannel"
    content: BinaryIO

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusal: AgentError | None = None
        # What waits for its answer, and is cancelled when the client leaves.
        self.answering: Answering | None = None
        self._inflater: Inflater | None = None
        self._received = self._stored = 0

    def gotLength(self, length: int | None) -> None:
        """The head is there: decides who it is, and whether the body may come, before any of it is kept."""
        if self.content is None:
            super().gotLength(length)
        if self.head is None:
            self.place()
        try:
            self._admit(length or 0)
        except AgentError as refusal:
            self.refusal = refusal
            if self.requestHeaders.hasHeader(b"expect") or isinstance(refusal, OddFraming):
                # The client waits for a word before it sends the body: it gets the final one. Or nobody can tell where
                # its body ends.
                self.requestHeaders.removeHeader(b"expect")
                self.channel.leave_body()

    def place(self, head: Head | None = None) -> None:
        """Works out, from as much of the head as there is, which path and host are meant and which page asks."""
        channel = self.channel
        if head is None:
            # Of a request that breaks off not all is known.
            method, target = getattr(channel, "_command", b""), getattr(channel, "_path", b"")
            settle_host(target, self.requestHeaders)
            head = Head(method, target, getattr(channel, "_version", self.clientproto), self.requestHeaders)
        self.head, self.clientproto = head, head.version
        self.plain_path, self.is_page = head.path, head.is_page
        self.name()
        if head.origin is not None and not head.is_page:
            channel.site.cors.mark(self)

    def _admit(self, length: int) -> None:
        site, head = self.channel.site, self.head
        assert head is not None
        if problem := head.once(beginnings.problem):
            raise problem.afresh()
        is_file = head.method in (b"GET", b"HEAD") and head.path in site.page_files
        is_probe = head.path in PROBES or head.method == b"OPTIONS" or is_file
        refusal: AgentError | None = site.guard.refusal(self, is_probe)
        if refusal is None and head.origin is not None:
            refusal = site.cors.page_refusal(self) if head.is_page else site.cors.refusal(self)
        if refusal is not None:
            raise refusal
        if length > site.max_body_bytes:
            raise self._too_large()
        if head.get(b"content-encoding") is not None:
            self._inflater = inflater(b", ".join(head.headers.getRawHeaders(b"content-encoding", ())))

    def connectionLost(self, reason: Failure) -> None:
        """The client has left."""
        super().connectionLost(reason)
        if self.answering is not None:
            self.answering.cancel()

    def handleContentChunk(self, data: bytes) -> None:
        """Keeps the body up to the limit, and hangs up on who sends far more."""
        self._received += len(data)
        if self.refusal is None:
            try:
                self._store(data)
            except AgentError as refusal:
                self.refusal = refusal
        elif self._received > PATIENCE * max(self.channel.site.max_body_bytes, 1024 * 1024):
            self.channel.transport.abortConnection()

    def _store(self, data: bytes) -> None:
        limit = self.channel.site.max_body_bytes
        if self._inflater is not None:
            data = self._inflater.feed(data, limit - self._stored)
        self._stored += len(data)
        if max(self._stored, self._received) > limit:
            raise self._too_large()
        super().handleContentChunk(data)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The request is larger than the limit of {self.channel.site.max_body_bytes} bytes.")

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The whole of it is there. As Twisted has it, but that no body is a form."""
        self.content.seek(0)
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, query = path.partition(b"?")
        self.args = parse_qs(query, True) if query else {}
        self.process()

    def process(self) -> None:
        """Answers refusals, preflights and probes on the spot, and hands the rest to the routes."""
        site, head = self.channel.site, self.head
        assert head is not None
        try:
            self._check(head)
        except AgentError as refusal:
            self._reply(errors.answer(self, refusal))
            return
        if self.method == b"OPTIONS":
            site.cors.preflight(self)
            self._reply(b"")
        elif self.plain_path in PROBES and not (head.once(is_visit) and site.page_files):
            self.setHeader(b"content-type", b"text/plain; charset=utf-8")
            self.setHeader(b"content-length", b"%d" % len(ALIVE))
            self._reply(ALIVE)
        else:
            self.path = self.plain_path.encode("ascii")
            self._route()

    def _route(self) -> None:
        """Does what Twisted's `process` does, without a search for the resource: there is one for all paths."""
        self.site = self.channel.site
        steps = self.path[1:].split(b"/")
        self.prepath, self.postpath = [], [*map(unquote, steps)] if b"%" in self.path else steps
        try:
            self.render(self.site.resource)
        except Exception:
            self.processingFailed(Failure())

    def _check(self, head: Head) -> None:
        """What stands against an answer, now that the whole request is there; raises it."""
        if self.refusal is not None:
            raise self.refusal
        if not head.once(has_readable_path):
            raise BadRequest("The path is not UTF-8.")
        if self._inflater is not None:
            self._inflater.end()
        if self.plain_path in PROBES and self.method not in (b"GET", b"HEAD", b"OPTIONS"):
            raise errors.WrongMethod("Method not allowed; this path takes GET, HEAD.", ["GET", "HEAD"])

    def getRequestHostname(self) -> bytes:
        """Routing does not depend on the Host header, and must not fail over an odd one."""
        return b"localhost"

    def _reply(self, body: bytes) -> None:
        self.write(body)
        self.finish()


@implementer(IHalfCloseableProtocol)
class FrontChannel(PlacedChannel):
    """HTTP/1.1 with a time limit for the whole request, and JSON where Twisted would drop the line or send HTML."""

    # A single LF ends a line as well (RFC 9112, 2.2); a CR before it goes in `lineReceived`.
    delimiter = b"\n"

    __slots__ = ("_arriving", "_blank_lines", "_lingering", "_started")

    site: "FrontSite"
    transport: ITCPTransport

    def __init__(self) -> None:
        super().__init__()
        # Whether bytes of a request are here, and the line that it begins with.
        self._arriving = self._started = self._lingering = False
        self._blank_lines = 0

    def connectionMade(self) -> None:
        """Somebody called."""
        self.clock = self.site.clock
        super().connectionMade()
        self.site.connections.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, with all that was sent on it."""
        super().connectionLost(reason)
        self.site.disconnected(self)

    @property
    def stage(self) -> int:
        """See `crowd.Guest`."""
        return 2 if self._handlingRequest or self._lingering else 1 if self.requests or self._arriving else 0

    def hang_up(self) -> None:
        """See `crowd.Guest`."""
        self.transport.abortConnection()

    def close(self) -> None:
        """Takes no more requests, and closes the connection behind the reply under way, if there is one."""
        self.persistent = False
        if not self._handlingRequest:
            self.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Parses, unless the connection was given up. The time for a request begins with its first byte."""
        if self._lingering:
            return
        if not (self._arriving or self._handlingRequest):
            self._arriving = True
            is_free = self.persistent and not (self._buffer or self._busyReceiving)
            if is_free and (request := whole(data)) is not None:
                self._take(*request, data)
                breaks.take()
                return
            self.setTimeout(self.timeOut)
        super().dataReceived(data)
        # What has ended is a line for `lineReceived`, now or as soon as it may go on.
        if not self._started and self.line_mode and self._buffer and b"\n" not in self._buffer:
            self._check_beginning(self._buffer)
        breaks.take()

    def _take(self, head: Head, body: bytes, data: bytes) -> None:
        """Does what Twisted's parser does with a request, for one that is here as a whole: its `data` at once."""
        request = cast(Intake, self.requestFactory(self))
        self.requests.append(request)
        request.requestHeaders, request.content = head.headers, BytesIO(body)
        request.place(head)
        if self.departs(data):
            return
        request.gotLength(len(body))
        self._command, self._path, self._version = head.method, head.target, head.version
        self.allContentReceived()

    def departs(self, data: bytes) -> bool:
        """Whether the newest request, whose head is there, is answered elsewhere, by whoever gets this `data`."""
        return False

    def requestDone(self, request: Request) -> None:
        """An answer is out; the next request may come, or is already here."""
        self._arriving = self._started = False
        self._blank_lines = 0
        super().requestDone(request)

    def lineReceived(self, line: bytes) -> bool:
        """Parses a line of the head; True stops the parser."""
        line = line.removesuffix(b"\r")
        if not self._started:
            if not line and self._blank_lines < beginnings.BLANK_LINES:
                self._blank_lines += 1
                return False
            self._started = True
            self._check_beginning(line)
        if b"\r" in line:
            # Alone it ends a line for some who read along, and for others not.
            self._respondToBadRequestAndDisconnect()
        if not self._lingering:
            super().lineReceived(line)
        return self._lingering

    def _check_beginning(self, line: bytes) -> None:
        """Does not wait for the end of what can never become a request's first line."""
        if not self._lingering and (refusal := beginnings.refusal(line)) is not None:
            self._give_up(refusal)
            self.loseConnection()

    def resetTimeout(self) -> None:
        """Bytes that trickle in buy no more time: the limit is for the request as a whole."""

    def lineLengthExceeded(self, line: bytes) -> None:
        """A header line is too long."""
        self._give_up(HeadTooLarge("The request's headers are too large."))

    def timeoutConnection(self) -> None:
        """The request is not complete in time, or the connection is idle."""
        if self.requests and not self._handlingRequest:
            self._give_up(SlowRequest("The request took too long to arrive."))
        else:
            super().timeoutConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._give_up(HeadTooLarge("The request's headers are too large."))
        else:
            self._give_up(BadRequest("This is not an HTTP request that can be understood."))

    def leave_body(self) -> None:
        """The body of the request whose head has just come is not read: it is answered now, and the last one."""
        self.length = 0
        self.persistent = False
        self.requests[-1].setHeader(b"connection", b"close")

    def readConnectionLost(self) -> None:
        """The client sends no more. It gets what is already answered; one that still waits counts as gone.

        That is how Go's server, and with it Ollama, treats a client that closes its half while a reply is made.
        """
        if self.requests:
            self.transport.abortConnection()
        else:
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """Never: this side closes both halves at once."""

    def _give_up(self, error: AgentError) -> None:
        """Answers and closes. What still comes is swallowed for a moment, or the reset would erase the answer."""
        if self._lingering:
            return
        self._lingering = True
        request = self.requests[-1] if self.requests else Intake(self)
        if request.head is None:
            request.place()
        self.transport.write(errors.farewell(request, error))
        self.setTimeout(None)
        self.callLater(LINGER_SECONDS, self.loseConnection)


class FrontSite(Site):
    """The factory of the front door's connections.

    `connections` are the open ones, at most `most_connections`; `meters` counts what happens on them. HTTP/2 stays off:
    its streams do not tell a producer when the client leaves.
    """

    noisy = False

    # Without Twisted's generic wrapper, which is there to switch to HTTP/2.
    protocol: Callable[[], FrontChannel] = FrontChannel  # type: ignore[assignment]

    def __init__(
        self,
        resource: IResource,
        guard: Guard,
        reactor: IReactorTime,
        max_body_bytes: int = 32 * 1024 * 1024,
        request_timeout: float = 60.0,
        cors: Cors | None = None,
        most_connections: int = sys.maxsize,
    ) -> None:
        # A body is JSON, whatever its type says; Twisted would take it for a form.
        super().__init__(
            resource,
            requestFactory=Intake,
            reactor=reactor,
            timeout=request_timeout,
            parsePOSTFormSubmission=False,
        )
        self.clock = reactor
        self.guard = guard
        self.cors = cors or Cors()
        self.max_body_bytes = max_body_bytes
        self.connections: Crowd[FrontChannel] = Crowd(reactor, most_connections)
        self.meters = Meters(reactor)
        # The address that it listens on, "" for all.
        self.bound = ""
        # The files of the server's own pages, none where there are no pages. They are nobody's secret: who lacks only a
        # key gets them as well, since the page is where one enters it.
        self.page_files: Collection[str] = ()
        # The text of `/metrics` where it is not about this process alone.
        self.exposition: Callable[[], Awaitable[str]] | None = None
        self._closed: Deferred[None] | None = None
        self._log = Lines(self)

    def close(self) -> Deferred[None]:
        """Takes no more requests; fires once the replies under way are out and the last connection is closed."""
        self._closed = Deferred()
        for connection in list(self.connections):
            connection.close()
        self._tell_if_closed()
        return self._closed

    @property
    def closing(self) -> bool:
        """Whether it takes no more requests."""
        return self._closed is not None

    def hang_up(self) -> None:
        """Drops every connection, unsent bytes and all."""
        for connection in list(self.connections):
            connection.hang_up()

    def disconnected(self, connection: FrontChannel) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self._tell_if_closed()

    def _tell_if_closed(self) -> None:
        if self._closed is not None and not self._closed.called and not self.connections:
            self._closed.callback(None)

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS offers by ALPN."""
        return [b"http/1.1"]

    def log(self, request: Intake) -> None:  # type: ignore[override]
        """One line per request; none for what every phone sends every few seconds, nor for looks at our own pages."""
        is_look = request.plain_path in POLLED or request.is_page
        if request.plain_path in HEALTH or (is_look and request.code == 200):
            return
        address = getattr(request.getClientAddress(), "host", "-")
        method, path = request.method.decode("latin-1"), request.uri.decode("latin-1")[:200]
        code, size = request.code, request.sentLength
        # The logger takes several times as long to put five fields into a line.
        line = f"{address} {method} {path} {code} {size} {request.request_id}"
        self._log.line(line, address=address, method=method, path=path, code=code, size=size)
