"""Subcommands about limits: calls of tools, how deep they nest, sessions, and how much those remember."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict

from ..config import PLUGIN, FrontDoor, Home, JsonFile, Settings
from ..config.checks import section
from ..config.load import load_depths, load_entry, load_limits
from ..config.schema import MOST_WORKERS, DepthLimits, RateLimit
from ..seams.limits import DEFAULT_RATES, Rate
from .changes import Change, announce, plain, shown
from .command import AS_JSON, Refused, UsageError, command, judged, required_truth
from .printer import Printer
from .registry import entries_in
from .rows import Row


@command("ratelimit-list", "show how often tools may be called, by category", AS_JSON)
def ratelimit_list(home: Home, args: Namespace, printer: Printer) -> None:
    """Our own limits, with those of the file laid over them."""
    own = load_limits(home.plugins_file, JsonFile(home.plugins_file).read()).rate_limits
    rates = _rates(own)
    if args.json:
        printer.json(
            {category: {**_entry(rate), "default": category not in own} for category, rate in rates.items()}
        )
        return
    marks = {category: "" if category in own else "(default)" for category in rates}
    rows = [
        Row(f"{category:12} {rate}  {marks[category]}".rstrip(), (category, str(rate), marks[category]))
        for category, rate in rates.items()
    ]
    printer.table(("category", "limit", ""), rows)


@command(
    "ratelimit-set <category> <calls> <seconds>",
    "how many calls of a category's tools a session may make in how many seconds; 0 for no limit",
)
def ratelimit_set(home: Home, args: Namespace, printer: Printer) -> None:
    """What happens to a session that goes over it stays as it is."""
    _set_rate(home, args.category, {"calls": args.calls, "window_seconds": args.seconds}, printer)
    if args.category not in DEFAULT_RATES:
        printer.note(f"No tool that comes with us is of the category {args.category}; one of a plugin may be")


@command(
    "ratelimit-autodisable <category> <bool>",
    "whether a session that goes over the limit loses the category's tools",
)
def ratelimit_autodisable(home: Home, args: Namespace, printer: Printer) -> None:
    """Keeps the limit itself."""
    _set_rate(home, args.category, {"auto_disable": required_truth(args.bool)}, printer)


def _set_rate(home: Home, category: str, given: dict[str, Any], printer: Printer) -> None:
    with JsonFile(home.plugins_file).update() as content:
        own = section(content, home.plugins_file, "rate_limits")
        rates = _rates(load_limits(home.plugins_file, content).rate_limits)
        old = rates.get(category)
        if old is None and "calls" not in given:
            raise Refused(f"{category} has no limit; first: agentctl ratelimit-set {category} CALLS SECONDS")
        with judged():
            raw = {"rate_limits": {category: {**_entry(old), **given}}}
            limit = load_limits(home.plugins_file, raw, from_text=True).rate_limits[category]
        new = _rate(limit)
        if new != old:
            own[category] = {name: plain(value) for name, value in asdict(limit).items()}
    announce([Change(category, old or "no limit", new)], printer)


def _rates(own: Mapping[str, RateLimit]) -> dict[str, Rate]:
    return {**DEFAULT_RATES, **{category: _rate(limit) for category, limit in own.items()}}


def _rate(limit: RateLimit) -> Rate:
    return Rate(limit.calls, limit.window_seconds, limit.auto_disable)


def _entry(rate: Rate | None) -> dict[str, Any]:
    """The other way round, as it would stand in the file."""
    if rate is None:
        return {}
    return {"calls": rate.calls, "window_seconds": rate.seconds, "auto_disable": rate.auto_disable}


@command(
    "limit-list",
    "show how many rounds of tools and how deep calls may go",
    AS_JSON,
    aliases=("limit-depth-list",),
)
def limit_list(home: Home, args: Namespace, printer: Printer) -> None:
    """Every limit, those that the file does not set too."""
    own = section(JsonFile(home.models_file).read(), home.models_file, "limits")
    limits = asdict(load_depths(home.models_file, own))
    if args.json:
        printer.json(limits)
        return
    rows = [
        Row(f"{name:22} {number}{_mark(own, name)}", (name, str(number), _mark(own, name).strip()))
        for name, number in limits.items()
    ]
    printer.table(("limit", "", ""), rows)


@command("limit-set <key> <n>", "set one of these limits; 0 for none of it", aliases=("limit-depth-set",))
def limit_set(home: Home, args: Namespace, printer: Printer) -> None:
    """One of the keys that `limit-list` shows."""
    if args.key not in DepthLimits.__struct_fields__:
        raise UsageError(f"no limit {args.key}; there is {', '.join(DepthLimits.__struct_fields__)}")
    with judged():
        limits = load_depths(home.models_file, {args.key: args.n}, from_text=True)
    with JsonFile(home.models_file).update() as content:
        own = section(content, home.models_file, "limits")
        change = Change.make(own, args.key, getattr(limits, args.key), getattr(DepthLimits(), args.key))
    announce([change], printer)


@command("session-timeout [<minutes>]", "show or set when idle sessions are put away; 0 for never", AS_JSON)
def session_timeout(home: Home, args: Namespace, printer: Printer) -> None:
    """They come back with their next message."""
    _show_or_set(home, "session_idle_timeout_minutes", args.minutes, args.json, printer)


@command(
    "max-users [<n>]",
    "show or set how many sessions there may be at the same time; 0 for any number",
    AS_JSON,
)
def max_users(home: Home, args: Namespace, printer: Printer) -> None:
    """Who comes when there are that many is told so."""
    _show_or_set(home, "max_users", args.n, args.json, printer)


@command("workers [<n>]", "show or set how many processes share the server's port and its sessions", AS_JSON)
def workers(home: Home, args: Namespace, printer: Printer) -> None:
    """One is enough until a core is not."""
    if args.n is None:
        block = section(JsonFile(home.plugins_file).read(), home.plugins_file, "plugin_config", PLUGIN)
        _show(block, "workers", FrontDoor().workers, args.json, printer)
        return
    if not args.n.isdecimal() or not 1 <= int(args.n) <= MOST_WORKERS:
        raise UsageError(f"expected a number from 1 to {MOST_WORKERS}, got {args.n}")
    with JsonFile(home.plugins_file).update() as content:
        block = section(content, home.plugins_file, "plugin_config", PLUGIN)
        change = Change.make(block, "workers", int(args.n), FrontDoor().workers)
    announce([change], printer)


@command("history-list", "show how many messages of a session each model gets", AS_JSON)
def history_list(home: Home, args: Namespace, printer: Printer) -> None:
    """The ceiling, and what is left of it for each model."""
    content = JsonFile(home.plugins_file).read()
    ceiling = load_limits(home.plugins_file, content).history_max_ctx
    own = {
        key: load_entry(home.models_file, key, raw).max_context or ceiling
        for key, raw in entries_in(JsonFile(home.models_file).read(), home).items()
    }
    windows = {key: min(ceiling, window) for key, window in own.items()}
    if args.json:
        printer.json({"history_max_ctx": ceiling, "models": windows})
        return
    printer.line(f"history_max_ctx: {ceiling} messages{_mark(content, 'history_max_ctx')}")
    rows = [Row(f"  {key:22} {window}", (key, str(window))) for key, window in windows.items()]
    printer.table(("model", "messages"), rows)


@command("history-maxctx [<n>]", "show or set how many messages of a session any model gets at most", AS_JSON)
def history_maxctx(home: Home, args: Namespace, printer: Printer) -> None:
    """A model's own `max_context` may be less."""
    _show_or_set(home, "history_max_ctx", args.n, args.json, printer)


def _show(block: Mapping[str, Any], name: str, default: Any, as_json: bool, printer: Printer) -> None:
    value = block.get(name)
    value = default if value is None else value
    if as_json:
        printer.json({name: value})
    else:
        printer.line(f"{name}: {shown(value)}{_mark(block, name)}")


def _show_or_set(home: Home, name: str, given: str | None, as_json: bool, printer: Printer) -> None:
    """One key beside the plugins; it is shown as it stands there."""
    default = getattr(Settings(), name)
    if given is None:
        content = JsonFile(home.plugins_file).read()
        _show(content, name, default, as_json, printer)
        return
    with judged():
        value = getattr(load_limits(home.plugins_file, {name: given}, from_text=True), name)
    with JsonFile(home.plugins_file).update() as content:
        change = Change.make(content, name, value, default)
    announce([change], printer)


def _mark(block: Mapping[str, Any], name: str) -> str:
    return "" if block.get(name) is not None else "  (default)"
