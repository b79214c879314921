"""The plain client, which is treq: for https, and for servers that do not get along with the fast one of `bare`."""

from collections.abc import Mapping
from typing import Any, cast

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IStreamClientEndpoint
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from .client import Address, Paths, Place, Response


class PlainClient:
    """Any URL, through treq and one pool of kept connections; `connect_timeout` is in seconds."""

    def __init__(self, reactor: Any, connect_timeout: float) -> None:
        pool = self._pool = HTTPConnectionPool(reactor)
        # One for each reply that may run at the same time, so that a handshake is paid once.
        pool.maxPersistentPerHost = 256
        pool.retryAutomatically = False  # the room has its own rule, see `upstream`
        endpoints = _Endpoints(Paths(reactor, connect_timeout))
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


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """The ways to servers, as Twisted's client asks for them."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """How to reach the server of `uri`."""
        return self._paths.to(Place(uri.host.decode("ascii"), uri.port, uri.scheme == b"https"))


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
