"""Models that other models may ask: which, for how long, and the `llm_call` tool that does it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from .aside import ask_aside
from .deadline import Overdue, within
from .errors import ModelError, ToolError
from .interfaces import ITool
from .types import Access, ChatTurn, ToolContext

if TYPE_CHECKING:
    from .agent import Agent

ALLOWED, TIMEOUT = "llm_call_available", "llm_call_timeout"
DEPTH = "max_at_llm_depth"
DEFAULT_TIMEOUT = 120.0

# Keeps one field of a model's entry: key, field, value.
Keep = Callable[[str, str, Any], Deferred[None]]


def _forget(key: str, field: str, value: Any) -> Deferred[None]:
    return succeed(None)


class Delegation:
    """What the operator's files and `!llm_call`, `!llm_timeout` say, by model key; `keep` makes it outlive us."""

    def __init__(
        self,
        allowed: Mapping[str, bool] | None = None,
        timeouts: Mapping[str, float] | None = None,
        keep: Keep = _forget,
    ) -> None:
        self._allowed = dict(allowed or {})
        self._timeouts = dict(timeouts or {})
        self._keep = keep

    def allows(self, key: str) -> bool:
        """Whether that model may be asked by others."""
        return self._allowed.get(key, False)

    def timeout(self, key: str) -> float:
        """Seconds that a call of it may take."""
        return self._timeouts.get(key, DEFAULT_TIMEOUT)

    def allow(self, key: str, allowed: bool) -> Deferred[None]:
        """Sets it, now and in the files."""
        self._allowed[key] = allowed
        return self._keep(key, ALLOWED, allowed)

    def set_timeout(self, key: str, seconds: float) -> Deferred[None]:
        """Sets it, now and in the files."""
        self._timeouts[key] = seconds
        return self._keep(key, TIMEOUT, seconds)


async def ask_model(agent: "Agent", key: str, prompt: str) -> str:
    """What the model `key` answers to `prompt` alone: no system prompt, no history. Raises `ToolError`."""
    timeout = agent.delegation.timeout(key)
    asking = Deferred.fromCoroutine(ask_aside(agent.backends[key], ChatTurn(text=prompt), ""))
    try:
        return await within(asking, timeout, agent.clock) or "[no answer]"
    except Overdue:
        raise ToolError(f"The model '{key}' had no answer within {timeout:g} seconds.") from None
    except ModelError as error:
        raise ToolError(str(error)) from None


@implementer(ITool)
class LlmCall:
    """Lets a model ask another one; offered while there is one that may be asked."""

    name = "llm_call"
    category = "llm_call"
    # The model's own time limit comes first.
    timeout = 3600.0

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent

    @property
    def keys(self) -> list[str]:
        """The models that may be asked."""
        return [key for key in self._agent.backends if self._agent.delegation.allows(key)]

    @property
    def description(self) -> str:
        """Names the models, with what the operator says of them."""
        infos = (self._agent.backends[key].info() for key in self.keys)
        models = "; ".join(f"{info.key} ({info.description or info.model_id})" for info in infos)
        return (
            "Asks another language model and gives its answer. It sees nothing but the prompt. "
            f"The models: {models}."
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """A model of those, and the prompt."""
        return {
            "type": "object",
            "properties": {
                "model": {"type": "string", "enum": self.keys},
                "prompt": {"type": "string", "description": "All that the model needs to know."},
            },
            "required": ["model", "prompt"],
        }

    def access(self, arguments: dict[str, Any]) -> Access:
        """Counts as a write: it costs, and what is asked leaves the house."""
        return Access(operation="write")

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Asks, unless that would nest deeper than the operator allows."""
        if context.depth >= self._agent.limits.depths[DEPTH]:
            raise ToolError(f"delegation is limited to a depth of {self._agent.limits.depths[DEPTH]}")
        return Deferred.fromCoroutine(ask_model(self._agent, arguments["model"], arguments["prompt"]))
