"""The table of commands, and the one place that looks a command up and runs it."""

from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from ...seams.words import truth
from ..calls.gates import Gates
from ..sessions.rates import Rate
from ..sessions.rulings import Ruling, Subject
from ..sessions.session import Session
from ..sessions.turn import Turn
from .script import Invocation, Script, read

if TYPE_CHECKING:
    from ..agent import Agent

# The sections of `!help`, in their order.
Group = Literal["Chat", "Models", "Tools", "Gates", "Server"]

# Characters; the nearest command to something longer is not looked for.
LONGEST_NAME = 64
MOST_DIGITS = 16


class UsageError(Exception):
    """The argument is not what the command takes; the message says why, the usage line is added to it."""


class NotAllowed(Exception):
    """The caller has no right to do this; the message says who has."""


class Call(Struct, frozen=True, kw_only=True):
    """What a command gets: the agent, the caller's loaded session and turn, and its argument."""

    agent: "Agent"
    session: Session
    turn: Turn
    argument: str

    @property
    def gates(self) -> Gates:
        """The session's gates."""
        return Gates(self.session.settings, self.agent.gate_defaults)

    def needs_all_rights(self) -> None:
        """Called before a command changes more than the caller's own conversation. Raises `NotAllowed`."""
        if self.turn.caller.rights != "all":
            raise NotAllowed("You may look at this, but not change it; ask the operator.")

    async def rule(self, what: Subject, value: int | float | Rate, key: str = "") -> None:
        """Sets a limit for the whole server."""
        await self.agent.peers.rule(Ruling(what, value, key))

    async def save(self) -> None:
        """Makes the session's settings outlive the process."""
        session = self.session
        await self.agent.store.save_settings(session.session_id, session.model, session.settings)


Run = Callable[[Call], Awaitable[str]]


class Command(Struct, frozen=True, kw_only=True):
    """One entry of the table.

    `waits` says that the command needs the session to itself and so takes its place in the queue; the others
    answer at once, also while a turn runs. `owner` commands are for the operator only. `hidden` ones are other
    names of a command, which `!help` does not list.
    """

    name: str
    usage: str
    summary: str
    run: Run
    group: Group
    waits: bool = False
    owner: bool = False
    hidden: bool = False

    @property
    def line(self) -> str:
        """How it is written: name and arguments."""
        return f"!{self.name} {self.usage}".rstrip()


TABLE: dict[str, Command] = {}


def command(
    name: str,
    usage: str = "",
    *,
    summary: str,
    group: Group = "Server",
    waits: bool = False,
    owner: bool = False,
    aliases: Sequence[str] = (),
) -> Callable[[Run], Run]:
    """Puts the decorated coroutine function into the table, which `!help` lists in the order of entry."""

    def register(run: Run) -> Run:
        for each in (name, *aliases):
            TABLE[each.lower()] = Command(
                name=each,
                usage=usage,
                summary=summary,
                run=run,
                group=group,
                waits=waits,
                owner=owner,
                hidden=each != name,
            )
        return run

    return register


class Commands:
    """Runs commands on behalf of one agent: those of the table, and those that its tools bring along."""

    def __init__(self, agent: "Agent") -> None:
        # The modules that fill the table use `Call` and `command` from here; their order is that of `!help`.
        from . import sessions, models, delegation, prompts, gates, approvals, display, limits, operator  # noqa: F401, I001

        self._agent = agent
        # Made anew once the tools have changed, as they had so often when these were made.
        self._changes = -1
        self._entries: dict[str, Command] = {}
        self._overviews: dict[bool, str] = {}

    def overview(self, owner: bool) -> str:
        """All commands by group, those for the `owner` as well or not, and the model's tools."""
        entries = self._all()
        if owner not in self._overviews:
            names: dict[str, list[str]] = {}
            for entry in entries.values():
                if not entry.hidden and (owner or not entry.owner):
                    names.setdefault(entry.group, []).append(f"!{entry.name}")
            tools = ", ".join(tool.name for tool in self._agent.toolbox)
            lines = [f"{group}: {' '.join(each)}" for group, each in names.items()]
            lines += [f"The model's tools: {tools}"] if tools else []
            lines += ["@<key> <text> asks another model once.", "!help <command> explains one."]
            self._overviews[owner] = "\n".join(lines)
        return self._overviews[owner]

    def find(self, name: str) -> Command | None:
        """The command of that name, in whatever case."""
        return self._all().get(name.lower())

    def read(self, text: str) -> Script:
        """Takes a message apart; what stands in the lines after a command without arguments is a prompt, too."""
        script = read(text)
        if len(script.commands) != 1:
            return script
        head, _, rest = text.strip().partition("\n")
        entry = self.find(head.strip()[1:])
        if entry is None or entry.usage or not rest:
            return script
        return replace(read(rest), commands=(Invocation(entry.name.lower(), ""),))

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
                f"!{entry.name} is for the operator only: from the server's own machine, or with an API key "
                "that has all rights."
            )
        try:
            return await entry.run(
                Call(agent=self._agent, session=session, turn=turn, argument=invocation.argument)
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
        toolbox = self._agent.toolbox
        if self._changes != toolbox.changes:
            from .direct import tool_commands

            self._changes, self._entries = toolbox.changes, TABLE | tool_commands(toolbox)
            self._overviews = {}
        return self._entries


def whole_number(word: str, least: int, most: int) -> int:
    """The number that a word means, which must be within the bounds. Raises `UsageError`."""
    number = int(word) if word.isdecimal() and len(word) <= MOST_DIGITS else None
    if number is None or not least <= number <= most:
        raise UsageError(f"A whole number from {least} to {most} is needed.")
    return number


def required_truth(word: str) -> bool:
    """What a boolean word means. Raises `UsageError`."""
    value = truth(word)
    if value is None:
        raise UsageError(f"'{word}' is neither true nor false.")
    return value
