"""The wire side of HTTP: limits on what comes in, the guard at the door, paths made plain before they are routed."""

from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from ..agent.errors import AgentError, BadRequest, TooLarge
from ..dialects import openai
from ..dialects.detect import normalise
from . import errors
from .guard import Guard

PROBES = frozenset({"/", "/v1"})
ALIVE = b"Ollama is running"
# How much of a body that is over the limit is read and thrown away for the sake of a clean answer.
PATIENCE = 4
LINGER_SECONDS = 2.0


class HeadTooLarge(TooLarge):
    """The request's line and headers are over the limit."""

    status, code = 431, "headers_too_large"


class SlowRequest(AgentError):
    """The request did not arrive within the time for it."""

    status, code = 408, "request_timeout"


class Intake(Request):
    """One request on its way in. A body over the limit, or from somebody who may not come in, is not stored."""

    # None once the client has left.
    channel: "FrontChannel"
    content: BinaryIO
    refusal: AgentError | None = None
    plain_path = ""
    _stored = 0
    _limit = 0

    def gotLength(self, length: int | None) -> None:
        """The head is there: decides who it is before any of the body is kept."""
        super().gotLength(length)
        site = self.channel.site
        self.plain_path = normalise(self.channel._path.partition(b"?")[0])
        self.refusal = site.guard.refusal(self, self.plain_path in PROBES)
        self._limit = 0 if self.refusal else site.max_body_bytes

    def handleContentChunk(self, data: bytes) -> None:
        """Keeps the body up to the limit, and hangs up on who sends far more."""
        self._stored += len(data)
        if self._stored <= self._limit:
            super().handleContentChunk(data)
            return
        if self.refusal is None:
            self.refusal = TooLarge(f"The request is larger than the limit of {self._limit} bytes.")
        if self._stored > PATIENCE * max(self._limit, 1024 * 1024):
            self.channel.transport.abortConnection()

    def process(self) -> None:
        """Answers refusals and probes on the spot, and hands the rest to the routes."""
        if self.refusal is None and not _is_utf8(self.path):
            self.refusal = BadRequest("The path is not UTF-8.")
        if self.refusal is not None:
            self._reply(errors.answer(self, self.refusal))
        elif self.plain_path in PROBES and self.method in (b"GET", b"HEAD"):
            self.setHeader(b"content-type", b"text/plain; charset=utf-8")
            self.setHeader(b"content-length", b"%d" % len(ALIVE))
            self._reply(ALIVE)
        else:
            live = self.channel.site.live
            live.add(self)
            self.notifyFinish().addBoth(lambda _: live.discard(self))
            self.path = self.plain_path.encode("ascii")
            super().process()

    def getRequestHostname(self) -> bytes:
        """Routing does not depend on the Host header, and must not fail over an odd one."""
        return b"localhost"

    def _reply(self, body: bytes) -> None:
        self.write(body)
        self.finish()


def _is_utf8(path: bytes) -> bool:
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return path.isascii()


class FrontChannel(HTTPChannel):
    """HTTP/1.1 with a time limit for the whole request, and JSON where Twisted would drop the line or send HTML."""

    site: "FrontSite"
    transport: ITCPTransport
    _lingering = False

    def dataReceived(self, data: bytes) -> None:
        """Parses, unless the connection was given up."""
        if not self._lingering:
            super().dataReceived(data)

    def lineReceived(self, line: bytes) -> bool:
        """Parses a line of the head; True stops the parser."""
        super().lineReceived(line)
        return self._lingering

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

    def _give_up(self, error: AgentError) -> None:
        """Answers and closes. What still comes is swallowed for a moment, or the reset would erase the answer."""
        if self._lingering:
            return
        self._lingering = True
        body = openai.error(error)
        self.transport.write(
            b"HTTP/1.1 %d Error\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (error.status, openai.JSON_TYPE, len(body), body)
        )
        self.setTimeout(None)
        self.callLater(LINGER_SECONDS, self.loseConnection)


class FrontSite(Site):
    """The factory of the front door's connections.

    `live` are the requests that are being answered, probes excepted. HTTP/2 stays off: its streams do not tell a
    producer when the client leaves.
    """

    # Without Twisted's generic wrapper, which is there to switch to HTTP/2.
    protocol = FrontChannel  # type: ignore[assignment]
    events = Logger()

    def __init__(
        self,
        resource: IResource,
        guard: Guard,
        reactor: IReactorTime,
        max_body_bytes: int = 32 * 1024 * 1024,
        request_timeout: float = 60.0,
    ) -> None:
        super().__init__(resource, requestFactory=Intake, reactor=reactor, timeout=request_timeout)
        self.guard = guard
        self.max_body_bytes = max_body_bytes
        self.live: set[Intake] = set()

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS offers by ALPN."""
        return [b"http/1.1"]

    def log(self, request: Intake) -> None:  # type: ignore[override]
        """One line per request; none for probes, which every phone sends every few seconds."""
        if request.plain_path in PROBES and request.code == 200:
            return
        self.events.info(
            "{address} {method} {path} {code} {size}",
            address=getattr(request.getClientAddress(), "host", "-"),
            method=request.method.decode("latin-1"),
            path=request.uri.decode("latin-1")[:200],
            code=request.code,
            size=request.sentLength,
        )
