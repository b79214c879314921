"""The gatekeeper: decides of each call of a tool, on whatever way it comes, whether it may run.

Nothing else runs a tool, and nothing runs one without asking here. What a way asks for:

Before all else the tool, and a model that it asks, has to be one of those in the caller's profile.

| way | whose leave | rate limit | gates |
|---|---|---|---|
| `MODEL`: a model called it, natively or in words | nobody's | yes | yes, unless the operator opened all for the turn |
| `APPROVED`: the same, and the user was asked | that of a caller with all rights | before | the user opened some |
| `COMMAND`: a person's own command for that tool | the same, or of the operator for `OPERATORS` | no | no |
| `LENT`: a person's command, for a model to read | the same | yes | yes |
"""

from enum import Enum
from typing import Any, NoReturn, Protocol, runtime_checkable

from twisted.logger import Logger

from ...seams.gates import DATABASE_CATEGORY, QUESTION, GateMap, Leave, Need
from ...seams.interfaces import ITool
from ...seams.telling import about
from ...seams.types import Access
from ..sessions.limits import Limits
from ..sessions.session import Session
from ..sessions.turn import Turn
from .gates import Gates, SessionLeave

# The categories of tools whose commands are for the operator only.
OPERATORS = frozenset({DATABASE_CATEGORY})

REFUSED = (
    "This call was refused: the user has not allowed it ({needs}). Do not try it again, and do not try to get "
    "around it. Tell the user what you wanted to do and why, and offer alternatives: to allow it by sending "
    "{commands}, to give you the information themselves, or to go on without it."
)
UNFORESEEN = "The tool failed for a reason that nobody foresaw; the server's log has it."


class Way(Enum):
    """How a call came here; see above."""

    MODEL = "model"
    APPROVED = "approved"
    COMMAND = "command"
    LENT = "lent"


@runtime_checkable
class AsksModel(Protocol):
    """A tool that asks a model, or an agent."""

    def model_asked(self, arguments: dict[str, Any]) -> str:
        """The key of the one that a call asks."""


class NeedsApproval(Exception):
    """The user has to be asked about the call first; `needs` are the gates in its way."""

    def __init__(self, needs: list[Need]) -> None:
        super().__init__(", ".join(need.what for need in needs))
        self.needs = needs


class Refused(Exception):
    """The call may not run; says so to whoever made it, `told` to the user besides."""

    def __init__(self, reason: str, told: str = "") -> None:
        super().__init__(reason)
        self.told = told


class Gatekeeper:
    """Stands before the tools of one turn."""

    log = Logger()

    def __init__(self, session: Session, turn: Turn, limits: Limits, defaults: GateMap) -> None:
        self._session = session
        self._turn = turn
        self._limits = limits
        self._gates = Gates(session.settings, defaults, turn.caller.grants.gates)

    def admit(self, tool: ITool, arguments: dict[str, Any], way: Way) -> Leave | None:
        """Returns if the call may run, with what it may touch of a database; None is anything.

        Raises `Refused`, or `NeedsApproval` for a model's call.
        """
        self._judge_profile(tool, arguments)
        if way is not Way.MODEL:
            self._judge_person(tool, way)
        if way in (Way.MODEL, Way.LENT):
            self._judge_rate(tool)
        if way is Way.COMMAND or (way is Way.MODEL and self._turn.gates_open):
            return None
        access = self._access(tool, arguments)
        # A yes is for what was asked about: the tool may have become another since.
        given = self._turn.leave if way is Way.APPROVED else ()
        if closed := [need for need in self._gates.closed(tool, access) if need not in given]:
            self._turn_away(tool, closed, way)
        if tool.category != DATABASE_CATEGORY:
            return None
        # What nobody could judge was allowed as a whole.
        if self._gates.knows_doubt(access.doubt) or any(
            need.doubt and need.doubt == access.doubt for need in given
        ):
            return None
        return SessionLeave(self._gates, access.schema, given)

    def turn_away(self, tool: ITool, need: Need, way: Way) -> NoReturn:
        """Refuses a call that has turned out to need one more gate, or has the user asked, as `admit` does.

        What was allowed for this call stays allowed when it goes on; a question is answered once.
        """
        given = [each for each in self._turn.leave if way is Way.APPROVED and each.kind != QUESTION]
        self._turn_away(tool, [*given, need], way)

    def may_ask(self, way: Way) -> bool:
        """Whether the user can be asked something about a call, and answer later."""
        is_models = way in (Way.MODEL, Way.APPROVED)
        return is_models and self._limits.gate_mode == "ask" and self._turn.caller.rights == "all"

    def _judge_profile(self, tool: ITool, arguments: dict[str, Any]) -> None:
        """Whatever the way, a caller has only the tools and the models that their profile opens to them."""
        grants = self._turn.caller.grants
        if not grants.allows_tool(tool.name, tool.category):
            raise Refused(f"{tool.name} is none of the tools that you may use here.")
        asked = tool.model_asked(arguments) if isinstance(tool, AsksModel) else None
        if asked is not None and not grants.allows_model(asked):
            raise Refused(f"'{asked}' is none of the models that you may use here.")

    def _judge_person(self, tool: ITool, way: Way) -> None:
        caller = self._turn.caller
        if caller.rights != "all":
            raise Refused("You may look at this, but not change it; ask the operator.")
        if way is not Way.APPROVED and tool.category in OPERATORS and not caller.owner:
            raise Refused(f"{tool.name} is for the operator only.")

    def _judge_rate(self, tool: ITool) -> None:
        limit = self._session.meter.refusal(tool.category, self._limits.rates)
        if limit is not None:
            raise Refused(f"The call was not made. {limit}", f"[{tool.name} was not called: {limit}]\n\n")

    def _access(self, tool: ITool, arguments: dict[str, Any]) -> Access:
        """What the call would touch."""
        try:
            return tool.access(arguments)
        except Exception:
            self.log.failure(
                "{turn}the tool {name} cannot say what a call would touch",
                turn=about(self._turn.record.request_id),
                name=tool.name,
            )
            raise Refused(UNFORESEEN) from None

    def _turn_away(self, tool: ITool, closed: list[Need], way: Way) -> NoReturn:
        may_open = self._turn.caller.rights == "all"
        commands = " and ".join(need.command for need in closed)
        if way is Way.LENT:
            raise Refused(f"{tool.name} was not run: its gate is closed. To open it: {commands}")
        if may_open and self._limits.gate_mode == "ask":
            raise NeedsApproval(closed)
        needs = ", ".join(need.what for need in closed)
        how = "To allow it" if may_open else "The operator can allow it"
        raise Refused(
            REFUSED.format(needs=needs, commands=commands),
            f"[{tool.name} was refused. {how}: {commands}]\n\n",
        )
