"""Subcommands about gates: what tools may do without asking in every session that has not set it otherwise."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from ..config import GateDefaults, Home, JsonFile, load_gates
from ..config.checks import as_struct, section
from ..config.home import create
from ..seams.gates import (
    ALL,
    DATABASE_CATEGORY,
    DB,
    KNOWN_GROUPS,
    META,
    READ_ONLY_GROUPS,
    SIDES,
    SYSTEM_PROMPT,
    TOOLS,
)
from ..seams.limits import DEFAULT_RATES
from ..tools.manifest import BUILT_IN
from .changes import Change, announce
from .command import AS_JSON, UsageError, command, required_truth
from .printer import Printer

_GLOSSES = {ALL: "* (all others)", META: f"{META} (no table)"}
# Our own tools and groups; the agent's own tools are groups of their own, each with a limit.
_KNOWN = frozenset({ALL, SYSTEM_PROMPT, *KNOWN_GROUPS, *BUILT_IN, *DEFAULT_RATES})


@command("gate-list", "show what tools may do without asking", AS_JSON)
def gate_list(home: Home, args: Namespace, printer: Printer) -> None:
    """What is set, by table and by tool; the rest asks."""
    gates = load_gates(home)
    if args.json:
        printer.json(gates)
        return
    for title, sides_by_name in (("database tables", gates.db), ("tools and groups", gates.tools)):
        if sides_by_name:
            printer.line(title)
        for name, sides in sides_by_name.items():
            printer.line(f"  {_GLOSSES.get(name, name):24} {_in_words(sides)}")
    printer.line("What is not set asks first.")


@command(
    "gate-set [db] <name> <op> <bool>",
    "whether a tool or group, or after db a table, may read or write without asking; * is all others",
    aliases=("llm-allow",),
)
def gate_set(home: Home, args: Namespace, printer: Printer) -> None:
    """Sets one side, the other one stays; true allows."""
    kind, name, side, allowed = (
        DB if args.db else TOOLS,
        args.name.lower(),
        args.op.lower(),
        required_truth(args.bool),
    )
    if side not in SIDES:
        raise UsageError(f"{args.op} is neither read nor write")
    if kind == TOOLS and name == DATABASE_CATEGORY:
        raise UsageError("the database is opened table by table: gate-set db <table> ...")
    if kind == TOOLS and name in READ_ONLY_GROUPS and side != "read":
        raise UsageError(f"the tools of {name} can only read")
    file = JsonFile(home.gate_defaults_file)
    create(file.path, {})
    with file.update() as content:
        as_struct(GateDefaults, content, file.path, "")
        names = section(content, file.path, kind)
        # The server takes names in any case, and so a name must not come to stand there twice.
        written = next((each for each in names if each.lower() == name), name)
        sides = section(content, file.path, kind, written)
        change = Change.make(sides, side, allowed, None, f"{args.db or ''} {name} {side}".strip())
    announce([change], printer)
    if kind == TOOLS and name not in _KNOWN:
        printer.note(f"No tool that comes with us is called {name}; one of a plugin or an MCP server may be")


@command("gate-reset", "let every tool ask again")
def gate_reset(home: Home, args: Namespace, printer: Printer) -> None:
    """Forgets what was set, of tables and of tools."""
    file = JsonFile(home.gate_defaults_file)
    if load_gates(home) == GateDefaults():
        printer.note("No gate is set; nothing to do")
        return
    with file.update() as content:
        content.update({DB: {}, TOOLS: {}})
    printer.done("every tool asks first")
    printer.restart()


def _in_words(sides: Mapping[Any, bool]) -> str:
    return ", ".join(f"{side} {'allowed' if allowed else 'asks'}" for side, allowed in sides.items())
