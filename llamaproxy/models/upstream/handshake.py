"""Waits for TLS to stand before a connection is given out, so that what is wrong with it can be told as that."""

from typing import Any, cast

from OpenSSL.SSL import Error
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from zope.interface import implementer

from .troubles import Trouble


def secured(
    endpoint: IStreamClientEndpoint, host: str, port: int, clock: IReactorTime, timeout: float
) -> IStreamClientEndpoint:
    """`endpoint` with TLS, in which the server has to show a certificate for `host`."""
    creator = BrowserLikePolicyForHTTPS().creatorForNetloc(host.encode("ascii"), port)
    return Handshaken(wrapClientTLS(creator, endpoint), clock, timeout)


@implementer(IStreamClientEndpoint)
class Handshaken:
    """An endpoint that fires once TLS stands, which may take `timeout` seconds; `endpoint` sets TLS up."""

    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime, timeout: float) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See `IStreamClientEndpoint`."""
        factory = _Factory(protocolFactory, self._clock, self._timeout)
        connected = self._endpoint.connect(cast(IProtocolFactory, factory))
        return connected.addCallback(lambda waiting: cast(_Waiting, waiting).ready)


class _Factory(Factory):
    noisy = False

    def __init__(self, factory: IProtocolFactory, clock: IReactorTime, timeout: float) -> None:
        self._factory = factory
        self._clock = clock
        self._timeout = timeout

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return _Waiting(lambda: self._factory.buildProtocol(cast(IAddress, addr)), self._clock, self._timeout)


@implementer(IHandshakeListener)
class _Waiting(Protocol):
    """Stands in for the connection's own protocol until the handshake is done."""

    transport: Any

    def __init__(self, build: Any, clock: IReactorTime, timeout: float) -> None:
        self.ready: Deferred[IProtocol] = Deferred(lambda _: self.transport.abortConnection())
        self._build = build
        self._timeout = timeout
        self._timer = clock.callLater(timeout, self._give_up)

    def handshakeCompleted(self) -> None:
        self._timer.cancel()
        protocol = self._build()
        # Nothing stands between the two from here on.
        self.transport.wrappedProtocol = protocol
        protocol.makeConnection(self.transport)
        self.ready.callback(protocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer.active():
            self._timer.cancel()
        if not self.ready.called:
            self.ready.errback(_trouble(reason.value))

    def _give_up(self) -> None:
        self.ready.errback(
            Trouble(f"its server did not set TLS up within {self._timeout:g} seconds (connect_timeout)")
        )
        self.transport.abortConnection()


def _trouble(error: BaseException | None) -> Trouble:
    if isinstance(error, VerificationError | CertificateError):
        return Trouble("its certificate is for a server of another name", lasting=True)
    reasons = " ".join(str(reason) for reason in error.args) if isinstance(error, Error) else ""
    if "certificate verify failed" in reasons:
        return Trouble(
            "its certificate is not trusted: it is expired, signed by itself, or by an authority that this machine "
            "does not know",
            lasting=True,
        )
    if "wrong version number" in reasons or "http request" in reasons or "packet length" in reasons:
        return Trouble("its server does not speak TLS; its host would begin with http://", lasting=True)
    if reasons:
        return Trouble("it and this machine found no way to speak TLS with each other", lasting=True)
    return Trouble("its server hung up before TLS was set up")
