"""Commands that open and close gates for the session, and show how they stand."""

from collections.abc import Iterable, Sequence

from ...seams.gates import (
    ALL,
    DATABASE_CATEGORY,
    DB,
    KNOWN_GROUPS,
    META,
    READ_ONLY_GROUPS,
    SIDES,
    SYSTEM_PROMPT,
    TOOLS,
    Kind,
    Side,
)
from ...seams.words import truth
from ..calls.gates import sides_of
from .table import Call, UsageError, command, required_truth

# Categories with commands of their own, and the one whose tools never ask.
RULED_ELSEWHERE = frozenset({DATABASE_CATEGORY, SYSTEM_PROMPT, "system"})


@command(
    "autogate",
    "status | <read|write> <bool> | <group or tool> [read|write] [<bool>]",
    summary="what tools may do without asking; true allows",
    group="Gates",
)
async def autogate(call: Call) -> str:
    """Shows or sets the gates of tools and their groups."""
    match call.argument.lower().split():
        case [] | ["status"]:
            return _status(call, TOOLS, _tools(call))
        case [side, word] if side in SIDES:
            return await _set(call, TOOLS, [ALL], (side,), required_truth(word))
        case [name]:
            return _status(call, TOOLS, [name])
        case [name, word] if truth(word) is not None:
            return await _set(call, TOOLS, [name], _sides(call, name), required_truth(word))
        case [name, side, word] if side in SIDES:
            if side not in (sides := _sides(call, name)):
                only = " or ".join(sides)
                raise UsageError(f"'{name}' can only {only}, so it has no sides: !autogate {name} {word}")
            return await _set(call, TOOLS, [name], (side,), required_truth(word))
    raise UsageError(f"'{call.argument}' is not something that !autogate does.")


@command(
    "autoAIdb",
    "status | <read|write> <bool> | <table> [read|write] <bool>",
    summary="what may be done to database tables without asking",
    group="Gates",
)
async def auto_ai_db(call: Call) -> str:
    """Shows or sets the gates of database tables."""
    match call.argument.split():
        case [] | ["status"]:
            return _status(call, DB, [ALL, META, *call.gates.names(DB)])
        case [table]:
            return _status(call, DB, [table])
        case [word, value] if (side := _side(word)) is not None:
            return await _set(call, DB, [ALL, META], (side,), required_truth(value))
        case [table, value]:
            return await _set(call, DB, [table], SIDES, required_truth(value))
        case [table, word, value] if (side := _side(word)) is not None:
            return await _set(call, DB, [table], (side,), required_truth(value))
    raise UsageError(f"'{call.argument}' is not something that !autoAIdb does.")


@command(
    "autoAISysPrompt",
    "[read|write] [<bool>]",
    summary="whether tools may read or change the system prompt",
    group="Gates",
)
async def auto_ai_sys_prompt(call: Call) -> str:
    """Shows or sets the gates of the system prompt's tools; a bare boolean means `write`."""
    match call.argument.lower().split():
        case [] | ["status"] | ["read"] | ["write"]:
            return _status(call, TOOLS, [SYSTEM_PROMPT])
        case [word]:
            return await _set(call, TOOLS, [SYSTEM_PROMPT], ("write",), required_truth(word))
        case [word, value] if (side := _side(word)) is not None:
            return await _set(call, TOOLS, [SYSTEM_PROMPT], (side,), required_truth(value))
    raise UsageError(f"'{call.argument}' is not something that !autoAISysPrompt does.")


async def _set(call: Call, kind: Kind, names: Sequence[str], sides: Sequence[Side], allowed: bool) -> str:
    call.needs_all_rights()
    for name in names:
        call.gates.set(kind, name, sides, allowed)
    await call.save()
    return _status(call, kind, names)


def _status(call: Call, kind: Kind, names: Iterable[str]) -> str:
    return "\n".join(_line(call, kind, name) for name in dict.fromkeys(each.lower() for each in names))


def _line(call: Call, kind: Kind, name: str) -> str:
    """One gate: `search: read allowed`, `users: read allowed, write asks`."""
    group = _group(call, name) if kind == TOOLS else ""
    states = (
        f"{side} {'allowed' if call.gates.allows(kind, name, side, group) else 'asks'}"
        for side in (_sides(call, name) if kind == TOOLS else SIDES)
    )
    shown = {ALL: "all others", META: "no table"}.get(name, name)
    return f"{shown}: {', '.join(states)}{_doubt(call, kind, name)}"


def _doubt(call: Call, kind: Kind, name: str) -> str:
    """A word about what may be a slip of the finger, or a tool that is yet to come."""
    toolbox = call.toolbox
    if kind == DB or name in (ALL, SYSTEM_PROMPT, *KNOWN_GROUPS) or toolbox.get(name):
        return ""
    known = any(tool.category.lower() == name for tool in toolbox)
    return "" if known else " (no tool has this name now)"


def _tools(call: Call) -> list[str]:
    """What `status` shows: groups and tools that `!autogate` rules, and what has been set by name."""
    tools = [tool for tool in call.toolbox if tool.category not in RULED_ELSEWHERE]
    groups = [tool.category for tool in tools]
    return [ALL, *KNOWN_GROUPS, *groups, *(tool.name for tool in tools), *call.gates.names(TOOLS)]


def _group(call: Call, name: str) -> str:
    tool = call.toolbox.get(name)
    return tool.category if tool else ""


def _sides(call: Call, name: str) -> Sequence[Side]:
    """Those that a tool has, or any tool of a group."""
    meant = [tool for tool in call.toolbox if name in (tool.name.lower(), tool.category.lower())]
    if meant:
        sides = {side for tool in meant for side in sides_of(tool)}
        return [side for side in SIDES if side in sides]
    return ("read",) if name in READ_ONLY_GROUPS else SIDES


def _side(word: str) -> Side | None:
    return next((side for side in SIDES if side == word.lower()), None)
