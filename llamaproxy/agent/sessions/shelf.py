"""How much of all conversations is in memory: within a bound, as the store has them all.

Those that rest longest go first; the next turn reads its history again.
"""

from collections.abc import Iterator
from typing import Protocol

# Of all histories together.
MOST_BYTES = 32 * 1024 * 1024
# What is left of the bound once it was reached, so that not every turn has to make room.
REST = 0.9


class History(Protocol):
    """What is kept: the part of a session that the shelf looks at."""

    @property
    def weight(self) -> int:
        """About what its messages take in memory, in bytes."""

    def unload(self) -> None:
        """Lets them go."""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing happens in it, and nothing waits to."""


class Shelf:
    """Knows what each history weighs, in the order in which they were last used."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._weights: dict[History, int] = {}
        self._total = 0

    def use(self, history: History) -> None:
        """It has grown. Makes room if all of them together are too much."""
        before = self._weights.pop(history, 0)
        weight = self._weights[history] = history.weight
        self._total += weight - before
        if self._total > self._most:
            for each in list(self._resting()):
                each.unload()
                self.forget(each)
                if self._total <= self._most * REST:
                    break

    def forget(self, history: History) -> None:
        """It is not in memory any more."""
        self._total -= self._weights.pop(history, 0)

    def _resting(self) -> Iterator[History]:
        return (history for history in self._weights if history.is_at_rest)
