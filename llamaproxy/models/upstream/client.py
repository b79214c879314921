"""How model calls speak HTTP: what `upstream` needs of a client, how to connect, and the plain client, which is treq.

The fast client for plain TCP is in `bare`.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from hyperlink import EncodedURL
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer


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


class PlainClient:
    """Any URL, through treq and one pool of kept connections; `connect_timeout` is in seconds."""

    def __init__(self, reactor: Any, connect_timeout: float) -> None:
        # Needed only for https, and slow to import.
        from treq.client import HTTPClient

        pool = self._pool = HTTPConnectionPool(reactor)
        # One for each reply that may run at the same time, so that a handshake is paid once.
        pool.maxPersistentPerHost = 256
        pool.retryAutomatically = False  # the room has its own rule, see `upstream`
        endpoints = Endpoints(reactor, connect_timeout)
        agent = _PlainAgent(Agent.usingEndpointFactory(reactor, endpoints, pool))
        self._http = HTTPClient(agent, data_to_body_producer=_Body)

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Deferred[Response]:
        """See `Http`."""
        raw = Headers({name: [value] for name, value in headers.items()})
        return cast(
            Deferred[Response],
            self._http.request(
                method, Address.from_text(url), headers=raw, data=body, unbuffered=True, allow_redirects=False
            ),
        )

    def close(self) -> Deferred[None]:
        """See `Http`."""
        return cast(Deferred[None], self._pool.closeCachedConnections())


class Address(EncodedURL):
    """A URL whose host may be an IPv6 address, which hyperlink takes for a name and cannot encode."""

    def to_uri(self) -> EncodedURL:
        """Itself, if there is no name in it."""
        return self if ":" in self.host else super().to_uri()


@implementer(IAgentEndpointFactory)
class Endpoints:
    """Connects to an address directly; only a real name is looked up, which costs a trip through a thread."""

    def __init__(self, reactor: Any, timeout: float) -> None:
        self._reactor = reactor
        self._timeout = timeout

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """How to reach the server of `uri`."""
        host = uri.host.decode("ascii")
        address = "127.0.0.1" if host == "localhost" else host
        if isIPAddress(address):
            endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(
                self._reactor, address, uri.port, self._timeout
            )
        elif isIPv6Address(address):
            endpoint = TCP6ClientEndpoint(self._reactor, address, uri.port, self._timeout)
        else:
            endpoint = HostnameEndpoint(self._reactor, host, uri.port, self._timeout)
        if uri.scheme == b"https":
            from .handshake import Handshaken

            creator = BrowserLikePolicyForHTTPS().creatorForNetloc(uri.host, uri.port)
            endpoint = Handshaken(wrapClientTLS(creator, endpoint), self._reactor, self._timeout)
        return _Quiet(endpoint)


@implementer(IStreamClientEndpoint)
class _Quiet:
    """Connects without the two log lines that a factory writes for every connection."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        cast(Factory, protocolFactory).noisy = False
        return self._endpoint.connect(protocolFactory)


@implementer(IAgent)
class _PlainAgent:
    """Asks for no compression, as treq would: a packed stream comes in lumps and unpacks to any size."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        headers = headers or Headers()
        headers.setRawHeaders(b"accept-encoding", [b"identity"])
        return self._agent.request(method, uri, headers, bodyProducer)


@implementer(IBodyProducer)
class _Body:
    """A request body in one write, where treq's own takes a turn of the reactor per 64 KiB."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """There is nothing left to pause."""

    def resumeProducing(self) -> None:
        """There is nothing left to resume."""

    def stopProducing(self) -> None:
        """There is nothing left to stop."""
