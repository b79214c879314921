"""Runs one tool call: arguments, rate limit, gates, the tool itself; what comes of it is text for the model."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...seams.errors import ToolError
from ...seams.gates import GateMap, Need
from ...seams.interfaces import ITool
from ...seams.surrogates import joined
from ...seams.types import ToolCall, ToolContext, unseen
from ..deadline import Overdue, within
from ..sessions.limits import Limits
from ..sessions.session import Session
from ..sessions.turn import Turn
from .arguments import BadArguments
from .display import ToolDisplay
from .gates import Gates
from .toolbox import Toolbox

# Of a result at most this many bytes go to the model.
RESULT_LIMIT = 64 * 1024

REFUSED = (
    "This call was refused: the user has not allowed it ({needs}). Do not try it again, and do not try to get "
    "around it. Tell the user what you wanted to do and why, and offer alternatives: to allow it by sending "
    "{commands}, to give you the information themselves, or to go on without it."
)
UNFORESEEN = "The tool failed for a reason that nobody foresaw; the server's log has it."
DENIED = (
    "The user was asked and said no to this call. Do not try it again. Tell the user that it was not done, and "
    "offer to go on without it or to take the information from them."
)


class NeedsApproval(Exception):
    """The user has to be asked about the call first; `needs` are the gates in its way."""

    def __init__(self, needs: list[Need]) -> None:
        super().__init__(", ".join(need.what for need in needs))
        self.needs = needs


class Workbench(Struct, frozen=True, kw_only=True):
    """What all calls are run with. `gate_defaults` are the operator's, which lie under each session's own.

    `clock` counts for every limit; `wall` gives Unix seconds, for what is shown or stored.
    """

    toolbox: Toolbox
    limits: Limits
    gate_defaults: GateMap
    clock: IReactorTime
    wall: Callable[[], float]


class ToolRunner:
    """Runs the calls of one turn with the `tools` on offer; a result has at most `result_limit` bytes.

    `depth` counts the delegations above the turn.
    """

    log = Logger()

    def __init__(
        self,
        bench: Workbench,
        session: Session,
        turn: Turn,
        tools: Mapping[str, ITool],
        result_limit: int = RESULT_LIMIT,
        depth: int = 0,
    ) -> None:
        self._bench = bench
        self._session = session
        self._turn = turn
        self._tools = tools
        self._result_limit = result_limit
        self._depth = max(depth, turn.caller.depth)
        self.display = ToolDisplay(turn.reply, session.settings, bench.limits.display)

    async def run(self, call: ToolCall, approved: bool = False) -> str:
        """The result for the model. With `approved` no limit and no gate is in the way.

        Raises `BadArguments` if the call cannot be understood, `NeedsApproval` if the user is to be asked, and
        `CancelledError` when the turn is cancelled; nothing else.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            raise BadArguments(f"there is no tool '{call.name}'; there are: {', '.join(self._tools)}")
        arguments = self._bench.toolbox.arguments(tool, call.arguments)
        if not approved and (refusal := self._refusal(tool, arguments)):
            return refusal
        self.display.begins(tool.name, call.arguments)
        live = self.display.live()
        try:
            result = await self._result(tool, arguments, live.show)
        finally:
            live.end()
        self.display.returns(tool.name, result, live)
        return result

    async def run_ungated(self, tool: ITool, arguments: dict[str, Any]) -> str:
        """The result of a call that a person makes: no limit, no gate, no tags. Raises `BadArguments`."""
        return await self._result(tool, self._bench.toolbox.check(tool, arguments))

    def _refusal(self, tool: ITool, arguments: dict[str, Any]) -> str | None:
        """Why the call may not run, for the model; the user is told here."""
        limit = self._session.meter.refusal(tool.category, self._bench.limits.rates)
        if limit is not None:
            self._turn.reply.say(f"[{tool.name} was not called: {limit}]\n\n")
            return f"The call was not made. {limit}"
        if self._turn.gates_open:
            return None
        try:
            access = tool.access(arguments)
        except Exception:
            self.log.failure("the tool {name} cannot say what a call would touch", name=tool.name)
            return UNFORESEEN
        closed = Gates(self._session.settings, self._bench.gate_defaults).closed(tool, access)
        if not closed:
            return None
        may_open = self._turn.caller.rights == "all"
        if may_open and self._bench.limits.gate_mode == "ask":
            raise NeedsApproval(closed)
        commands = " and ".join(need.command for need in closed)
        needs = ", ".join(need.what for need in closed)
        how = "To allow it" if may_open else "The operator can allow it"
        self._turn.reply.say(f"[{tool.name} was refused. {how}: {commands}]\n\n")
        return REFUSED.format(needs=needs, commands=commands)

    async def _result(
        self, tool: ITool, arguments: dict[str, Any], show: Callable[[str, str], None] = unseen
    ) -> str:
        context = ToolContext(
            session_id=self._session.session_id,
            address=self._turn.caller.address,
            reactor=self._bench.clock,
            depth=self._depth,
            show=show,
        )
        try:
            work: Deferred[object] = maybeDeferred(tool.run, arguments, context)
            result = await within(work, tool.timeout, self._bench.clock)
        except ToolError as error:
            return self._bounded(f"The tool failed: {error}")
        except Overdue:
            return f"The tool did not answer within {tool.timeout:g} seconds and was ended."
        except CancelledError:
            if self._turn.cancelled:
                raise
            return "The tool was cancelled before it had a result."
        except Exception as error:
            self.log.failure("the tool {name} failed", name=tool.name)
            return _reason(error)
        if not isinstance(result, str):
            self.log.error(
                "the tool {name} gave {result} instead of text", name=tool.name, result=type(result)
            )
            return UNFORESEEN
        return self._bounded(result) or "[no output]"

    def _bounded(self, text: str) -> str:
        """What the model gets of a result, with a mark where it was cut."""
        limit = self._result_limit
        # A character has at least a byte: what lies beyond cannot count.
        head = text[: limit + 1].encode("utf-8", "replace")
        if len(head) <= limit:
            return joined(text)
        kept = head[:limit].decode("utf-8", "ignore")
        return f"{kept}\n[cut here: these are the first {len(kept)} of {len(text)} characters]"


def _reason(error: Exception) -> str:
    """Why a tool failed that did not say so itself; nothing of this machine's paths is told."""
    match error:
        case TimeoutError():
            return "The tool failed: something that it needs did not answer in time."
        case OSError() if error.strerror:
            return f"The tool failed: {error.strerror}."
        case ConnectError() | ConnectionClosed() | DNSLookupError():
            return f"The tool failed: {error}"
        case UnicodeError():
            return "The tool failed: it met text in a charset that it did not expect."
        case ImportError() if error.name:
            return f"The tool failed: the Python package {error.name} is not installed."
        case _:
            return UNFORESEEN
