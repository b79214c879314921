"""The table of commands, and what a command gets to work with."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from ...seams.errors import StoreUnavailable
from ...seams.interfaces import IPeers, IRecorder, ISessionStore, ITool
from ...seams.limits import Rate, Ruling, Subject
from ...seams.words import truth
from ..backends import Backends
from ..calls.delegation import Asker, Delegation
from ..calls.gates import Gates
from ..calls.runner import ToolRunner, Workbench
from ..calls.toolbox import Toolbox
from ..prompts import ModelPrompts
from ..sessions.branches import Branches
from ..sessions.claims import Claims
from ..sessions.eraser import Eraser
from ..sessions.limits import Limits
from ..sessions.runs import Runs
from ..sessions.session import Session, Sessions
from ..sessions.stored import for_sure, soon
from ..sessions.turn import Turn
from ..turns.conversation import Conversation

# The sections of `!help`, in their order.
Group = Literal["Chat", "Models", "Tools", "Gates", "Server"]

MOST_DIGITS = 16


class UsageError(Exception):
    """The argument is not what the command takes; the message says why, the usage line is added to it."""


class NotAllowed(Exception):
    """The caller has no right to do this; the message says who has."""


class Catalog(Protocol):
    """All commands, as `!help` tells of them."""

    def overview(self, owner: bool) -> str:
        """The whole list, with those for the `owner` or without."""

    def find(self, name: str) -> "Command | None":
        """The command of that name, in whatever case."""


class Call(Struct, frozen=True, kw_only=True):
    """What a command gets: the caller's loaded session and turn, its argument, and all that commands may use.

    `bench` has the toolbox, the limits and the operator's gates; `asker` asks models on behalf of others.
    `started_at` is in the clock's seconds.
    """

    session: Session
    turn: Turn
    argument: str
    catalog: Catalog
    installed: Backends
    prompts: ModelPrompts
    bench: Workbench
    delegation: Delegation
    asker: Asker
    conversation: Conversation
    sessions: Sessions
    eraser: Eraser
    claims: Claims
    branches: Branches
    peers: IPeers
    runs: Runs
    store: ISessionStore
    clock: IReactorTime
    started_at: float

    @property
    def backends(self) -> Backends:
        """The models that the caller may use."""
        return self.installed.open_to(self.turn.caller.grants)

    @property
    def toolbox(self) -> Toolbox:
        """The installed tools."""
        return self.bench.toolbox

    @property
    def limits(self) -> Limits:
        """The limits of the whole server."""
        return self.bench.limits

    @property
    def recorder(self) -> IRecorder:
        """What is noted of turns."""
        return self.bench.recorder

    def runner(self, tool: ITool) -> ToolRunner:
        """What runs that tool for the caller."""
        return ToolRunner(self.bench, self.session, self.turn, {tool.name: tool})

    @property
    def gates(self) -> Gates:
        """The session's gates."""
        return Gates(self.session.settings, self.bench.gate_defaults, self.turn.caller.grants.gates)

    def needs_all_rights(self) -> None:
        """Called before a command changes more than the caller's own conversation. Raises `NotAllowed`."""
        if self.turn.caller.rights != "all":
            raise NotAllowed("You may look at this, but not change it; ask the operator.")

    def needs_operator(self) -> None:
        """Called before a command reaches beyond the caller's own session. Raises `NotAllowed`."""
        if not self.turn.caller.owner:
            raise NotAllowed("You may look at this, but not change it for everybody; ask the operator.")

    async def rule(self, what: Subject, value: int | float | Rate, key: str = "") -> None:
        """Sets a limit for the whole server."""
        await self.peers.rule(Ruling(what, value, key))

    async def save(self, surely: bool = False) -> None:
        """Makes the session's settings outlive the process; `surely`, before anything else is done."""
        session = self.session
        saved = self.store.save_settings(session.session_id, session.model, session.settings)
        try:
            await (for_sure(saved) if surely else soon(saved, None))
        except StoreUnavailable:
            # What could not be kept does not hold either.
            session.loaded = False
            raise


Run = Callable[[Call], Awaitable[str]]


class Command(Struct, frozen=True, kw_only=True):
    """One entry of the table.

    `waits` says that the command needs the session to itself and so takes its place in the queue; the others
    answer at once, also while a turn runs. `owner` commands are for the operator only. `hidden` ones are other
    names of a command, which `!help` does not list. One of `one_line` takes no more of a message as its argument.
    """

    name: str
    usage: str
    summary: str
    run: Run
    group: Group
    waits: bool = False
    owner: bool = False
    hidden: bool = False
    one_line: bool = False

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
    one_line: bool = False,
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
                one_line=one_line,
            )
        return run

    return register


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
