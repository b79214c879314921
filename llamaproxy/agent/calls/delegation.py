"""Models and agents that others may ask: which, for how long, and the `llm_call` tool that asks a model."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ...seams.errors import ModelError, ToolError
from ...seams.interfaces import IKeepsHistory, ITool
from ...seams.spans import Span
from ...seams.types import Access, ChatTurn, ToolContext
from ..aside import ask_aside
from ..backends import Backends
from ..deadline import Overdue, within
from ..sessions.limits import Limits
from .outbound import Outbound

DEPTH = "max_at_llm_depth"
DEFAULT_TIMEOUT = 120.0
# Seconds. The time limit of the model that is asked comes first.
LONGEST_CALL = 2 * 86_400.0

# Keeps one field of a model's entry: key, field, value.
Keep = Callable[[str, str, Any], Deferred[None]]


def _forget(key: str, field: str, value: Any) -> Deferred[None]:
    return succeed(None)


class Delegation:
    """What the operator's files and `!llm_call`, `!llm_timeout` say, by model key; `keep` makes it outlive us.

    `outbound` filters what agents are sent.
    """

    def __init__(
        self,
        allowed: Mapping[str, bool] | None = None,
        timeouts: Mapping[str, float] | None = None,
        keep: Keep = _forget,
        outbound: Outbound | None = None,
    ) -> None:
        self._allowed = dict(allowed or {})
        self._timeouts = dict(timeouts or {})
        self.keep = keep
        self.outbound = outbound or Outbound()

    def allows(self, key: str) -> bool:
        """Whether that model may be asked by others."""
        return self._allowed.get(key, False)

    def timeout(self, key: str) -> float:
        """Seconds that a call of it on behalf of another model may take."""
        return self._timeouts.get(key, DEFAULT_TIMEOUT)

    def time_limit(self, key: str) -> float | None:
        """Seconds that any call of it may take, as far as that was set."""
        return self._timeouts.get(key)

    def renew(self, allowed: Mapping[str, bool], timeouts: Mapping[str, float]) -> None:
        """Takes over what the files say now."""
        self._allowed, self._timeouts = dict(allowed), dict(timeouts)

    def allow(self, key: str, allowed: bool) -> None:
        """Sets whether it may be asked."""
        self._allowed[key] = allowed

    def set_timeout(self, key: str, seconds: float) -> None:
        """Sets the seconds."""
        self._timeouts[key] = seconds


class Asker:
    """Puts questions to models on behalf of others."""

    def __init__(self, backends: Backends, delegation: Delegation, clock: IReactorTime) -> None:
        self._backends = backends
        self._delegation = delegation
        self._clock = clock

    def askable(self, agents: bool) -> list[str]:
        """The keys of those that may be asked: the `agents`, which keep a conversation of their own, or the models."""
        return [
            key
            for key, model in self._backends.items()
            if self._delegation.allows(key) and IKeepsHistory.providedBy(model) == agents
        ]

    def choices(self, keys: Iterable[str]) -> str:
        """The models with what the operator says of them, for the description of a tool."""
        infos = (self._backends[key].info() for key in keys)
        return "; ".join(f"{info.key} ({info.description or info.model_id})" for info in infos)

    async def ask(
        self,
        key: str,
        prompt: str,
        *,
        depth: int,
        session_id: str = "",
        show: Callable[[str], None] | None = None,
        span: Span | None = None,
    ) -> str:
        """What the model `key` answers to `prompt` alone: no system prompt, no history. Raises `ToolError`.

        `depth` is that of who asks; for the others see `ask_aside`.
        """
        timeout = self._delegation.timeout(key)
        asking = Deferred.fromCoroutine(
            ask_aside(
                self._backends[key],
                ChatTurn(text=prompt),
                timeout=timeout,
                depth=depth + 1,
                session_id=session_id,
                show=show,
                span=span,
            )
        )
        try:
            return await within(asking, timeout, self._clock) or "[no answer]"
        except Overdue:
            raise ToolError(f"'{key}' had no answer within {timeout:g} seconds.") from None
        except ModelError as error:
            raise ToolError(str(error)) from None

    def refusal(self, message: str) -> str | None:
        """Why agents may not be sent `message`, for the model; None if they may."""
        return self._delegation.outbound.refusal(message)

    def forget(self, key: str, conversation: str) -> None:
        """Has the agent `key` forget a conversation."""
        IKeepsHistory(self._backends[key]).forget(conversation)


@implementer(ITool)
class LlmCall:
    """Lets a model ask another one; offered while there is one that may be asked."""

    name = category = "llm_call"
    timeout = LONGEST_CALL
    sides = ("write",)

    def __init__(self, asker: Asker, limits: Limits) -> None:
        self._asker = asker
        self._limits = limits

    @property
    def keys(self) -> list[str]:
        """The models that may be asked; agents, which keep a conversation, are for `agent_call`."""
        return self._asker.askable(agents=False)

    @property
    def description(self) -> str:
        """Names the models, with what the operator says of them."""
        return (
            "Asks another language model and gives its answer. It sees nothing but the prompt. "
            f"The models: {self._asker.choices(self.keys)}."
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

    def model_asked(self, arguments: dict[str, Any]) -> str:
        """See `gatekeeper.AsksModel`."""
        return str(arguments["model"])

    def access(self, arguments: dict[str, Any]) -> Access:
        """Counts as a write: it costs, and what is asked leaves the house."""
        return Access(operation="write")

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Asks, unless that would nest deeper than the operator allows."""
        if context.depth >= self._limits.depths[DEPTH]:
            raise ToolError(f"delegation is limited to a depth of {self._limits.depths[DEPTH]}")
        return Deferred.fromCoroutine(
            self._asker.ask(arguments["model"], arguments["prompt"], depth=context.depth, span=context.span)
        )
