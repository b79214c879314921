"""Connections to the public internet only: names are looked up once, and what is not public is never connected to.

The check stands between the look-up and the connection, on the very addresses that are connected to. So a name that
leads to another address the next moment (DNS rebinding), or a redirect, gains nothing.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

# IPv6 that stands for an IPv4 address in its last 32 bits, through a translator of the network.
_TRANSLATED = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))
# Given up in 2004, but private where it is still in use; Python counts it as global.
_SITE_LOCAL = ip_network("fec0::/10")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also where it wraps another one."""
    ip = ip_address(address.partition("%")[0])
    is_private = not ip.is_global or ip.is_multicast or ip in _SITE_LOCAL
    return not is_private and all(inner.is_global for inner in _wrapped(ip))


def _wrapped(ip: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(ip, IPv4Address):
        return []
    inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in _TRANSLATED):
        inner.append(IPv4Address(int(ip) & 0xFFFFFFFF))
    return [each for each in inner if each is not None]


@implementer(IAgentEndpointFactory)
class PublicEndpoints:
    """Where a `twisted.web.client.Agent` connects to. `refused` says whether a private address was in its way."""

    def __init__(self, reactor: Any, allow_private: bool, timeout: float) -> None:
        self._reactor = reactor if allow_private else _Reactor(reactor, self)
        self._timeout = timeout
        self._policy = BrowserLikePolicyForHTTPS()
        self.refused = False

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """An endpoint for the URL, with TLS if it is https."""
        endpoint = HostnameEndpoint(self._reactor, uri.host, uri.port, self._timeout)
        if uri.scheme == b"https":
            return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return endpoint


@implementer(IReactorPluggableNameResolver, IHostnameResolver)
class _Reactor:
    """The reactor, with a resolver that keeps private addresses to itself."""

    def __init__(self, reactor: Any, owner: PublicEndpoints) -> None:
        self._reactor = reactor
        self._owner = owner
        self.nameResolver = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Looks the name up; the receiver only hears of public addresses."""
        public = _PublicOnly(resolutionReceiver, self._owner)
        return self._reactor.nameResolver.resolveHostName(
            public, hostName, portNumber, addressTypes, transportSemantics
        )


@implementer(IResolutionReceiver)
class _PublicOnly:
    def __init__(self, receiver: IResolutionReceiver, owner: PublicEndpoints) -> None:
        self._receiver = receiver
        self._owner = owner

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: Any) -> None:
        if is_public(address.host):
            self._receiver.addressResolved(address)
        else:
            self._owner.refused = True

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()
