"""Limits that commands set for the whole server, which may be several processes; they hold until it restarts."""

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from ..calls import delegation
from .rates import Rate

if TYPE_CHECKING:
    from ..agent import Agent

Subject = Literal[
    "max_users",
    "session_idle_minutes",
    "history_max_ctx",
    "depth",
    "rate",
    "llm_call_available",
    "llm_call_timeout",
]


class Ruling(Struct, frozen=True):
    """One of them; `key` says which where there are several: a depth limit, a category of tools, a model."""

    what: Subject
    value: bool | int | float | Rate
    key: str = ""

    def apply(self, agent: "Agent") -> None:
        """Makes it hold for an agent."""
        value: Any = self.value
        match self.what:
            case "depth":
                agent.limits.depths[self.key] = value
            case "rate":
                agent.limits.rates[self.key] = value
            case delegation.ALLOWED:
                agent.delegation.allow(self.key, value)
                agent.offer_delegation()
            case delegation.TIMEOUT:
                agent.delegation.set_timeout(self.key, value)
            case name:
                setattr(agent.limits, name, value)
