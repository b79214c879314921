"""Rate limits: how many calls of one category of tools a session may make in a sliding window."""

from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct, json

from ...seams.limits import Rate

# One for all sessions, each of which would otherwise have an empty set of its own.
_NOTHING: frozenset[str] = frozenset()


class _Memo(Struct):
    """What a meter has counted, in Unix seconds."""

    calls: dict[str, list[float]]
    disabled: list[str]


class Meter:
    """Counts one session's calls; `seconds` is the clock."""

    __slots__ = ("_calls", "_disabled", "_seconds")

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # By category; None for none at all, as most sessions have.
        self._calls: dict[str, deque[float]] | None = None
        self._disabled: frozenset[str] = _NOTHING

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
        if self._calls is None:
            self._calls = {}
        calls = self._calls.setdefault(category, deque())
        while calls and calls[0] <= now - rate.seconds:
            calls.popleft()
        if len(calls) < rate.calls:
            calls.append(now)
            return None
        if rate.auto_disable:
            self._disabled |= {category}
        wait = calls[0] + rate.seconds - now
        return f"The limit of the category {category} is reached ({rate}); wait {wait:.0f} s."

    def reset(self) -> None:
        """Forgets all calls, and turns on what was turned off."""
        self._calls = None
        self._disabled = _NOTHING

    def memo(self, now: float) -> str:
        """What it has counted, for another process; "" for nothing. `now` is in Unix seconds, here and below."""
        if not (self._calls or self._disabled):
            return ""
        shift = now - self._seconds()
        calls = {
            category: [each + shift for each in times]
            for category, times in (self._calls or {}).items()
            if times
        }
        return json.encode(_Memo(calls, sorted(self._disabled))).decode()

    def recall(self, memo: str, now: float) -> None:
        """Goes on from what another process, or this one, has counted."""
        self.reset()
        if memo:
            counted, shift = json.decode(memo, type=_Memo), now - self._seconds()
            self._calls = {
                category: deque(at - shift for at in times) for category, times in counted.calls.items()
            }
            self._disabled = frozenset(counted.disabled)
