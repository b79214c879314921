"""Subcommands about profiles of callers: their keys, and what they may do."""

import json
from argparse import Namespace
from secrets import token_urlsafe
from typing import Any

from msgspec import to_builtins
from msgspec.structs import fields

from ..config import Home, JsonFile, Profile, load_settings
from ..config.callers import digest_of
from ..config.checks import section
from ..config.newcomer import check_profile, profiles_in
from .command import AS_JSON, Refused, UsageError, command, judged, option
from .printer import Printer

_NEW = "new"
_SECRET = "(hidden)"
# Those that are lists of words, which people part with commas.
_LISTS = frozenset({"from", "session_by", "models", "tools"})
_KEYS = [field.encode_name for field in fields(Profile)]


@command(
    "caller-add <name>",
    "make a profile for one kind of caller; its key is shown once",
    option("--from", dest="networks", help="networks, with commas between them, from which the key counts"),
    option(
        "--commands", choices=("all", "safe", "none"), default="safe", help="which chat commands, else safe"
    ),
    option("--operator", action="store_true", help="the key is the operator's"),
    option("--no-key", action="store_true", help="whoever comes from the networks is meant"),
)
def caller_add(home: Home, args: Namespace, printer: Printer) -> None:
    """The file gets no more of the key than its digest."""
    key = "" if args.no_key else token_urlsafe(32)
    entry: dict[str, Any] = {"key": digest_of(key)} if key else {}
    if args.networks:
        entry["from"] = _words(args.networks)
    entry |= {"commands": "all", "operator": True} if args.operator else {"commands": args.commands}
    with JsonFile(home.plugins_file).update() as content:
        table = profiles_in(home, content)
        if args.name in table:
            raise Refused(
                f"there is a profile {args.name}; agentctl caller-set {args.name} key new makes another key"
            )
        table[args.name] = entry
        _check(home, content, args.name)
    printer.done(f"profile {args.name} added")
    if key:
        _show_key(args.name, key, printer)
    printer.restart()


@command("caller-list", "show the profiles of callers", AS_JSON)
def caller_list(home: Home, args: Namespace, printer: Printer) -> None:
    """One line each, without keys; those of the short form as well."""
    door = load_settings(home).front_door
    if args.json:
        printer.json({name: _shown(each) for name, each in door.callers.items()})
        return
    for name, profile in door.callers.items():
        known = "by key" if profile.is_keyed else "by network"
        rights = "operator" if profile.operator else f"commands {profile.commands or door.commands}"
        printer.line(f"{name:20} {known}, {rights}")
    for name in door.api_keys:
        printer.line(f"{name:20} by key, commands {door.key_commands.get(name, door.commands)}  (api_keys)")
    if not (door.callers or door.api_keys):
        printer.note("There are none; agentctl caller-add NAME makes one")


@command("caller-info <name>", "show all that a profile says", AS_JSON)
def caller_info(home: Home, args: Namespace, printer: Printer) -> None:
    """What stands in the file, without the key."""
    profile = load_settings(home).front_door.callers.get(args.name)
    if profile is None:
        raise Refused(_unknown(args.name, home))
    shown = _shown(profile)
    if args.json:
        printer.json(shown)
        return
    for key, value in shown.items():
        printer.line(f"  {key:14} {value if isinstance(value, str) else json.dumps(value)}")


@command(
    "caller-set <name> <key> [<value>]",
    "set one key of a profile, as text, JSON, or a list with commas; without a value it is as for everybody; "
    "key new makes another key",
)
def caller_set(home: Home, args: Namespace, printer: Printer) -> None:
    """Checks the whole profile before it writes it."""
    if args.key not in _KEYS:
        raise UsageError(f"no key {args.key}; there is {', '.join(_KEYS)}")
    key = token_urlsafe(32) if args.key == "key" and args.value == _NEW else ""
    if args.key == "key" and args.value and not key:
        # It would stay in the history of the shell.
        value: Any = digest_of(args.value) if not args.value.startswith("sha256:") else args.value
    else:
        value = digest_of(key) if key else _value(args.key, args.value)
    with JsonFile(home.plugins_file).update() as content:
        table = profiles_in(home, content)
        if args.name not in table:
            raise Refused(_unknown(args.name, home))
        entry = section(table, home.plugins_file, args.name)
        if value is None:
            entry.pop(args.key, None)
        else:
            entry[args.key] = value
        if key:
            entry.pop("env_key", None)
        _check(home, content, args.name)
    printer.done(f"{args.name}: {args.key} {'is as for everybody' if value is None else 'is set'}")
    if key:
        _show_key(args.name, key, printer)
    printer.restart()


@command("caller-remove <name>", "remove a profile; its key opens nothing any more")
def caller_remove(home: Home, args: Namespace, printer: Printer) -> None:
    """The conversations of its callers stay."""
    with JsonFile(home.plugins_file).update() as content:
        table = profiles_in(home, content)
        if args.name not in table:
            raise Refused(_unknown(args.name, home))
        del table[args.name]
    printer.done(f"profile {args.name} removed")
    printer.restart()


def _check(home: Home, content: dict[str, Any], name: str) -> None:
    """Whether a server would start with it. Raises `ConfigError` or `UsageError`."""
    with judged():
        check_profile(home, content, name)


def _value(key: str, text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return _words(text) if key in _LISTS else text
    return [value] if key in _LISTS and isinstance(value, str) else value


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def _shown(profile: Profile) -> dict[str, Any]:
    """The profile as in the file, the key hidden."""
    plain: dict[str, Any] = to_builtins(profile)
    said = {key: value for key, value in plain.items() if value not in (None, [], {"db": {}, "tools": {}})}
    return {**said, **({"key": _SECRET} if profile.key is not None else {})}


def _unknown(name: str, home: Home) -> str:
    names = ", ".join(load_settings(home).front_door.callers) or "none yet"
    return f"no profile {name}; there is {names}"


def _show_key(name: str, key: str, printer: Printer) -> None:
    """The only time that anybody sees it."""
    printer.line(f"The key of {name}, which is shown this once:")
    printer.line(key)
    if printer.is_terminal:
        from ..console.qr import letters

        printer.line(letters(key, coloured=True))
