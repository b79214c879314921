"""Subcommands that ask the running server what it does: records of turns, its log, and the way to its pages."""

import sys
import time
from argparse import Namespace
from urllib.parse import quote

from msgspec import json

from ..config import Home, load_settings
from ..config.occupancy import holder_of
from .command import Refused, UsageError, command, option
from .printer import Printer
from .running import address_here, ask

_JSON = option("--json", action="store_true", help="as JSON, a line for each")


@command(
    "trace [<of>]",
    "tell what happened in turns: the last one, those of a session, or the one of a request",
    _JSON,
)
def trace(home: Home, args: Namespace, printer: Printer) -> None:
    """Ten lines for each turn, the newest last."""
    found = ask(home, "GET", f"trace?of={quote(args.of or '', safe='')}")["records"]
    if not found:
        raise Refused(f"no turn of {args.of} is on record" if args.of else "no turn is on record yet")
    for record in reversed(found):
        if args.json:
            printer.line(json.encode(record).decode())
        else:
            printer.line("\n".join(record["lines"]) + "\n")


@command(
    "log [-n N] [-f]",
    "show the running server's last log lines",
    option("-n", dest="last", metavar="N", type=int, help="this many of the last ones, instead of all 500"),
    option("-f", dest="follow", action="store_true", help="go on as they come, until Ctrl-C"),
    _JSON,
)
def log(home: Home, args: Namespace, printer: Printer) -> None:
    """The last ones, and with -f those that come."""
    if args.last is not None and args.last < 0:
        raise UsageError(f"-n takes a number from 0, not {args.last}")
    newest, wait = 0, ""
    while True:
        # With `wait`, the server answers when there is something new.
        lines = ask(home, "GET", f"log?after={newest}{wait}")["lines"]
        newest = lines[-1]["number"] if lines else newest
        for line in lines if wait or args.last is None else lines[max(0, len(lines) - args.last) :]:
            at = time.strftime("%H:%M:%S", time.localtime(line["at"]))
            printer.line(
                json.encode(line).decode() if args.json else f"{at} {line['level']:5} {line['text']}"
            )
        if not args.follow:
            return
        sys.stdout.flush()
        wait = "&wait=1"


@command("console", "open the running server's console, by a link that works once")
def console(home: Home, args: Namespace, printer: Printer) -> None:
    """Shows the link in any case: the browser may be on another machine."""
    link = f"{address_here(home)}{ask(home, 'POST', 'link')['path']}"
    printer.line(link)
    if sys.stdout.isatty() and _has_browser():
        import webbrowser

        webbrowser.open(link)
    printer.note("It works once, within ten minutes.")


@command(
    "qr",
    "show a QR code that brings a phone to the chat page, with a key of its own",
    option(
        "--commands", choices=("all", "safe", "none"), help="its chat commands, else those that everybody has"
    ),
    option("--plain", action="store_true", help="the address of the page alone, which makes nothing"),
)
def qr(home: Home, args: Namespace, printer: Printer) -> None:
    """The code, and below it what it says. Without a server that runs there is the address alone."""
    from ..console.qr import letters

    if args.plain or holder_of(home.lock_file) is None:
        url = f"{_phones_address(home)}/chat"
        words = "The address of the chat page. "
        words += "" if args.plain else "A link that makes a key needs a server that runs."
    else:
        answer = ask(home, "POST", "pair", {"commands": args.commands})
        url = answer["url"]
        if "://127." in url or "://[::1]" in url:
            printer.note(
                "the server listens on this machine alone, where no phone reaches it; see llama_host"
            )
        words = "It works once, within ten minutes, and makes a profile that caller-list shows."
    printer.line(letters(url, coloured=printer.is_terminal))
    printer.line(url)
    printer.note(words.strip())


def _phones_address(home: Home) -> str:
    """Drawn here, so that no server has to run."""
    from ..web.door import bracketed, reachable_addresses

    door = load_settings(home).front_door
    scheme, _, place = address_here(home).partition("://")
    host = reachable_addresses("0.0.0.0" if door.listen else door.llama_host)[0]
    return f"{scheme}://{bracketed(host)}:{place.rpartition(':')[2]}"


def _has_browser() -> bool:
    # Which brings what starts programs, and nothing else needs.
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
