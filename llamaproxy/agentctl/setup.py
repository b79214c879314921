"""The subcommand for the first minutes: finds models that are there, and has one of them answer."""

import os
from argparse import Namespace
from contextlib import closing
from urllib.parse import urlsplit

from ..config import PLUGIN, Home, JsonFile, load_settings
from ..config.checks import section
from ..config.home import said_for
from ..config.occupancy import holder_of
from .command import Refused, command, option
from .printer import Printer

# Written once the questions were asked, so that `make run` asks them once.
_MARK = ".setup"
_PORTS_TRIED = 50
# The name of the key for the way from outside.
_AWAY = "away"


@command(
    "setup [--model NAME] [--port PORT] ...",
    "find models that are there already, choose one, and see to a free port",
    option(
        "--model",
        metavar="NAME",
        action="append",
        help="add this one and let it answer, instead of asking which; none for none; others are added beside it",
    ),
    option("--port", metavar="PORT", type=int, help="serve on this port, instead of the next free one"),
    option(
        "--with-key", action="store_true", help="make a key for the way from beyond the house, without asking"
    ),
    option("--yes", action="store_true", help="take what would be suggested, without asking"),
    option("--once", action="store_true", help="do nothing off a terminal, or when it was done before"),
)
def setup(home: Home, args: Namespace, printer: Printer) -> None:
    """At most two questions: which model, and whether there shall be a key."""
    mark = home.path / _MARK
    if args.once and (mark.exists() or not printer.is_dialogue):
        return
    if not (args.yes or args.model or printer.is_dialogue):
        raise Refused(
            "there is nobody to ask; answer with --model NAME, or take what is suggested with --yes"
        )
    if args.port is not None:
        _check_port(home, args.port)
    # With an HTTP client, which nothing else needs.
    from .choosing import choose
    from .finding import found

    printer.heading("Looking for models on this machine and for keys in the environment")
    choices = list(found({**home.read_env(), **os.environ}, printer.note))
    try:
        choose(home, choices, args, printer, again=mark.exists())
        port = _settle_port(home, args.port, printer)
        if args.with_key or _wants_key(home, args, printer):
            _make_key(home, printer)
    except EOFError:
        raise Refused("left as it is; agentctl setup asks again") from None
    mark.touch()
    _tell_address(home, port, printer)
    # Where none runs, `make run` starts one next.
    if told := printer.tell_server():
        printer.line(told)
    elif not args.once:
        printer.line(f"To start it: {said_for(home, 'run', 'llamaproxy')}")


def _tell_address(home: Home, port: int, printer: Printer) -> None:
    from ..web.door import bracketed, reachable_addresses

    door = load_settings(home).front_door
    printer.done(f"apps on this machine enter http://127.0.0.1:{port}")
    address = reachable_addresses("0.0.0.0" if door.listen else door.llama_host)[0]
    if not address.startswith("127."):
        printer.line(f"  a phone at home enters http://{bracketed(address)}:{port}")


def _wants_key(home: Home, args: Namespace, printer: Printer) -> bool:
    if args.yes or args.model or not printer.is_dialogue:
        return False
    keys = load_settings(home).front_door.api_keys
    return _AWAY not in keys and printer.confirm("A key, for using it from beyond the house?")


def _check_port(home: Home, port: int) -> None:
    """Raises `Refused` for one that cannot be had."""
    if not 1 <= port <= 65535:
        raise Refused(f"{port} is no port: expected a number from 1 to 65535")
    if not is_free(port) and not _is_ours(home, port):
        from ..web.neighbours import neighbour_at

        raise Refused(f"port {port} is taken: {neighbour_at('', port)} has it")


def _is_ours(home: Home, port: int) -> bool:
    """Whether the server of this home has it."""
    holder = holder_of(home.lock_file)
    return holder is not None and urlsplit(holder.address).port == port


def _settle_port(home: Home, wanted: int | None, printer: Printer) -> int:
    """Sees to a port that nobody else has; gives the one that holds."""
    port = load_settings(home).front_door.llama_port
    if wanted == port or (wanted is None and (is_free(port) or _is_ours(home, port))):
        return port
    chosen = wanted or next((each for each in range(port + 1, port + _PORTS_TRIED) if is_free(each)), port)
    if wanted is None:
        from ..web.neighbours import neighbour_at

        printer.note(f"port {port} is taken: {neighbour_at('', port)} has it")
    with JsonFile(home.plugins_file).update() as content:
        section(content, home.plugins_file, "plugin_config", PLUGIN)["llama_port"] = chosen
    printer.done(f"this server takes port {chosen} instead of {port} (llama_port)")
    return chosen


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    import socket

    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except (OSError, OverflowError):
            return False
    return True


def _make_key(home: Home, printer: Printer) -> None:
    import secrets

    key = secrets.token_urlsafe(24)
    with JsonFile(home.plugins_file).update() as content:
        keys = section(content, home.plugins_file, "plugin_config", PLUGIN).setdefault("api_keys", {})
        if isinstance(keys, list):
            keys.append(key)
        elif _AWAY in keys:
            printer.note("there is a key for that already, 'away' among the api_keys; it stays")
            return
        else:
            keys[_AWAY] = key
    printer.done("apps that come from beyond the house enter this as their API key:")
    printer.line(f"  {key}")
