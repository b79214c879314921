"""Which worker asks which embedded model: one that has a successor ends once nobody does any more."""

from collections.abc import Callable
from itertools import count

from ..models.embedded.keeper import Keeper


class Lent:
    """Gives keepers numbers, by which whoever got one finds it again when another one has its model's key."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._keepers: dict[int, Keeper] = {}
        self._holders: dict[int, set[object]] = {}
        self._leaving: dict[int, Callable[[], None]] = {}

    def keeper(self, number: int) -> Keeper | None:
        """The one of that number, if somebody still has it."""
        return self._keepers.get(number)

    def lend(self, keeper: Keeper, holder: object) -> int:
        """Notes that `holder` asks it from now on; gives its number."""
        number = self._number_of(keeper)
        self._holders[number].add(holder)
        return number

    def release(self, number: int, holder: object) -> None:
        """That one asks it no more."""
        if number in self._holders:
            self._holders[number].discard(holder)
            self._look(number)

    def close(self, holder: object) -> None:
        """That one is gone."""
        for number in list(self._holders):
            self.release(number, holder)

    def retire(self, keeper: Keeper, end: Callable[[], None]) -> None:
        """Calls `end` once nobody asks that one."""
        number = self._number_of(keeper)
        self._leaving[number] = end
        self._look(number)

    def _number_of(self, keeper: Keeper) -> int:
        for number, known in self._keepers.items():
            if known is keeper:
                return number
        number = next(self._numbers)
        self._keepers[number], self._holders[number] = keeper, set()
        return number

    def _look(self, number: int) -> None:
        if number in self._leaving and not self._holders[number]:
            del self._keepers[number], self._holders[number]
            self._leaving.pop(number)()
