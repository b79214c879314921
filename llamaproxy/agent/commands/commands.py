"""Looks commands up and runs them; the one place that does."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import get_args

from ..calls.toolbox import Toolbox
from ..sessions.session import Session
from ..sessions.turn import Turn

# Each fills the table.
from . import (
    approvals,
    branches,
    delegation,
    display,
    gates,
    jobs,
    limits,
    models,
    operator,
    prompts,
    sessions,
    trace,
)
from .direct import tool_commands
from .script import Invocation, Script, read
from .table import TABLE, Call, Command, Group, NotAllowed, UsageError

# The order of `!help`, inside its groups.
_ORDER = [
    module.__name__
    for module in (
        *(sessions, branches, jobs, trace, models, delegation, prompts, gates, approvals, display, limits),
        operator,
    )
]

# Characters; the nearest command to something longer is not looked for.
LONGEST_NAME = 64


class Commands:
    """Runs commands: those of the table, and those that tools bring along; `call` makes what a command gets."""

    def __init__(self, toolbox: Toolbox, call: Callable[..., Call]) -> None:
        self._toolbox = toolbox
        self._call = call
        # Made anew once the tools have changed, as they had so often when these were made.
        self._changes = -1
        self._entries: dict[str, Command] = {}
        self._overviews: dict[bool, str] = {}

    def overview(self, owner: bool) -> str:
        """All commands by group, those for the `owner` as well or not, and the model's tools."""
        entries = self._all()
        if owner not in self._overviews:
            names: dict[str, list[str]] = {group: [] for group in get_args(Group)}
            for entry in entries.values():
                if not entry.hidden and (owner or not entry.owner):
                    names.setdefault(entry.group, []).append(f"!{entry.name}")
            tools = ", ".join(tool.name for tool in self._toolbox)
            lines = [f"{group}: {' '.join(each)}" for group, each in names.items() if each]
            lines += [f"The model's tools: {tools}"] if tools else []
            lines += ["@<key> <text> asks another model once.", "!help <command> explains one."]
            self._overviews[owner] = "\n".join(lines)
        return self._overviews[owner]

    def find(self, name: str) -> Command | None:
        """The command of that name, in whatever case."""
        entries = self._entries if self._changes == self._toolbox.changes else self._all()
        return entries.get(name.lower())

    def read(self, text: str) -> Script:
        """Takes a message of a person apart. Raises `TooManyCommands`."""
        return read(text, self._takes_argument)

    def _takes_argument(self, name: str) -> bool | None:
        entry = self.find(name)
        return None if entry is None else bool(entry.usage) and not entry.one_line

    def split(self, invocations: Sequence[Invocation]) -> tuple[Sequence[Invocation], Sequence[Invocation]]:
        """Those that need not wait for the turn that runs, up to the first that does, and the others."""
        for index, invocation in enumerate(invocations):
            entry = self.find(invocation.name)
            if entry is not None and entry.waits:
                return invocations[:index], invocations[index:]
        return invocations, ()

    async def run(self, invocations: Sequence[Invocation], session: Session, turn: Turn) -> str:
        """Runs them in order; fires with their answers, a line break between them. Never fails for a bad argument."""
        return "\n".join([await self._run(invocation, session, turn) for invocation in invocations])

    async def _run(self, invocation: Invocation, session: Session, turn: Turn) -> str:
        if turn.caller.rights == "none":
            return "Commands are turned off here."
        entry = self.find(invocation.name)
        if entry is None:
            return self._unknown(invocation.name)
        if entry.owner and not turn.caller.owner:
            return (
                f"!{entry.name} is for the operator only: who asks from the server's own machine, through no "
                "proxy, or shows the operator's key (agentctl operator-key)."
            )
        try:
            return await entry.run(
                self._call(session=session, turn=turn, argument=invocation.argument, catalog=self)
            )
        except UsageError as error:
            return f"{error}\nUsage: {entry.line}"
        except NotAllowed as refusal:
            return str(refusal)

    def _unknown(self, name: str) -> str:
        entries = self._all()
        if len(name) > LONGEST_NAME:
            name, near = f"{name[:LONGEST_NAME]}...", []
        else:
            near = get_close_matches(name, entries, n=1)
        hint = f"Did you mean {entries[near[0]].line}?" if near else "!help lists all commands."
        return f"Unknown command !{name}. {hint}"

    def _all(self) -> dict[str, Command]:
        toolbox = self._toolbox
        if self._changes != toolbox.changes:
            self._changes, self._entries = toolbox.changes, _in_order(TABLE) | tool_commands(toolbox)
            self._overviews = {}
        return self._entries


def _in_order(table: dict[str, Command]) -> dict[str, Command]:
    """The table by the modules of its commands, and not as they happened to be imported."""
    return dict(sorted(table.items(), key=lambda entry: _ORDER.index(entry[1].run.__module__)))
