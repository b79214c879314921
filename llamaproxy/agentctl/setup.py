"""The subcommand for the first minutes: finds models that are there, and has one of them answer."""

import os
import re
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..config import PLUGIN, Home, JsonFile, load_settings
from ..config.checks import section
from ..config.load import load_entry
from ..config.occupancy import holder_of
from .command import Refused, command, option
from .printer import Printer
from .registry import entries_in

if TYPE_CHECKING:
    from .finding import Found

# Written once the questions were asked, so that `make run` asks them once.
_MARK = ".setup"
_PORTS_TRIED = 50
_MOST_SHOWN = 40


@command(
    "setup [--model NAME] [--port PORT] ...",
    "find models that are there already, choose one, and see to a free port",
    option(
        "--model",
        metavar="NAME",
        help="add this one and let it answer, instead of asking which; none for none",
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
    from .finding import found

    printer.heading("Looking for models on this machine and for keys in the environment")
    choices = list(found({**home.read_env(), **os.environ}))
    chosen = _chosen(choices, args, printer)
    if chosen is not None:
        _add(home, chosen, printer)
    port = _settle_port(home, args.port, printer)
    if args.with_key or (
        printer.is_dialogue
        and not (args.yes or args.model)
        and printer.confirm("A key, for using it from beyond the house?")
    ):
        _make_key(home, printer)
    mark.touch()
    printer.done(
        f"apps on this machine enter http://127.0.0.1:{port}, a phone this machine's address with :{port}"
    )
    # Where none runs, there is nothing to say: `make run` starts one next.
    if told := printer.tell_server():
        printer.line(told)


def _chosen(choices: list["Found"], args: Namespace, printer: Printer) -> "Found | None":
    """The one to add; None for the small model that comes along."""
    if args.model == "none":
        return None
    if args.model:
        for each in choices:
            if args.model in (each.model_id, key_of(each)):
                return each
        names = ", ".join(each.model_id for each in choices) or "none"
        raise Refused(f"no model {args.model} was found; there is {names}")
    if not choices:
        printer.note("none found; the small model that comes along will answer")
        return None
    shown = choices[:_MOST_SHOWN]
    for number, each in enumerate(shown, 1):
        printer.line(f"  {number:2}  {each.model_id}  ({each.place.name})")
    if len(shown) < len(choices):
        printer.line(f"      and {len(choices) - len(shown)} more; name one with --model NAME")
    printer.line("   0  the small model that comes along")
    if args.yes:
        return choices[0]
    while True:
        answer = printer.ask("Which one shall answer?", "1")
        if answer.isdecimal() and int(answer) <= len(shown):
            return choices[int(answer) - 1] if int(answer) else None
        printer.note(f"a number from 0 to {len(shown)}")


def key_of(one: "Found") -> str:
    """Its key in the registry: its name without what a key cannot hold."""
    return re.sub(r"[^\w.:-]+", "-", one.model_id.rpartition("/")[2]) or "model"


def _free_key(key: str, given: dict[str, Any], entries: dict[str, Any]) -> str:
    """The key, or one like it where another model has that."""
    number = 1
    wanted = key
    while isinstance(found := entries.get(wanted), dict) and any(
        found.get(name) != given[name] for name in ("type", "model_id", "host")
    ):
        number += 1
        wanted = f"{key}-{number}"
    return wanted


def _add(home: Home, one: "Found", printer: Printer) -> None:
    from .trial import FATAL
    from .tryout import tried

    given = {"type": one.place.type, "model_id": one.model_id, "host": one.place.host, "enabled": True}
    if one.place.env_key:
        given["env_key"] = one.place.env_key
    key = _free_key(key_of(one), given, entries_in(JsonFile(home.models_file).read(), home))
    entry = load_entry(home.models_file, key, given)
    printer.line(f"asking {one.model_id}, which may take a moment to load")
    for check in tried(home, entry):
        if check.what in FATAL and check.holds is False:
            raise Refused(f"{one.model_id} does not answer ({check.told}); nothing was changed")
        if check.what == "answers":
            printer.done(f"{one.model_id} answers: {check.told}")
        if check.what == "speed":
            printer.line(f"  {check.told}")
            break
    with JsonFile(home.models_file).update() as content:
        entries = entries_in(content, home)
        entries[key] = {**entries.get(key, {}), **given}
        content["default_model"] = key
    printer.done(f"default model: {key}")


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
    printer.done(f"{PLUGIN} llama_port: {port} → {chosen}")
    return chosen


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    import socket

    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _make_key(home: Home, printer: Printer) -> None:
    import secrets

    key = secrets.token_urlsafe(24)
    with JsonFile(home.plugins_file).update() as content:
        keys = section(content, home.plugins_file, "plugin_config", PLUGIN).setdefault("api_keys", {})
        if isinstance(keys, list):
            keys.append(key)
        elif "away" in keys:
            printer.note("there is a key for that already, 'away' among the api_keys; it stays")
            return
        else:
            keys["away"] = key
    printer.done("apps that come from beyond the house enter this as their API key:")
    printer.line(f"  {key}")
