"""Limits as they cross walls: how often tools may be called, what the operator starts with, what a command rules."""

from typing import Final, Literal

from msgspec import Struct


class Rate(Struct, frozen=True):
    """At most `calls` calls in `seconds` seconds; 0 of either means no limit.

    With `auto_disable`, whoever goes over it cannot use the category any more in this session.
    """

    calls: int
    seconds: float
    auto_disable: bool = False

    def __str__(self) -> str:
        if not self.limits:
            return "no limit"
        off = ", then off for the session" if self.auto_disable else ""
        return f"{self.calls} calls in {self.seconds:g} s{off}"

    @property
    def limits(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.calls and self.seconds)


DEFAULT_RATES = {
    "llm_call": Rate(3, 20, auto_disable=True),
    "agent_call": Rate(5, 60),
    "search": Rate(5, 10),
    "extract": Rate(5, 30),
    "drive": Rate(10, 60),
    "db": Rate(20, 60),
}
DEFAULT_DEPTHS = {"max_tool_iterations": 10, "max_at_llm_depth": 1, "max_agent_call_depth": 1}

# Why there is no room for one more user: those from the same source are as many as may be, or all together.
FROM_THERE: Final = "from there"
IN_ALL: Final = "in all"

# Two fields of a model's entry that commands rule as well: whether others may ask it, and how long a call may take.
ALLOWED: Final = "llm_call_available"
TIMEOUT: Final = "llm_call_timeout"

Subject = Literal[
    "max_users",
    "session_idle_minutes",
    "history_max_ctx",
    "depth",
    "rate",
    "llm_call_available",
    "llm_call_timeout",
    "gate",
]


class Ruling(Struct, frozen=True):
    """A limit that a command sets for the whole server, which may be several processes, until it restarts.

    `key` says which where there are several: a depth limit, a category of tools, a model, or a gate with
    its kind and side before its name.
    """

    what: Subject
    value: bool | int | float | Rate
    key: str = ""


class Used(Struct, frozen=True):
    """What one source (an address, or the owner of a key) has used of models, so many seconds `ago`."""

    source: str
    messages: int = 0
    tokens: int = 0
    ago: float = 0.0


class Keep(Struct, frozen=True, kw_only=True):
    """What is kept: `days` since the last use, and of each address so many `sessions` and `megabytes`; 0 for any."""

    days: float = 0.0
    sessions: int = 0
    megabytes: float = 0.0

    @property
    def limits(self) -> bool:
        """Whether anything is to go at all."""
        return bool(self.days or self.sessions or self.megabytes)
