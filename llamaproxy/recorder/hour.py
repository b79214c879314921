"""The last hour, minute by minute: what the console draws as charts."""

from collections import deque

from msgspec import Struct, field

from ..seams.oversight import Point
from ..seams.records import Record

MINUTES = 60
# First tokens and speeds of one minute that are kept to take the middle one of.
MOST_VALUES = 200


class Minute(Struct, kw_only=True):
    """One minute. `live` is the most streams at a time, `memory` the most bytes."""

    number: int
    turns: int = 0
    failed: int = 0
    firsts: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    live: int = 0
    memory: int = 0


class Hour:
    """Counts into the present minute; those of more than an hour ago are gone."""

    def __init__(self) -> None:
        self._minutes: deque[Minute] = deque(maxlen=MINUTES)

    def count(self, record: Record, now: float) -> None:
        """A turn has ended, at `now` in Unix seconds."""
        minute = self._minute(now)
        minute.turns += 1
        minute.failed += record.end == "failed"
        # What a command answers at once says nothing of models.
        if not record.attempts:
            return
        for values, value in ((minute.firsts, record.first), (minute.rates, record.rate)):
            if value is not None and len(values) < MOST_VALUES:
                values.append(value)

    def look(self, now: float, live: int, memory: int) -> None:
        """So many streams run, and the process takes so many bytes."""
        minute = self._minute(now)
        minute.live = max(minute.live, live)
        minute.memory = max(minute.memory, memory)

    def points(self, now: float) -> list[Point]:
        """Every minute of the last hour, oldest first."""
        last = int(now // 60)
        known = {minute.number: minute for minute in self._minutes}
        return [_point(known.get(n) or Minute(number=n)) for n in range(last - MINUTES + 1, last + 1)]

    def _minute(self, now: float) -> Minute:
        number = int(now // 60)
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(Minute(number=number))
        return self._minutes[-1]


def _point(minute: Minute) -> Point:
    return Point(
        at=minute.number * 60.0,
        turns=minute.turns,
        failed=minute.failed,
        first=_middle(minute.firsts),
        rate=_middle(minute.rates),
        live=minute.live,
        memory=minute.memory,
    )


def _middle(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
