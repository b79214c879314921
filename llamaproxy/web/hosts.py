"""The names that the server goes by: what keeps DNS rebinding out.

A web page can let its own name point to an address in the visitor's network, and then speak to a server there as if
it were its own. Such a request carries the page's name as its `Host`. It has to be a name that anybody can register,
so addresses and names that mean something only in a local network are let through.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from socket import gethostname

from .addresses import canonical

# Reserved for local use (RFC 6761, 6762 and 8375, ICANN's .internal), or given out by Tailscale alone.
LOCAL_DOMAINS = (
    "localhost",
    "local",
    "lan",
    "internal",
    "home.arpa",
    "home",
    "corp",
    "intranet",
    "localdomain",
    "private",
    "ts.net",
)

# A name or an address, and a port; kind to names of any letters, and to addresses of IPv6 without brackets.
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]*+(?:%[\w.~-]*+)?\]|[^\x00-\x20\x7f:@/?#\\\[\]]*+)(?::[0-9]*+)?|[0-9A-Fa-f:.]*+"
)


def is_readable(host: bytes) -> bool:
    """Whether a `Host` header is one: no credentials, no path, no port of letters."""
    return _HOST.fullmatch(host.strip()) is not None


class Hosts:
    """The known names. `own` are those of `llama_hosts`: `chat.example.org`, `*.example.org`, or `*` for all."""

    def __init__(self, own: Iterable[str] = (), machine: str | None = None) -> None:
        names = [name.lower().rstrip(".") for name in own]
        self._names = {gethostname().lower() if machine is None else machine.lower(), *names}
        self._any = "*" in names
        self._domains = tuple(
            f".{domain}" for domain in (*LOCAL_DOMAINS, *(n[2:] for n in names if n.startswith("*.")))
        )

    def knows(self, host: bytes) -> bool:
        """Whether a `Host` header is the server's own, as far as can be told."""
        name = _name_in(host)
        return (
            self._any or not _can_be_registered(name) or name in self._names or name.endswith(self._domains)
        )


def is_here(host: bytes) -> bool:
    """Whether a `Host` header names this machine as its own programs do: loopback, or a name without a domain."""
    name = _name_in(host)
    address = canonical(name)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return "." not in name.removesuffix(".localhost") or name == gethostname().lower()


@lru_cache(maxsize=256)
def _name_in(host: bytes) -> str:
    """The name or address, without port and brackets, and without dots at its end, which name the root."""
    text = host.decode("latin-1").strip().lower()
    bracketed, closing, _ = text.removeprefix("[").partition("]")
    if text.startswith("[") and closing:
        return bracketed
    name, _, port = text.partition(":")
    return text if ":" in port else name.rstrip(".")


def _can_be_registered(name: str) -> bool:
    """Whether anybody could make the name point anywhere: several labels, none empty, and no address."""
    if canonical(name) is not None:
        return False
    labels = name.split(".")
    return len(labels) > 1 and all(labels) and not (labels[-1].isascii() and labels[-1].isdecimal())
