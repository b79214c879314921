"""The `agent_call` tool: a model gives a task to another agent, which keeps a conversation of its own about it."""

from functools import partial
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...seams.errors import ToolError
from ...seams.interfaces import IKeepsHistory, ITool
from ...seams.names import SWARM
from ...seams.types import Access, ToolContext
from .delegation import LONGEST_CALL, ask_model, choices

if TYPE_CHECKING:
    from ..agent import Agent

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

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._under_way: set[str] = set()

    @property
    def keys(self) -> list[str]:
        """The agents that may be asked."""
        return [key for key, model in self._agent.askable() if IKeepsHistory.providedBy(model)]

    @property
    def description(self) -> str:
        """Names the agents, with what the operator says of them."""
        return (
            "Gives a task to another agent, which has tools and a memory of its own, and gives back its answer. It "
            "remembers your earlier calls in this conversation, and sees nothing else of it. Agents can be called at "
            f"the same time. The agents: {choices(self._agent, self.keys)}."
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

    def access(self, arguments: dict[str, Any]) -> Access:
        """Counts as a write: who knows what the other agent does."""
        return Access(operation="write")

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Asks, unless that would nest deeper than the operator allows, or the operator's filter forbids it."""
        limit = self._agent.limits.depths[DEPTH]
        if not limit:
            raise ToolError(f"the operator has turned calls of other agents off ({DEPTH} is 0)")
        if context.depth >= limit:
            raise ToolError(
                f"agents may call each other to a depth of {limit} ({DEPTH}), and you have been called by one "
                "yourself; answer without agent_call"
            )
        if refusal := self._agent.delegation.outbound.refusal(arguments["message"]):
            raise ToolError(refusal)
        return Deferred.fromCoroutine(self._call(arguments["agent"], arguments["message"], context))

    async def _call(self, key: str, message: str, context: ToolContext) -> str:
        conversation = conversation_id(context.session_id, key)
        apart = conversation in self._under_way
        if apart:
            conversation = f"{SWARM}{token_hex(8)}"
        self._under_way.add(conversation)
        try:
            return await ask_model(
                self._agent,
                key,
                message,
                depth=context.depth,
                session_id=conversation,
                show=partial(context.show, key),
            )
        finally:
            self._under_way.discard(conversation)
            if apart:
                IKeepsHistory(self._agent.backends[key]).forget(conversation)


def conversation_id(session_id: str, key: str) -> str:
    """Under which id the agent `key` is asked on behalf of a session; it tells the agent nothing of that session."""
    return SWARM + sha256(f"{session_id}:{key}".encode()).hexdigest()[:16]
