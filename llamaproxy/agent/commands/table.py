"""The table of commands, and the one place that looks a command up and runs it."""

from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from msgspec import Struct

from ..session import Session
from ..turn import Turn
from .script import Invocation, Script

if TYPE_CHECKING:
    from ..agent import Agent


class UsageError(Exception):
    """The argument is not what the command takes; the message says why, the usage line is added to it."""


class Call(Struct, frozen=True, kw_only=True):
    """What a command gets: the agent, the caller's loaded session and turn, and its argument."""

    agent: "Agent"
    session: Session
    turn: Turn
    argument: str


class Command(Struct, frozen=True, kw_only=True):
    """One entry of the table.

    `waits` says that the command needs the session to itself and so takes its place in the queue; the others
    answer at once, also while a turn runs.
    """

    name: str
    usage: str
    summary: str
    run: Callable[[Call], Awaitable[str]]
    waits: bool = False

    @property
    def line(self) -> str:
        """How it is written: name and arguments."""
        return f"!{self.name} {self.usage}".rstrip()


TABLE: dict[str, Command] = {}


def command(
    name: str, usage: str = "", *, summary: str, waits: bool = False
) -> Callable[[Callable[[Call], Awaitable[str]]], Callable[[Call], Awaitable[str]]]:
    """Puts the decorated coroutine function into the table, which `!help` lists in the order of entry."""

    def register(run: Callable[[Call], Awaitable[str]]) -> Callable[[Call], Awaitable[str]]:
        entry = Command(name=name, usage=usage, summary=summary, run=run, waits=waits)
        TABLE[name.lower()] = entry
        return run

    return register


class Commands:
    """Runs commands on behalf of one agent."""

    def __init__(self, agent: "Agent") -> None:
        # The modules that fill the table use `Call` and `command` from here; their order is that of `!help`.
        from . import sessions, models, operator  # noqa: F401, I001

        self._agent = agent

    def can_run_now(self, script: Script) -> bool:
        """Whether the message is nothing but commands that need not wait for the turn that runs."""
        known = [TABLE.get(invocation.name) for invocation in script.commands]
        return bool(known) and not script.prompt and not any(entry and entry.waits for entry in known)

    async def run(self, invocations: Sequence[Invocation], session: Session, turn: Turn) -> str:
        """Runs them in order; fires with their answers, a line break between them. Never fails for a bad argument."""
        return "\n".join([await self._run(invocation, session, turn) for invocation in invocations])

    async def _run(self, invocation: Invocation, session: Session, turn: Turn) -> str:
        entry = TABLE.get(invocation.name)
        if entry is None:
            near = get_close_matches(invocation.name, TABLE, n=1)
            hint = f"Did you mean {TABLE[near[0]].line}?" if near else "!help lists all commands."
            return f"Unknown command !{invocation.name}. {hint}"
        try:
            return await entry.run(
                Call(agent=self._agent, session=session, turn=turn, argument=invocation.argument)
            )
        except UsageError as error:
            return f"{error}\nUsage: {entry.line}"
