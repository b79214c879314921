"""Subcommands that ask the running server what it does: records of turns, its log, and the way to its pages."""

import sys
import time
from argparse import Namespace
from typing import Any
from urllib.parse import quote

from msgspec import DecodeError, json

from ..config import Home, load_settings, operator_key
from .command import Refused, command, option
from .doctor import address_of
from .printer import Printer

_JSON = option("--json", action="store_true", help="as JSON, a line for each")


@command(
    "trace [<of>]",
    "tell what happened in turns: the last one, those of a session, or the one of a request",
    _JSON,
)
def trace(home: Home, args: Namespace, printer: Printer) -> None:
    """Ten lines for each turn, the newest last."""
    found = _ask(home, "GET", f"trace?of={quote(args.of or '', safe='')}")["records"]
    if not found:
        raise Refused(f"no turn of {args.of} is on record" if args.of else "no turn is on record yet")
    for record in reversed(found):
        if args.json:
            printer.line(json.encode(record).decode())
        else:
            printer.line("\n".join(record["lines"]) + "\n")


@command(
    "log",
    "show the running server's last log lines",
    option("-f", dest="follow", action="store_true", help="go on as they come, until Ctrl-C"),
    _JSON,
)
def log(home: Home, args: Namespace, printer: Printer) -> None:
    """The last 500, and with -f those that come."""
    newest = 0
    while True:
        # The server answers this when there is something new.
        wait = "&wait=1" if newest and args.follow else ""
        for line in _ask(home, "GET", f"log?after={newest}{wait}")["lines"]:
            newest = line["number"]
            at = time.strftime("%H:%M:%S", time.localtime(line["at"]))
            printer.line(
                json.encode(line).decode() if args.json else f"{at} {line['level']:5} {line['text']}"
            )
        if not args.follow:
            return
        sys.stdout.flush()


@command("console", "open the running server's console, by a link that works once")
def console(home: Home, args: Namespace, printer: Printer) -> None:
    """Shows the link in any case: the browser may be on another machine."""
    address = address_of(load_settings(home).front_door)
    link = f"{address}{_ask(home, 'POST', 'link')['path']}"
    printer.line(link)
    if sys.stdout.isatty() and _has_browser():
        import webbrowser

        webbrowser.open(link)
    printer.note("It works once, within ten minutes.")


@command("qr", "show the address of the chat page as a QR code for a phone")
def qr(home: Home, args: Namespace, printer: Printer) -> None:
    """The code, and the address below it."""
    # Drawn here, so that no server has to run.
    from ..console.qr import letters
    from ..web.door import reachable_addresses

    door = load_settings(home).front_door
    scheme, _, place = address_of(door).partition("://")
    port = place.rpartition(":")[2]
    host = reachable_addresses("0.0.0.0" if door.listen else door.llama_host)[0]
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/chat"
    printer.line(letters(url).rstrip("\n"))
    printer.line(url)


def _ask(home: Home, method: str, path: str) -> Any:
    """What the running server answers to its operator. Raises `Refused`."""
    from ..doctor.decoders import Fault
    from ..doctor.visit import server_at

    server = server_at(address_of(load_settings(home).front_door))
    key = operator_key(home.operator_key_file)
    try:
        answer = server.ask(method, f"/console/{path}", {"Authorization": f"Bearer {key}"}, None)
    except Fault as fault:
        raise Refused(f"no server answers at {server}: {fault}") from None
    try:
        read = json.decode(answer.body)
    except DecodeError:
        raise Refused(f"what answers at {server} is no llamaproxy with a console") from None
    if answer.status != 200:
        raise Refused(
            f"{server} says: {read.get('error', answer.status) if isinstance(read, dict) else read}"
        )
    return read


def _has_browser() -> bool:
    # Which brings what starts programs, and nothing else needs.
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
