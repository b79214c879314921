"""What callers with a limit have used at any worker within a day: told to each worker that comes later."""

from collections.abc import Callable
from dataclasses import dataclass

from ..seams.limits import Used

DAY = 86_400.0
# Entries beyond so many are forgotten, the oldest first.
MOST = 100_000


@dataclass
class _Use:
    """Of one source in one second."""

    messages: int = 0
    tokens: int = 0


class Uses:
    """Kept as long as the server runs, whichever workers end; `seconds` is the clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # By second and source, oldest first.
        self._uses: dict[tuple[int, str], _Use] = {}

    def note(self, used: Used) -> None:
        """Writes down what was used now."""
        use = self._uses.setdefault((int(self._seconds()), used.source), _Use())
        use.messages += used.messages
        use.tokens += used.tokens
        self._forget_old()

    def all(self) -> list[Used]:
        """What was used within a day, oldest first."""
        self._forget_old()
        now = self._seconds()
        return [
            Used(source, use.messages, use.tokens, now - second)
            for (second, source), use in self._uses.items()
        ]

    def _forget_old(self) -> None:
        past = self._seconds() - DAY
        while self._uses:
            oldest = next(iter(self._uses))
            if oldest[0] > past and len(self._uses) <= MOST:
                return
            del self._uses[oldest]
