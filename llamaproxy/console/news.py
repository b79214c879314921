"""The newest records of all processes, numbered anew in the order in which they became known here."""

from collections import deque
from collections.abc import Sequence

from ..seams.elsewhere import View
from ..seams.records import Record

MOST = 200


class News:
    """`since` is the newest record of each process that is known, by the process's number."""

    def __init__(self) -> None:
        self.since: dict[int, int] = {}
        self._records: deque[tuple[int, Record]] = deque(maxlen=MOST)
        self._number = 0

    def take(self, views: Sequence[View]) -> None:
        """Takes the records that views bring along."""
        fresh = [
            record for view in views for record in view.records if view.newest != self.since.get(view.number)
        ]
        for view in views:
            self.since[view.number] = view.newest
        for record in sorted(fresh, key=lambda record: record.began):
            self._number += 1
            self._records.append((self._number, record))

    def behind(self, number: int, most: int) -> tuple[int, list[Record]]:
        """The number of the newest, and those behind `number`, oldest first."""
        found = [record for each, record in self._records if each > number]
        return self._number, found[-most:]
