"""Rate limits: how many calls of one category of tools a session may make in a sliding window."""

from collections import deque
from collections.abc import Callable, Mapping

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


class Meter:
    """Counts one session's calls; `seconds` is the clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._calls: dict[str, deque[float]] = {}
        self._disabled: set[str] = set()

    def refusal(self, category: str, rates: Mapping[str, Rate]) -> str | None:
        """Counts a call, or says in a sentence why it is one too many."""
        if category in self._disabled:
            return (
                f"The tools of the category {category} are off for this session, because they were called "
                "too often. !reset turns them on again."
            )
        rate = rates.get(category)
        if rate is None or not rate.limits:
            return None
        now = self._seconds()
        calls = self._calls.setdefault(category, deque())
        while calls and calls[0] <= now - rate.seconds:
            calls.popleft()
        if len(calls) < rate.calls:
            calls.append(now)
            return None
        if rate.auto_disable:
            self._disabled.add(category)
        wait = calls[0] + rate.seconds - now
        return f"The limit of the category {category} is reached ({rate}); wait {wait:.0f} s."

    def reset(self) -> None:
        """Forgets all calls, and turns on what was turned off."""
        self._calls.clear()
        self._disabled.clear()
