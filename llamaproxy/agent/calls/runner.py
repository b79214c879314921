"""Runs one tool call: arguments, the gatekeeper, the tool itself; what comes of it is text for the model."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...seams.errors import AsksUser, GateClosed, ToolError
from ...seams.gates import QUESTION, GateMap, Leave, Need
from ...seams.interfaces import IRecorder, ITool
from ...seams.records import LONGEST_NAME, ToolUse
from ...seams.surrogates import joined
from ...seams.telling import about
from ...seams.types import ToolAnswer, ToolCall, ToolContext, unseen
from ...seams.unrecorded import Unrecorded
from ..deadline import Overdue, within
from ..sessions.limits import Limits
from ..sessions.session import Session
from ..sessions.turn import Turn
from .arguments import BadArguments
from .display import ToolDisplay
from .gatekeeper import UNFORESEEN, Gatekeeper, NeedsApproval, Refused, Way
from .toolbox import Toolbox

# Of a result at most this many bytes go to the model.
RESULT_LIMIT = 64 * 1024

DENIED = (
    "The user was asked and said no to this call. Do not try it again. Tell the user that it was not done, and "
    "offer to go on without it or to take the information from them."
)


class Workbench(Struct, frozen=True, kw_only=True):
    """What all calls are run with. `gate_defaults` are the operator's, which lie under each session's own.

    `clock` counts for every limit; `wall` gives Unix seconds, for what is shown or stored. `recorder` keeps what is
    noted of turns.
    """

    toolbox: Toolbox
    limits: Limits
    gate_defaults: GateMap
    clock: IReactorTime
    wall: Callable[[], float]
    recorder: IRecorder = Unrecorded()


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
        self._gatekeeper = Gatekeeper(session, turn, bench.limits, bench.gate_defaults)
        self.display = ToolDisplay(turn.reply, session.settings, bench.limits.display)

    async def run(self, call: ToolCall, approved: bool = False) -> ToolAnswer:
        """What the model gets; `approved` calls are those that the user was asked about and allowed.

        Raises `BadArguments` if the call cannot be understood, `NeedsApproval` if the user is to be asked, and
        `CancelledError` when the turn is cancelled; nothing else.
        """
        # Another name may be anything that the model wrote.
        name = call.name if call.name in self._tools else "(unknown)"
        use = ToolUse(name=name[:LONGEST_NAME], at=self._turn.since_start())
        self._turn.record.use(use)
        try:
            return await self._run(call, approved, use)
        except BadArguments:
            use.verdict = "wrong"
            raise
        except NeedsApproval:
            use.verdict = "asked"
            raise
        finally:
            use.seconds = self._turn.since_start() - use.at

    async def _run(self, call: ToolCall, approved: bool, use: ToolUse) -> ToolAnswer:
        tool = self._tools.get(call.name)
        if tool is None:
            raise BadArguments(
                f"there is no tool '{call.name[:LONGEST_NAME]}'; there are: {', '.join(self._tools)}"
            )
        arguments = self._bench.toolbox.arguments(tool, call.arguments)
        way = Way.APPROVED if approved else Way.MODEL
        try:
            leave = self._gatekeeper.admit(tool, arguments, way)
            self.display.begins(tool.name, call.arguments)
            live = self.display.live()
            try:
                result = await self._result(tool, arguments, way, leave, live.show, use)
            finally:
                live.end()
        except Refused as refusal:
            use.verdict = "refused"
            if refusal.told:
                self._turn.reply.say(refusal.told)
            return ToolAnswer(str(refusal))
        self.display.returns(tool.name, result.text, live)
        return result

    async def run_for_person(self, tool: ITool, arguments: dict[str, Any], way: Way) -> str:
        """The result of a call that a person makes, without tags. Raises `BadArguments` and `Refused`."""
        checked = self._bench.toolbox.check(tool, arguments)
        leave = self._gatekeeper.admit(tool, checked, way)
        use = ToolUse(name=tool.name[:LONGEST_NAME], at=self._turn.since_start())
        self._turn.record.use(use)
        try:
            return (await self._result(tool, checked, way, leave, unseen, use)).text
        finally:
            use.seconds = self._turn.since_start() - use.at

    async def _result(
        self,
        tool: ITool,
        arguments: dict[str, Any],
        way: Way,
        leave: Leave | None,
        show: Callable[[str, str], None],
        use: ToolUse,
    ) -> ToolAnswer:
        context = ToolContext(
            session_id=self._session.session_id,
            address=self._turn.caller.address,
            reactor=self._bench.clock,
            depth=self._depth,
            show=show,
            leave=leave,
            asks=self._gatekeeper.may_ask(way),
            answer=self._turn.answer if way is Way.APPROVED else None,
            span=use.span or self._turn.record.cause,
        )
        try:
            work: Deferred[object] = maybeDeferred(tool.run, arguments, context)
            result = await within(work, tool.timeout, self._bench.clock)
        except GateClosed as closed:
            self._gatekeeper.turn_away(tool, closed.need, way)
        except AsksUser as question:
            if context.asks:
                self._gatekeeper.turn_away(tool, Need(QUESTION, str(question), "write"), way)
            return ToolAnswer(
                self._bounded(f"The tool asks something, and there is nobody to answer: {question}")
            )
        except ToolError as error:
            use.verdict = "failed"
            return ToolAnswer(self._bounded(f"The tool failed: {error}"))
        except Overdue:
            use.verdict = "late"
            return ToolAnswer(f"The tool did not answer within {tool.timeout:g} seconds and was ended.")
        except CancelledError:
            if self._turn.cancelled:
                raise
            return ToolAnswer("The tool was cancelled before it had a result.")
        except Exception as error:
            self.log.failure("{turn}the tool {name} failed", turn=self._about, name=tool.name)
            use.verdict = "failed"
            return ToolAnswer(_reason(error))
        if isinstance(result, ToolAnswer):
            return replace(result, text=self._bounded(result.text))
        if not isinstance(result, str):
            self.log.error(
                "{turn}the tool {name} gave {result} instead of text",
                turn=self._about,
                name=tool.name,
                result=type(result),
            )
            return ToolAnswer(UNFORESEEN)
        return ToolAnswer(self._bounded(result) or "[no output]")

    @property
    def _about(self) -> str:
        return about(self._turn.record.request_id)

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
