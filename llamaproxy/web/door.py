"""The front door as a service: it binds the port, says how to reach it, and lets running replies finish."""

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress

import ifaddr
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint
from twisted.logger import Logger

from ..sockets.accepting import ease
from ..sockets.eager import limit_unsent
from .addresses import canonical
from .health import Health
from .site import FrontSite

# Bytes that the kernel keeps for a client that does not read.
KERNEL_BUFFER = 16 * 1024
# Connections that may wait to be accepted; beyond them a client hears nothing for a second and tries again.
BACKLOG = 1024
# Where this machine finds what listens everywhere.
_HERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class Door(Service):
    """Listens on `endpoint`. Stopping waits at most `grace` seconds for the replies under way.

    Whoever watches `health` hears of the end before.
    """

    log = Logger()

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        site: FrontSite,
        clock: IReactorTime,
        grace: float = 20.0,
        health: Health | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._site = site
        self._clock = clock
        self._grace = grace
        self._health = health
        self._listening: Deferred[IListeningPort] | None = None
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Binds the port while the process still may."""
        self._listening = self._endpoint.listen(self._site)

    def startService(self) -> Deferred[None]:
        """Fires once the port is bound; fails if it cannot be."""
        super().startService()
        return Deferred.fromCoroutine(self._bound())

    def stopService(self) -> Deferred[None]:
        """Refuses new clients, lets the replies under way finish and reach theirs, then hangs up on the rest."""
        super().stopService()
        return Deferred.fromCoroutine(self._drain())

    def hurry(self) -> None:
        """Hangs up on everybody now."""
        if self._health is not None:
            self._health.hurry()
        self._site.hang_up()

    async def _bound(self) -> None:
        if self._listening is None:
            self.privilegedStartService()
        assert self._listening is not None
        self._port = await self._listening
        limit_unsent(self._port, KERNEL_BUFFER)
        ease(self._port)
        self._site.bound = getattr(self._port.getHost(), "host", "")

    async def _drain(self) -> None:
        if self._health is not None:
            await self._health.leave()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        closed = self._site.close()
        if not closed.called:
            self.log.info("replies under way may finish for {grace:g} s", grace=self._grace)
        patience = self._clock.callLater(self._grace, self.hurry)
        await closed
        if patience.active():
            patience.cancel()


def port_problem(host: str, port: int, where: str = "") -> str | None:
    """Why that address cannot be listened on, in a sentence for the operator; None if it can.

    `where` is the endpoint that says so; otherwise it was a flag or the file.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OverflowError:
            return f"cannot listen on port {port}: a port is a number from 0 to 65535; choose another port"
        except OSError as error:
            problem = f"cannot listen on {host}, port {port}: {error.strerror}; "
            how = f"in the endpoint {where}" if where else "with --port or agentctl port-set"
            if error.errno != errno.EADDRINUSE:
                return f"{problem}choose another address or port {how}"
            return problem + _way_round(host, port, how if where else "")
    return None


def _way_round(host: str, port: int, how: str) -> str:
    """Who has the port, and what to do about it."""
    from .neighbours import free_port_after, neighbour_at

    neighbour, free = neighbour_at(host, port), free_port_after(host, port)
    end = f" ({neighbour.way_to_end_it})" if neighbour.way_to_end_it else ""
    told = f"{neighbour} has it: end what runs there{end}, or choose another port "
    told += how or f"with --port {free} or agentctl port-set plugin_proxy_llama {free}"
    if neighbour.is_ollama and not how:
        told += f"; what apps enter ends with :{free} then"
    return told


def reachable_addresses(host: str) -> list[str]:
    """The addresses under which others can reach a listener on `host`: all of the machine's for a wildcard."""
    if host not in ("", "0.0.0.0", "::"):
        return [host]
    texts = [ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    found = [address for text in texts if (address := canonical(str(text)))]
    # A link-local IPv6 address means nothing without a zone, which differs from one machine to the next.
    outside = [
        each for each in found if not each.is_loopback and (each.version == 4 or not each.is_link_local)
    ]
    versions = (4, 6) if host == "::" else (4,)
    usual = _usual_address()
    # Bridges of containers and virtual machines are addresses, too; few phones can use them.
    outside.sort(key=lambda address: str(address) != usual)
    return [str(each) for each in outside if each.version in versions] or ["127.0.0.1"]


def _usual_address() -> str:
    """From which address this machine speaks to the world; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return ""


def bracketed(host: str) -> str:
    """An address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def place_of(endpoint: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a Twisted endpoint string; None where the string does not tell."""
    kind, *arguments = endpoint.split(":")
    scheme = {"tcp": "http", "tcp6": "http", "ssl": "https"}.get(kind)
    named = dict(argument.partition("=")[::2] for argument in arguments if "=" in argument)
    port = named.get("port") or (arguments[0] if arguments else "")
    if scheme is None or not port.isdecimal() or "\\" in endpoint:
        return None
    return scheme, named.get("interface") or ("::" if kind == "tcp6" else "0.0.0.0"), int(port)


def urls_at(scheme: str, host: str, port: int) -> list[str]:
    """The URLs of a listener on `host`."""
    return [f"{scheme}://{bracketed(each)}:{port}" for each in reachable_addresses(host)]


def url_here(scheme: str, host: str, port: int) -> str:
    """The URL of a listener on `host` for programs of this machine."""
    return f"{scheme}://{bracketed(_HERE.get(host, host))}:{port}"


def welcome(urls: Sequence[str], model: str, let_in: str) -> list[str]:
    """The lines an operator sees at the start: where it is, what talks, and what to enter in each app."""
    what = f"Model: {model}. {let_in}"
    if not urls:
        return ["Ready", what]
    base = urls[0]
    return [
        *(f"Ready at {url}" for url in urls),
        what,
        f"Enchanted, Ollama apps:      server {base}",
        f"Ollama CLI:                  OLLAMA_HOST={base} ollama run {model}",
        f"Open WebUI, LM Studio, OpenAI apps: base URL {base}/v1, any key",
    ]
