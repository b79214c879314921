"""What a request says of the way it came: whom a trusted proxy brings, and whether there was a proxy at all.

Anybody can write these headers. A proxy of ours adds to one of them, and may pass on the others as it got them; so
only what stands last counts, and headers that contradict each other say nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from twisted.web.http_headers import Headers
from twisted.web.iweb import IRequest

from .addresses import NOBODY, Address, address_of, canonical
from .heads import Head
from .placed import head_of

Trusts = Callable[[Address], bool]

# How the names of headers begin that proxies, tunnels and content networks add, and programs on this machine do not.
_SIGNS = re.compile(
    rb"forwarded|via$|x-forward|x-real-ip|x-original-|x-proxy|x-remote-|x-client-ip|x-cluster-client-ip"
    rb"|x-originating-ip|x-envoy-|x-nginx-|x-arr-|x-azure-|x-amzn-trace-id|x-appengine-|x-vercel-|x-scheme$"
    rb"|x-auth-request-|x-authentik-|x-webauth-|true-client-ip|fastly-|fly-|ngrok-|cf-|cdn-|tailscale-|remote-"
    rb"|front-end-https|proxy-(?!authorization)",
    re.IGNORECASE,
)
# A hop as some proxies write it, with its port: 192.0.2.1:80, [2001:db8::1]:80.
_HOP = re.compile(r"\[(?P<v6>[^]]{1,64})\](?::\d{1,5})?|(?P<v4>[\d.]{7,15}):\d{1,5}")
# A parameter of RFC 7239; a quoted value holds what else would end it.
_PAIR = re.compile(
    r'\s*([!#$%&\'*+.^_`|~\w-]{1,64})=(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*))\s*(?=[;,]|$)', re.ASCII
)


def is_relayed(request: IRequest) -> bool:
    """Whether there is any sign of a proxy.

    nginx, where it is told nothing but `proxy_pass`, adds no header; but it speaks HTTP/1.0 then, and names a host,
    which programs of that version do not.
    """
    return head_of(request).once(_has_signs)


def _has_signs(head: Head) -> bool:
    if head.version == b"HTTP/1.0" and head.get(b"host") is not None:
        return True
    return any(_SIGNS.match(name) for name, _ in head.headers.getAllRawHeaders())


def client_behind(request: IRequest, trusts: Trusts) -> Address:
    """Who asks, by the word of the trusted proxy that the connection comes from.

    Of the hops the last one counts that is not itself trusted; what stands before it could be made up. It is `NOBODY`
    where that cannot be read, is loopback (which is no place that a proxy could have been asked from by somebody
    else), or is not what another of the headers says: taking the proxy's own address would let everybody in.
    """
    headers = request.requestHeaders
    proxy = address_of(request.getClientAddress())
    chains = [list(hops) for hops in (_x_forwarded(headers), _forwarded(headers)) if hops is not None]
    real = headers.getRawHeaders(b"x-real-ip")
    if not chains:
        chains = [[_hop(text.decode("latin-1").strip()) for text in real or ()]]
        real = None
    found = [_last_untrusted(chain, trusts) for chain in chains]
    client = found[0][0]
    if any(other != client for other, _ in found) or client.is_loopback:
        return NOBODY
    # The one header that holds no chain: it names the client, or the proxy before this one.
    passed = {client, proxy, *(hop for _, hops in found for hop in hops)}
    if real is not None and any(_hop(text.decode("latin-1").strip()) not in passed for text in real):
        return NOBODY
    return client


def _last_untrusted(chain: Sequence[Address | None], trusts: Trusts) -> tuple[Address, list[Address]]:
    """The client at the end of a chain, and the trusted hops behind it."""
    behind: list[Address] = []
    for hop in reversed(chain):
        if hop is None or not trusts(hop):
            return hop or NOBODY, behind
        behind.append(hop)
    # All of them are ours: the first of them asked by itself.
    return (behind[-1] if behind else NOBODY), behind


def _x_forwarded(headers: Headers) -> Iterator[Address | None] | None:
    lines = headers.getRawHeaders(b"x-forwarded-for")
    if lines is None:
        return None
    return (_hop(hop.strip()) for hop in b",".join(lines).decode("latin-1").split(","))


def _forwarded(headers: Headers) -> list[Address | None] | None:
    """The hops of `Forwarded`; what is not well-formed is a hop that nobody can read."""
    lines = headers.getRawHeaders(b"forwarded")
    if lines is None:
        return None
    text = b",".join(lines).decode("latin-1")
    hops: list[Address | None] = [None]
    at = 0
    while found := _PAIR.match(text, at):
        if found[1].lower() == "for":
            value = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
            hops[-1] = _hop(value)
        at = found.end() + 1
        if text[found.end() : at] == ",":
            hops.append(None)
    return hops if at > len(text) else [None]


def _hop(text: str) -> Address | None:
    """The address of one hop, whose port does not matter."""
    match = _HOP.fullmatch(text)
    return canonical((match["v6"] or match["v4"]) if match else text)
