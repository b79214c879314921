"""The `agent_call` tool: a model gives a task to another agent, which keeps a conversation of its own about it."""

from functools import partial
from secrets import token_hex
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...seams.errors import ToolError
from ...seams.interfaces import ITool
from ...seams.names import SWARM, swarm_id
from ...seams.types import Access, ToolContext
from ..sessions.limits import Limits
from .delegation import LONGEST_CALL, Asker

DEPTH = "max_agent_call_depth"


@implementer(ITool)
class AgentCall:
    """Asks an agent of the operator's registry; offered while there is one that may be asked.

    An agent hears all calls of a session as one conversation. One that is called while it still answers the same
    session is asked in a conversation apart, which it forgets afterwards.
    """

    name = category = "agent_call"
    timeout = LONGEST_CALL
    sides = ("write",)

    def __init__(self, asker: Asker, limits: Limits) -> None:
        self._asker = asker
        self._limits = limits
        self._under_way: set[str] = set()

    @property
    def keys(self) -> list[str]:
        """The agents that may be asked."""
        return self._asker.askable(agents=True)

    @property
    def description(self) -> str:
        """Names the agents, with what the operator says of them."""
        return (
            "Gives a task to another agent, which has tools and a memory of its own, and gives back its answer. It "
            "remembers your earlier calls in this conversation, and sees nothing else of it. Agents can be called at "
            f"the same time. The agents: {self._asker.choices(self.keys)}."
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """An agent of those, and the message."""
        return {
            "type": "object",
            "properties": {
                "agent": {"type": "string", "enum": self.keys},
                "message": {"type": "string", "minLength": 1, "description": "All that it needs to know."},
            },
            "required": ["agent", "message"],
        }

    def model_asked(self, arguments: dict[str, Any]) -> str:
        """See `gatekeeper.AsksModel`."""
        return str(arguments["agent"])

    def access(self, arguments: dict[str, Any]) -> Access:
        """Counts as a write: who knows what the other agent does."""
        return Access(operation="write")

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Asks, unless that would nest deeper than the operator allows, or the operator's filter forbids it."""
        limit = self._limits.depths[DEPTH]
        if not limit:
            raise ToolError(f"the operator has turned calls of other agents off ({DEPTH} is 0)")
        if context.depth >= limit:
            raise ToolError(
                f"agents may call each other to a depth of {limit} ({DEPTH}), and you have been called by one "
                "yourself; answer without agent_call"
            )
        if refusal := self._asker.refusal(arguments["message"]):
            raise ToolError(refusal)
        return Deferred.fromCoroutine(self._call(arguments["agent"], arguments["message"], context))

    async def _call(self, key: str, message: str, context: ToolContext) -> str:
        conversation = swarm_id(context.session_id, key)
        apart = conversation in self._under_way
        if apart:
            conversation = f"{SWARM}{token_hex(8)}"
        self._under_way.add(conversation)
        try:
            return await self._asker.ask(
                key,
                message,
                depth=context.depth,
                session_id=conversation,
                show=partial(context.show, key),
                span=context.span,
            )
        finally:
            self._under_way.discard(conversation)
            if apart:
                self._asker.forget(key, conversation)
