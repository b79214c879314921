"""Who may come in, and under which session: decided from address, forwarding headers, bearer key and host name.

Phones must reach the server, so it listens on every interface; this guard is what keeps the Internet out.
"""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from twisted.internet.interfaces import IAddress
from twisted.web.iweb import IRequest

from ..config import FrontDoor
from ..seams.errors import AgentError, BadRequest, Forbidden, Unauthorized
from ..seams.names import DEPTH_HEADER
from ..seams.types import Caller, Rights
from .hosts import Hosts
from .naming import Naming

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
FORWARDING = (b"forwarded", b"x-forwarded-for", b"x-real-ip")
LOOPBACK = IPv4Address("127.0.0.1")
# Who a trusted proxy brings without saying so readably: nobody that any default lets in.
NOBODY = IPv4Address("0.0.0.0")
# A hop as some proxies write it, with its port: 192.0.2.1:80, [2001:db8::1]:80.
HOP = re.compile(r"\[(?P<v6>[^]]+)\](?::\d+)?|(?P<v4>[\d.]+):\d+")


@lru_cache(maxsize=4096)
def canonical(host: str) -> Address | None:
    """The address that a text means: IPv4 out of its IPv6 wrapping, without a zone; None if it is none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Guard:
    """Decides for each request; the arguments are as in `config.FrontDoor`, validated there."""

    def __init__(
        self,
        allow_from: Iterable[str] = (),
        api_keys: Mapping[str, str] | None = None,
        trusted_proxies: Iterable[str] = (),
        commands: Rights = "all",
        key_commands: Mapping[str, Rights] | None = None,
        hosts: Iterable[str] = (),
        naming: Naming | None = None,
    ) -> None:
        self._is_allowed = _networks(tuple(allow_from) or LOCAL_NETWORKS)
        self._keys = {name: key.encode() for name, key in (api_keys or {}).items()}
        self._is_proxy = _networks(trusted_proxies)
        self._commands = commands
        self._key_commands = key_commands or {}
        self._hosts = Hosts(hosts)
        self._naming = naming or Naming(FrontDoor(api_keys=dict(api_keys or {})))

    def refusal(self, request: IRequest, is_probe: bool) -> AgentError | None:
        """Why this request may not come in, or None.

        A probe asks only whether a server is there. Apps send it without their key, so it passes wherever a key
        would let them in.
        """
        knows_key = self.key_name(request) is not None
        address = self.address(request)
        if not (knows_key or self._is_near(address, request) or (self._keys and is_probe)):
            return self._stranger(address)
        host = request.getHeader(b"host") or b""
        if knows_key or self._hosts.knows(host) or self._vouched(request):
            return None
        return Forbidden(
            f"'{host.decode('latin-1')}' is not known here as a name of this server. If it is one, the operator "
            "can add it to llama_hosts in plugins-enabled.json."
        )

    def _vouched(self, request: IRequest) -> bool:
        """Whether the name is checked elsewhere: by a proxy of ours, or by the browser against the certificate."""
        return request.isSecure() or self._is_proxy(_address_of(request.getClientAddress()))

    def _stranger(self, address: Address) -> AgentError:
        if address == NOBODY:
            return Forbidden(
                "The proxy in front of this server does not say who asks. It has to send X-Forwarded-For with the "
                "client's address."
            )
        if self._keys:
            return Unauthorized(
                f"The address {address} needs an API key here, as 'Authorization: Bearer KEY'."
            )
        return Forbidden(
            f"The address {address} is not let in here. The operator can add it to allow_from, "
            "or set api_keys, in plugins-enabled.json."
        )

    def _is_near(self, address: Address, request: IRequest) -> bool:
        """Whether the address is let in, or is this machine itself: that at which it was asked.

        Not so for loopback, from where a proxy on this machine brings others; `allow_from` decides about that.
        """
        if self._is_allowed(address):
            return True
        is_here = not address.is_loopback and address == _address_of(request.getHost())
        return is_here and not self._is_relayed(request)

    def caller(self, request: IRequest) -> Caller:
        """Whose session the request belongs to, and what they may command. Raises `BadRequest`.

        What an agent asks are a model's words, and opening a gate is a person's act.
        """
        address, key = self.address(request), self.key_name(request)
        text = str(address)
        own = self._key_commands.get(key) if key else None
        depth = _depth(request)
        rights = own or self._commands
        if depth and rights == "all":
            rights = "safe"
        at_the_server = address.is_loopback and not self._is_relayed(request)
        believed = at_the_server or key is not None or self._is_proxy(_address_of(request.getClientAddress()))
        session_id, rung = self._naming.session(text, request.requestHeaders, key, believed, depth)
        return Caller(
            session_id=session_id,
            named_by=rung,
            address=text,
            rights=rights,
            owner=rights == "all" and (own == "all" or at_the_server),
            depth=depth,
        )

    def key_name(self, request: IRequest) -> str | None:
        """The name of the API key that the request carries, if it is one of ours.

        It comes as a bearer key, or in the header where Anthropic's clients have it.
        """
        scheme, _, sent = (request.getHeader(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            sent = request.getHeader(b"x-api-key") or b""
        if not (sent := sent.strip()):
            return None
        # Every key is compared, in constant time, so that timing tells nothing.
        names = [name for name, key in self._keys.items() if hmac.compare_digest(key, sent)]
        return names[0] if names else None

    def address(self, request: IRequest) -> Address:
        """The client's address: the peer's, or the one that a trusted proxy saw.

        Of `X-Forwarded-For` the last address that is not itself a trusted proxy counts; what stands before it
        could be made up. If it cannot be read, or the proxy says it in another header, the client is `NOBODY`:
        taking the proxy's own address for it would let everybody in.
        """
        address = _address_of(request.getClientAddress())
        if not self._is_proxy(address):
            return address
        if not _is_forwarded(request):
            return address
        forwarded = b",".join(request.requestHeaders.getRawHeaders(b"x-forwarded-for", (b"",)))
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            address = _hop(hop.strip()) or NOBODY
            if not self._is_proxy(address):
                break
        return address

    def _is_relayed(self, request: IRequest) -> bool:
        """Whether a proxy that nobody told us of passes on somebody else's request from this machine."""
        peer = _address_of(request.getClientAddress())
        return not self._is_proxy(peer) and _is_forwarded(request)


def _address_of(end: IAddress) -> Address:
    """The address of a connection's end; a socket without one (a Unix socket) counts as loopback."""
    return canonical(getattr(end, "host", "")) or LOOPBACK


def _depth(request: IRequest) -> int:
    """How many agents have passed the message on; anybody is believed, since it only takes rights away."""
    text = request.getHeader(DEPTH_HEADER) or "0"
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        raise BadRequest(f"The header {DEPTH_HEADER} is a number from 0 to 9999.")
    return int(text)


def _is_forwarded(request: IRequest) -> bool:
    return any(map(request.requestHeaders.hasHeader, FORWARDING))


def _hop(text: str) -> Address | None:
    """The address of one hop, whose port does not matter."""
    match = HOP.fullmatch(text)
    return canonical((match["v6"] or match["v4"]) if match else text)


def _networks(texts: Iterable[str]) -> Callable[[Address], bool]:
    """Says of an address whether it is in one of the networks; the same few ask again and again."""
    networks: list[Network] = [ip_network(text, strict=False) for text in texts]
    if not networks:
        return lambda address: False
    return lru_cache(maxsize=4096)(lambda address: any(address in network for network in networks))
