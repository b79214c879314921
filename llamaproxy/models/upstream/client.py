"""How model calls speak HTTP: what `upstream` needs of a client, and how to connect to a model's server.

The fast client for plain TCP is in `bare`, the one for everything else in `plain`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, cast

from hyperlink import EncodedURL
from msgspec import Struct
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.web.http_headers import Headers
from zope.interface import implementer

from ...sockets.eager import LimitedReceiving
from ...sockets.straight import Straight, goes_straight


class Response(Protocol):
    """The head of an answer, and a way to its body; `IResponse` has more."""

    @property
    def code(self) -> int:
        """The status."""

    @property
    def headers(self) -> Headers:
        """The headers."""

    def deliverBody(self, protocol: IProtocol) -> None:
        """Streams the body to `protocol`, whose transport can pause and stop the connection.

        It ends with `connectionLost` and a `ResponseDone`, a `PotentialDataLoss` where the connection's end is the
        body's, or a `ResponseFailed`.
        """


class Http(Protocol):
    """What asks a model's server."""

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Deferred[Response]:
        """Fires when the head of the answer is there, whatever its status; redirects are not followed.

        Fails with `ResponseFailed` once a connection was made, with the endpoint's error before. Cancelling it
        closes the connection.
        """

    def close(self) -> Deferred[None]:
        """Closes the connections that were kept for the next call; fires when they are."""


class Address(EncodedURL):
    """A URL whose host may be an IPv6 address, which hyperlink takes for a name and cannot encode."""

    def to_uri(self) -> EncodedURL:
        """Itself, if there is no name in it."""
        return self if ":" in self.host else super().to_uri()


class Place(Struct, frozen=True):
    """Where a server listens; with `secure` it speaks TLS there."""

    host: str
    port: int
    secure: bool = False


class Paths:
    """The ways to servers. An address is connected to directly; only a real name is looked up, which costs a trip
    through a thread. With `buffer` the kernel keeps about twice as many bytes that were not read.
    """

    def __init__(self, reactor: Any, timeout: float, buffer: int = 0) -> None:
        self._reactor: Any = LimitedReceiving(reactor, buffer) if buffer else reactor
        self._straight = partial(Straight, reactor) if buffer and goes_straight(reactor) else None
        self._timeout = timeout
        self._buffer = buffer

    def to(self, place: Place) -> IStreamClientEndpoint:
        """How to reach the server at `place`."""
        address = "127.0.0.1" if place.host == "localhost" else place.host
        is_address = isIPAddress(address) or isIPv6Address(address)
        if self._straight and is_address and not place.secure:
            return self._straight(address, place.port, self._timeout, self._buffer)
        if isIPAddress(address):
            endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(
                self._reactor, address, place.port, self._timeout
            )
        elif isIPv6Address(address):
            endpoint = TCP6ClientEndpoint(self._reactor, address, place.port, self._timeout)
        else:
            endpoint = HostnameEndpoint(self._reactor, place.host, place.port, self._timeout)
        if place.secure:
            # The libraries of TLS are large, and loaded with the first server that speaks it.
            from .handshake import secured

            endpoint = secured(endpoint, place.host, place.port, self._reactor, self._timeout)
        return _Quiet(endpoint)


@implementer(IStreamClientEndpoint)
class _Quiet:
    """Connects without the two log lines that a factory writes for every connection."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        cast(Factory, protocolFactory).noisy = False
        return self._endpoint.connect(protocolFactory)
