"""Addresses of callers: read out of texts, and looked up in networks."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, inet_pton

from twisted.internet.interfaces import IAddress

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Loopback, private, link-local, and the carrier-grade range that VPNs such as Tailscale hand out.
LOCAL_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
LOOPBACK = IPv4Address("127.0.0.1")
# Who a trusted proxy brings without saying so believably: nobody that any default lets in.
NOBODY = IPv4Address("0.0.0.0")


@lru_cache(maxsize=4096)
def canonical(host: str) -> Address | None:
    """The address that a text means: IPv4 out of its IPv6 wrapping, without a zone; None if it is none."""
    try:
        # Python's own way takes several times as long, and each newcomer comes from another one.
        return IPv4Address(inet_pton(AF_INET, host))
    except (OSError, ValueError):
        return _of_another_kind(host)


def _of_another_kind(host: str) -> Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def address_of(end: IAddress) -> Address:
    """The address of a connection's end; a socket without one (a Unix socket) counts as loopback."""
    return canonical(getattr(end, "host", "")) or LOOPBACK


def networks(texts: Iterable[str]) -> Callable[[Address], bool]:
    """Says of an address whether it is in one of the networks; the same few ask again and again."""
    found: list[Network] = [ip_network(text, strict=False) for text in texts]
    if not found:
        return lambda address: False
    spans = [(each.version, int(each.netmask), int(each.network_address)) for each in found]

    @lru_cache(maxsize=4096)
    def is_in_one(address: Address) -> bool:
        version, number = address.version, int(address)
        return any(number & mask == first and version == kind for kind, mask, first in spans)

    return is_in_one
