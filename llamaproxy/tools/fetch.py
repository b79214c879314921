"""One page from the web: redirects followed one by one, the body never larger than asked for."""

import zlib
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from ..seams.errors import ToolError
from .addresses import PublicEndpoints

MOST_REDIRECTS = 5
CONNECT_SECONDS = 10.0
_PLAIN = "/%:@!$&'()*+,;=~-._"
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {
    b"user-agent": [b"Mozilla/5.0 (compatible; llamaproxy)"],
    b"accept": [b"text/html,application/xhtml+xml,application/json,text/plain;q=0.9,*/*;q=0.1"],
    # Unpacked by hand, since a small packed body may become any size.
    b"accept-encoding": [b"gzip, identity"],
}


class Page(Struct, frozen=True, kw_only=True):
    """What came: `url` is where it was in the end, `media_type` in lower case, `charset` empty if not told."""

    url: str
    media_type: str
    charset: str
    body: bytes
    cut: bool


async def fetch(reactor: Any, url: str, max_bytes: int, allow_private: bool = False) -> Page:
    """The page at `url`. Raises `ToolError`; closes the connection when cancelled."""
    for _ in range(MOST_REDIRECTS + 1):
        _check(url)
        response = await _ask(reactor, url, allow_private)
        if response.code not in _REDIRECTS or not response.headers.hasHeader(b"location"):
            return await _page(url, response, max_bytes)
        _hang_up(response)
        location = _header(response, b"location", "")
        try:
            url = urljoin(url, location)
        except ValueError:
            raise ToolError(f"{url} redirects to {location!r}, which is no web address") from None
    raise ToolError(f"{url} redirects more than {MOST_REDIRECTS} times")


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ToolError(f"{url!r} is no web address; expected http://... or https://...")


async def _ask(reactor: Any, url: str, allow_private: bool) -> IResponse:
    endpoints = PublicEndpoints(reactor, allow_private, CONNECT_SECONDS)
    agent = Agent.usingEndpointFactory(reactor, endpoints)
    try:
        return await agent.request(b"GET", _encoded(url), Headers(_HEADERS))
    except CancelledError:
        raise
    except Exception as error:
        if endpoints.refused:
            raise ToolError(f"{url} is in a private network, which is not allowed") from None
        raise ToolError(f"{url} cannot be reached: {_reason(error)}") from None


def _encoded(url: str) -> bytes:
    """The URL as it goes over the wire, without a fragment and without a user's name."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    port = f":{parts.port}" if parts.port else ""
    path, query = quote(parts.path or "/", _PLAIN), quote(parts.query, _PLAIN + "?")
    return f"{parts.scheme}://{name}{port}{path}{'?' if query else ''}{query}".encode("ascii")


def _reason(error: Exception) -> str:
    reasons = getattr(error, "reasons", None)  # what a response that broke off has
    return str(reasons[0].value if reasons else error) or type(error).__name__


async def _page(url: str, response: IResponse, max_bytes: int) -> Page:
    if response.code != 200:
        _hang_up(response)
        raise ToolError(f"{url} answers {response.code} {response.phrase.decode('latin-1')}")
    body = _Body(max_bytes)
    response.deliverBody(body)
    data, cut = await body.done, body.full
    encoding = _header(response, b"content-encoding", "")
    if encoding.lower() in ("gzip", "x-gzip", "deflate"):
        data, more = _unpacked(url, data, max_bytes)
        cut = cut or more
    elif encoding and encoding.lower() != "identity":
        raise ToolError(f"{url} is packed with {encoding}, which was not asked for and cannot be unpacked")
    kind = _header(response, b"content-type", "text/html")
    media_type, _, parameters = kind.lower().partition(";")
    _, _, charset = parameters.partition("charset=")
    return Page(
        url=url,
        media_type=media_type.strip(),
        charset=charset.split(";")[0].strip("\"' "),
        body=data,
        cut=cut,
    )


def _header(response: IResponse, name: bytes, default: str) -> str:
    """The first header of that name; some servers write UTF-8 there, and some write anything."""
    values = response.headers.getRawHeaders(name)
    return values[0].decode("utf-8", "replace") if values else default


def _unpacked(url: str, data: bytes, max_bytes: int) -> tuple[bytes, bool]:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        return unpacker.decompress(data, max_bytes), bool(unpacker.unconsumed_tail)
    except zlib.error as error:
        raise ToolError(f"the body of {url} cannot be unpacked ({error})") from None


def _hang_up(response: IResponse) -> None:
    body = _Body(0)
    body.done.addErrback(lambda _: None)
    response.deliverBody(body)
    body.done.cancel()


class _Body(Protocol):
    """Collects a body up to a limit, and hangs up there; `done` fires with it."""

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._stop())
        self.full = False
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        room = self._limit - self._size
        self._pieces.append(data[:room])
        self._size += len(data[:room])
        if len(data) > room:
            self.full = True
            self._stop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if self.full or reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(ToolError(f"the connection broke in the middle ({reason.getErrorMessage()})"))

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
