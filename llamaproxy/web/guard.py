"""Who may come in, and under which session: decided from address, forwarding headers, bearer key and host name.

Phones must reach the server, so it listens on every interface; this guard is what keeps the Internet out.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from math import ceil
from time import monotonic
from weakref import ref

from msgspec import Raw
from msgspec.structs import replace
from twisted.web.iweb import IRequest

from ..config import FrontDoor, Profile
from ..seams.apps import USUAL, Allowance
from ..seams.errors import AgentError, BadRequest, Forbidden, Unauthorized
from ..seams.names import DEPTH_HEADER
from ..seams.types import Caller, Rights
from .addresses import LOCAL_NETWORKS, NOBODY, Address, address_of, networks
from .allowances import allowance_under
from .cors import Cors
from .forwarding import client_behind, is_relayed
from .guesses import Guesses
from .heads import Head
from .hosts import Hosts, is_here
from .naming import Naming, Sent
from .placed import PlacedRequest, head_of
from .profiles import NOBODY_KNOWN, Known, Profiles, Visit

# With the value `client`, where the operator allows an app to say so.
TOOLS_HEADER = b"x-llamaproxy-tools"
_DEPTH = DEPTH_HEADER.lower().encode("ascii")
# Pages of this machine and the web views of apps, whatever the operator lets in besides.
_OWN_PAGES = Cors()


class Guard:
    """Decides for each request; the arguments are as in `config.FrontDoor`, validated there.

    Being the operator is something that one shows: `operator_key`, which lies in the home folder, or a key that is
    theirs by name. Without one only who is beyond doubt at this machine is taken for the operator. `seconds` is the
    clock by which guesses of keys have to wait.
    """

    def __init__(
        self,
        allow_from: Iterable[str] = (),
        api_keys: Mapping[str, str] | None = None,
        trusted_proxies: Iterable[str] = (),
        commands: Rights = "all",
        key_commands: Mapping[str, Rights] | None = None,
        hosts: Iterable[str] = (),
        naming: Naming | None = None,
        operator_key: str | None = None,
        allowance: Allowance = USUAL,
        callers: Mapping[str, Profile] | None = None,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        callers, api_keys = callers or {}, api_keys or {}
        self._is_allowed = networks(tuple(allow_from) or LOCAL_NETWORKS)
        self._profiles = Profiles(callers, api_keys, key_commands or {}, operator_key)
        self._guesses = Guesses(seconds)
        self._is_proxy = networks(trusted_proxies)
        self._commands = commands
        self._hosts = Hosts(hosts)
        self._allowance = allowance
        self._naming = naming or Naming(FrontDoor(api_keys=dict(api_keys), callers=dict(callers)))
        # What was found of visitors by other terms does not count.
        self._terms = object()

    def adopt(self, other: "Guard") -> None:
        """Decides as another one would from here on; what was guessed of keys is remembered."""
        self._is_allowed, self._is_proxy, self._hosts = other._is_allowed, other._is_proxy, other._hosts
        self._profiles, self._naming = other._profiles, other._naming
        self._commands, self._allowance = other._commands, other._allowance
        self._terms = object()

    def refusal(self, request: IRequest, is_probe: bool) -> AgentError | None:
        """Why this request may not come in, or None.

        A probe asks only whether a server is there, or for what anybody may have. Apps send it without their key, so it
        passes wherever a key would let them in.
        """
        visit = self._visit(request)
        if visit.may_enter:
            return None
        address, known, head = visit.address, visit.known, head_of(request)
        sent = head.once(_sent_key)
        if sent and self._profiles.has_keys:
            wait = self._guesses.wait(address, sha256(sent).digest(), known.by_key)
            if wait:
                return TooManyKeys(address, ceil(wait))
        is_near = known is not NOBODY_KNOWN or self._is_near(address, request)
        if not (is_near or (self._profiles.has_keys and is_probe)):
            return self._stranger(address)
        host = head.get(b"host") or b""
        if known.by_key or self._hosts.knows(host) or self._vouched(request):
            # Keys are looked at each time, by where and how often they are tried.
            visit.may_enter = is_near and not sent
            return None
        return Forbidden(
            f"'{host.decode('latin-1')}' is not known here as a name of this server. If it is one, the operator "
            "can add it to llama_hosts in plugins-enabled.json."
        )

    def _vouched(self, request: IRequest) -> bool:
        """Whether the name is checked elsewhere: by a proxy of ours, or by the browser against the certificate.

        A page in a browser on this machine can send a proxy's headers, but not hide that it is one without TLS.
        """
        if request.isSecure():
            return True
        peer = _peer(request)
        is_page = (head_of(request).get(b"origin") or b"").startswith(b"http:")
        return self._is_proxy(peer) and is_relayed(request) and not (peer.is_loopback and is_page)

    def _stranger(self, address: Address) -> AgentError:
        if address == NOBODY:
            return Forbidden(
                "The proxy in front of this server does not say who asks. It has to send X-Forwarded-For with the "
                "client's address, which cannot be one of this machine itself."
            )
        if self._profiles.has_keys:
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
        at_itself = not address.is_loopback and address == address_of(request.getHost())
        return at_itself and not is_relayed(request)

    def caller(self, request: IRequest, fields: Mapping[str, Raw] | None = None) -> Caller:
        """Whose session the request belongs to, and what they may command. Raises `BadRequest`.

        `fields` are those of its body in which the client says who it speaks for, once that is there.

        What an agent asks are a model's words, and opening a gate is a person's act.
        """
        visit = self._visit(request)
        if fields:
            return self._caller(request, visit, fields)
        if visit.caller is None:
            visit.caller = self._caller(request, visit, {})
        return visit.caller

    def _caller(self, request: IRequest, visit: Visit, fields: Mapping[str, Raw]) -> Caller:
        known, address, head = visit.known, visit.address, head_of(request)
        sent = head.once(_sent)
        key = known.name if known.by_key else None
        text, profile = str(address), known.profile
        depth = head.once(_depth)
        rights = profile.commands or self._commands
        if depth and rights == "all":
            rights = "safe"
        at_the_server = address.is_loopback and not is_relayed(request)
        believed = at_the_server or known.by_key or self._is_proxy(_peer(request))
        session_id, rung = self._naming.session(text, sent, key, believed, depth, fields, profile.session_by)
        is_operator = profile.operator
        if is_operator is None:
            is_operator = (
                at_the_server and head.once(_speaks_for_itself) and not self._naming.is_an_apps(sent)
            )
        # What an app passes on for one of its users is that user's, whatever the app itself may do.
        is_operator = is_operator and not self._naming.names_a_user(sent)
        return Caller(
            session_id=session_id,
            named_by=rung,
            address=text,
            rights=rights,
            owner=rights == "all" and is_operator,
            depth=depth,
            source=f"key {key}" if key else text,
            allowance=self._allowed(known, request),
            profile=known.name,
            grants=known.grants,
        )

    def allowance(self, request: IRequest) -> Allowance:
        """What the app behind the request may do."""
        return self._allowed(self.known(request), request)

    def _allowed(self, known: Known, request: IRequest) -> Allowance:
        allowance = allowance_under(known.profile, self._allowance)
        if allowance.client_tools != "header":
            return allowance
        says_so = (head_of(request).get(TOOLS_HEADER) or b"").strip().lower() == b"client"
        return replace(allowance, client_tools="on" if says_so else "off")

    def is_operators(self, request: IRequest) -> bool:
        """Whether it shows a key that makes its holder the operator, and passes on nobody else's wish."""
        known = self.known(request)
        is_operator = known.by_key and known.profile.operator is True
        return is_operator and not self._naming.names_a_user(head_of(request).once(_sent))

    def known(self, request: IRequest) -> Known:
        """Whose profile the request falls under."""
        return self._visit(request).known

    def _visit(self, request: IRequest) -> Visit:
        """Who stands behind the request. On one connection that is so for all requests with the same head."""
        placed = request if isinstance(request, PlacedRequest) else None
        if placed is not None and (known_visit := placed.visit_by(self._terms)) is not None:
            return known_visit
        head = head_of(request)
        address, key = self.address(request), head.once(_sent_key)
        known = self._profiles.of_key(key, address) or self._profiles.of_network(address) or NOBODY_KNOWN
        visit = Visit(terms=self._terms, head=ref(head), address=address, known=known)
        if placed is not None and placed.channel is not None:
            placed.channel.visit = visit
        return visit

    def address(self, request: IRequest) -> Address:
        """The client's address: the peer's, or the one that a trusted proxy saw."""
        peer = _peer(request)
        return (
            client_behind(request, self._is_proxy) if self._is_proxy(peer) and is_relayed(request) else peer
        )


class TooManyKeys(Unauthorized):
    """So many wrong keys came from an address that none from there is looked at for a while."""

    def __init__(self, address: Address, seconds: int) -> None:
        super().__init__(
            f"Too many different keys were tried from the address {address}. None is looked at for {seconds} s."
        )
        self.retry_after = seconds


def _sent(head: Head) -> Sent:
    return dict(head.headers.getAllRawHeaders())


def _peer(request: IRequest) -> Address:
    return address_of(request.getClientAddress())


def _sent_key(head: Head) -> bytes:
    """The key of the request, "" for none: a bearer key, or in the header where Anthropic's clients have it."""
    scheme, _, sent = (head.get(b"authorization") or b"").partition(b" ")
    if scheme.lower() != b"bearer":
        sent = head.get(b"x-api-key") or b""
    return sent.strip()


def _speaks_for_itself(head: Head) -> bool:
    """Whether a request from this machine asks for this machine, and is not a page's from elsewhere."""
    return is_here(head.get(b"host") or b"") and (head.origin is None or _OWN_PAGES.allows(head.origin))


def _depth(head: Head) -> int:
    """How many agents have passed the message on; anybody is believed, since it only takes rights away."""
    text = head.get(_DEPTH)
    if not text:
        return 0
    if not re.fullmatch(rb"\d{1,4}", text):
        raise BadRequest(f"The header {DEPTH_HEADER} is a number from 0 to 9999.")
    return int(text)
