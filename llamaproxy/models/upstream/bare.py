"""The fast path to a model's server: HTTP/1.1 over plain TCP, on connections that are kept (`bare_connection`).

`BareClient` hands on exactly the bytes that `plain.PlainClient` would, which is there for https, and is the oracle in
the tests.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from ...sockets.eager import forget_connecting
from ...sockets.polling import Poll
from .bare_connection import MAX_REST, Connection
from .client import Address, Place, Response


class BareClient:
    """Asks `http` URLs on kept connections; `endpoint` says how to make one, the reactor for how long it was kept."""

    def __init__(self, reactor: Any, endpoint: Callable[[Place], IStreamClientEndpoint]) -> None:
        self._clock = reactor
        self._endpoint = lru_cache(maxsize=256)(endpoint)
        self._poll = Poll(reactor)
        self._factories: dict[Place, _Factory] = {}

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Deferred[Response]:
        """See `client.Http`."""
        place, head = _head(method, url, tuple(headers.items()))
        whole = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        factory = self._factories.get(place)
        if factory is None:
            factory = self._factories[place] = _Factory(self._poll, self._clock.seconds)
        while factory.idle:
            connection = factory.idle.pop()
            if self._clock.seconds() - connection.rested_since < MAX_REST:
                return connection.send(whole)
            connection.stopProducing()
        connecting = cast(Deferred[Connection], self._endpoint(place).connect(factory))
        return connecting.addCallback(_send, whole)

    def close(self) -> Deferred[None]:
        """See `client.Http`."""
        resting = [connection for factory in self._factories.values() for connection in factory.idle]
        return gatherResults([connection.close() for connection in resting]).addCallback(lambda _: None)


def _send(connection: Connection, request: bytes) -> Deferred[Response]:
    """Sends the first request on a connection."""
    forget_connecting(connection.transport)
    return connection.send(request)


# The headers are the same from request to request, but for those of who is traced.
@lru_cache(maxsize=256)
def _head(method: str, url: str, headers: tuple[tuple[str, str], ...]) -> tuple[Place, bytes]:
    """Where it goes, and a request's head up to the length of its body."""
    place, asked = _parse(url)
    lines = [f"{name.title()}: {' '.join(value.split())}".encode() for name, value in headers]
    return place, b"\r\n".join([b"%b %b" % (method.encode(), asked), *lines, b"Content-Length: "])


@lru_cache(maxsize=256)
def _parse(url: str) -> tuple[Place, bytes]:
    """Where it is, and what each request's head begins with, behind the method."""
    parts = urlsplit(Address.from_text(url).to_uri().to_text())
    asked = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    head = f"{asked} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept-Encoding: identity"
    return Place(parts.hostname or "", parts.port or 80), head.encode("ascii")


class _Factory(Factory):
    """Makes the connections to one server, and knows those that are `idle`."""

    noisy = False

    def __init__(self, poll: Poll, seconds: Callable[[], float]) -> None:
        self._poll = poll
        self._seconds = seconds
        self.idle: list[Connection] = []

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return Connection(self._poll, self._seconds, self.idle)
