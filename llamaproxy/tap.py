"""`twistd llamaproxy`: from options and files to a tree of services.

Whatever the operator can mend (a file, a port, a model) is found here, before anything starts, and ends the program
with one line and exit status 1.
"""

from .sockets import tls

# Before anything else: nearly all of what follows loads Twisted's sockets.
tls.put_off()

import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger, globalLogPublisher
from twisted.python import usage

from .config import ConfigError, FrontDoor, Home, Occupancy, find_home, load_configuration
from .config.advice import advice
from .config.schema import MOST_WORKERS
from .console.loglines import LogLines
from .seams.errors import AgentError
from .server.assembly import Plan, Server, assemble
from .server.logfiles import LogFiles, prepare
from .server.service import Interrupts, Part, Stack, give_up, in_words
from .sockets.steady import steady
from .sockets.swift import hasten
from .web.door import BACKLOG, place_of, port_problem, url_here, urls_at, welcome

log = Logger()

# Makes a link for a phone, to the server at an address; "" where there are no pages.
Invite = Callable[[str], Awaitable[str]]

_EXAMPLE = "tcp:11434 or ssl:443:privateKey=key.pem:certKey=cert.pem"


def _whole(text: str) -> int:
    """The number that a flag gives. Raises `ValueError` in words."""
    if not text.strip().isdecimal():
        raise ValueError(f"expected a whole number, got {text!r}")
    return int(text)


class Options(usage.Options):
    """The flags of `twistd llamaproxy`; each beats what the files say."""

    optParameters = [
        ["port", "p", None, "TCP port (file: llama_port, else 11434)", _whole],
        ["host", None, None, "Address to listen on (file: llama_host, else 0.0.0.0)"],
        [
            "listen",
            None,
            None,
            "Twisted endpoint string, instead of port and host, e.g. ssl:443:privateKey=...",
        ],
        ["home", None, None, "Folder with the configuration (else $LLAMAPROXY_HOME, else ~/.llamaproxy)"],
        ["model", "m", None, "Key of the model that new sessions start with"],
        ["workers", "w", None, "Processes that share the port (file: workers, else 1)", _whole],
    ]

    optFlags = [["debug", None, "Log what holds the server up for more than 50 ms, and where"]]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Reads the flags; a wrong one ends the program in one line, where twistd would print all of its help."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            # What Twisted puts before the words of `_whole`.
            problem = str(error).removeprefix("Parameter type enforcement failed: ")
            give_up(f"{problem}; see twistd llamaproxy --help")

    def postOptions(self) -> None:
        """Checks what can be checked without the files."""
        if self["port"] is not None and not 0 < self["port"] < 65536:
            raise usage.UsageError("--port is a number from 1 to 65535")
        if self["listen"] and (self["port"] or self["host"]):
            raise usage.UsageError("--listen says where to listen; leave --port and --host out")
        if self["workers"] is not None and not 1 <= self["workers"] <= MOST_WORKERS:
            raise usage.UsageError(f"--workers is a number from 1 to {MOST_WORKERS}")


def makeService(options: Options) -> IService:
    """Builds the server from the options and the home folder's files."""
    from twisted.internet import reactor

    steady(reactor)
    hasten(reactor)
    try:
        if (log_file := _log_file(options)) is not None:
            prepare(log_file)
        home = Home(find_home(options["home"], os.environ, Path.cwd()))
        home.ensure()
        occupancy = Occupancy(home.lock_file)
        occupancy.take()
        # The lock stands as long as somebody holds this.
        return build(options, home, reactor, occupancy.sign)
    except (ConfigError, AgentError, OSError, ValueError) as error:
        give_up(in_words(error))


def _log_file(options: Options) -> str | None:
    """The file that twistd will open as its log, None for none."""
    twistd: Any = getattr(options, "parent", None)
    if twistd is None or twistd.get("syslog") or twistd.get("logger"):
        return None
    name = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    return None if name == "-" else str(name)


def build(
    options: Options, home: Home, reactor: Any, sign: Callable[[str], None] = lambda address: None
) -> Stack:
    """The tree of services; `sign` is told at which URL this machine reaches the server once it is up.

    Raises `ConfigError`, `AgentError`, `OSError` or `ValueError` with a line for the operator.
    """
    config = load_configuration(home)
    door = config.settings.front_door
    if not door.enabled:
        give_up("plugin_proxy_llama is disabled; run: agentctl enable plugin_proxy_llama")
    plan = Plan(
        config=config,
        home=str(home.path),
        default_model=options["model"] or config.registry.default_model,
        debug=bool(options["debug"]),
    )
    for line in advice(home, os.environ):
        log.warn("{line}", line=line)
    for key, problem in config.registry.broken.items():
        log.warn("model '{key}' is left out: {problem}", key=key, problem=problem)
    if plan.default_model in config.registry.broken:
        give_up(config.registry.broken[plan.default_model])
    place = _place(options, door, home, reactor)
    server = assemble(plan, place.endpoint, reactor)
    services: Sequence[IService] = server.services
    reload: Callable[[], object] = server.reloader.reload
    hurry = server.entrance.hurry
    invite: Invite = partial(_invite, server)
    if (workers := options["workers"] or door.workers) > 1:
        if sys.platform != "linux":
            give_up("several processes can share a port only on Linux; let one serve with --workers 1")
        if place.address is None:
            give_up(
                f"several processes can share a plain TCP address, and not {place.name}; for TLS put a proxy (nginx, "
                "Caddy) before the server, or let one process serve with --workers 1"
            )
        from .workers.supervisor import supervised

        lines = LogLines(reactor)
        globalLogPublisher.addObserver(lines)
        supervisor = supervised(plan, server, workers, place.address, lines, reactor)
        services, hurry = supervisor.services, supervisor.hurry
        reload, invite = supervisor.reload, supervisor.invite
    stack = Stack(reactor)
    base = place.urls[0] if place.urls and door.console and door.recorder else ""
    greeting = Part(partial(_greet, welcome(place.urls, plan.default_model, _let_in(door)), base, invite))
    signing = Part(partial(sign, place.here))
    for service in (Interrupts(reactor, hurry, reload), LogFiles(reactor), *services, signing, greeting):
        service.setServiceParent(stack)
    return stack


class _Place(NamedTuple):
    """Where to listen, by what name, and the URLs under which apps reach it; `address` only of plain TCP.

    `here` is the URL for programs of this machine.
    """

    endpoint: IStreamServerEndpoint
    name: str
    urls: list[str]
    address: tuple[str, int] | None
    here: str = ""


def at_home(listen: str | None, home: Home) -> str | None:
    """The endpoint of the file, its relative key files counted from the home folder."""

    def placed(found: re.Match[str]) -> str:
        return found[1] + (
            found[2] if found[2].startswith(("/", "~")) else str(home.path.absolute() / found[2])
        )

    return listen and re.sub(
        r"(\b(?:privateKey|certKey|extraCertChain|dhParameters)=)([^:]+)", placed, listen
    )


def _place(options: Options, door: FrontDoor, home: Home, reactor: Any) -> _Place:
    """A flag beats the file."""
    flagged = options["port"] or options["host"]
    listen = options["listen"] or (None if flagged else at_home(door.listen, home))
    if listen:
        return _described_place(listen, reactor)
    host, port = options["host"] or door.llama_host, options["port"] or door.llama_port
    if problem := port_problem(host, port):
        give_up(problem)
    kind = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
    urls, here = urls_at("http", host, port), url_here("http", host, port)
    return _Place(kind(reactor, port, BACKLOG, host), "", urls, (host, port), here)


def _described_place(listen: str, reactor: Any) -> _Place:
    if not listen.startswith("tcp"):
        tls.load()
    endpoint = _endpoint(listen, reactor)
    if (place := place_of(listen)) is None:
        return _Place(endpoint, listen, [], None)
    scheme, host, port = place
    if problem := port_problem(host, port, listen):
        give_up(problem)
    address = (host, port) if scheme == "http" else None
    return _Place(endpoint, listen, urls_at(*place), address, url_here(*place))


def _endpoint(description: str, reactor: Any) -> IStreamServerEndpoint:
    try:
        return serverFromString(reactor, description)
    except Exception as error:  # whatever its parser, plugin or TLS library comes up with
        give_up(f"the endpoint {description} cannot be used: {_why(error)}")


def _why(error: Exception) -> str:
    """What is wrong with an endpoint, where Python, Twisted or OpenSSL speak of their own insides."""
    match error:
        case OSError(strerror=str(words)):
            return f"{error.filename}: {words}" if error.filename else words
        case TypeError() | IndexError():
            return f"something is missing in it, or not known; one is like {_EXAMPLE}"
        case ValueError() if "invalid literal" in str(error):
            return f"its port, or another number in it, is none; one is like {_EXAMPLE}"
    if type(error).__module__.startswith("OpenSSL"):
        return "its key or certificate is not what TLS can use; both have to be PEM"
    return str(error)


def _let_in(door: FrontDoor) -> str:
    """Who may come in, in words."""
    where = f"Addresses in {', '.join(door.allow_from)}" if door.allow_from else "Local networks only"
    return f"{where}{' and holders of an API key' if door.api_keys else ''} may come in."


async def _invite(server: Server, base: str) -> str:
    return server.pages.arrivals.link(base) if server.pages is not None else ""


def _greet(lines: list[str], base: str, invite: Invite) -> Deferred[None] | None:
    """`base` is the address of the pages; somebody at a terminal also gets a link to them, for a phone's camera."""
    for line in lines:
        log.info("{line}", line=line)
    if not base:
        return None
    log.info("A phone without an app: {base}/chat. The operator's console: agentctl console", base=base)
    if sys.__stdout__ is None or not sys.__stdout__.isatty():
        return None
    return Deferred.fromCoroutine(_show_code(base, invite, sys.__stdout__))


async def _show_code(base: str, invite: Invite, terminal: TextIO) -> None:
    """Not through the log, which others may read: whoever opens the link first comes in."""
    link = await invite(base)
    if link:
        from .console.qr import letters

        words = "For a phone's camera, once and within ten minutes; agentctl qr makes another:"
        print(words, letters(link, coloured=True), link, "", sep="\n", file=terminal, flush=True)
