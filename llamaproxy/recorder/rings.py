"""Records in rings: the newest of each session and of all, and never more bytes than a limit."""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct, json

from ..seams.records import Record

# Records of one session, and bytes of all.
OF_A_SESSION = 20
BYTES = 4 * 1024 * 1024
# What a kept record costs beside its own bytes.
OVERHEAD = 400


class _Kept(Struct, frozen=True):
    session_id: str
    data: bytes
    # What it costs, about.
    size: int


def _kept(record: Record) -> _Kept:
    data = json.encode(record)
    return _Kept(record.session_id, data, len(data) + 4 * len(record.session_id) + OVERHEAD)


class Rings:
    """Keeps records as bytes, so that what they cost is known; the oldest go first."""

    def __init__(self, most_bytes: int = BYTES, of_a_session: int = OF_A_SESSION) -> None:
        self._most_bytes = most_bytes
        self._of_a_session = of_a_session
        self._kept: dict[int, _Kept] = {}
        self._sessions: dict[str, deque[int]] = {}
        self.size = 0
        # The number of the newest one.
        self.newest = 0

    def add(self, record: Record) -> None:
        """Keeps one more."""
        self.newest += 1
        kept = _kept(record)
        self._kept[self.newest] = kept
        self.size += kept.size
        own = self._sessions.get(record.session_id)
        if own is None:
            own = self._sessions[record.session_id] = deque()
        own.append(self.newest)
        if len(own) > self._of_a_session:
            self._drop(own[0])
        while self.size > self._most_bytes and self._kept:
            self._drop(next(iter(self._kept)))

    def since(self, number: int, most: int) -> list[Record]:
        """Those that came after that one, at most so many of the newest; oldest first."""
        numbers: list[int] = []
        for each in reversed(self._kept):
            if each <= number or len(numbers) == most:
                break
            numbers.append(each)
        return [self._record(each) for each in reversed(numbers)]

    def of(self, session_id: str) -> Iterator[Record]:
        """Those of a session, newest first."""
        return map(self._record, reversed(self._sessions.get(session_id, ())))

    def find(self, request_id: str) -> Record | None:
        """The newest one with that id."""
        mark = json.encode(request_id)
        found = (n for n in reversed(self._kept) if mark in self._kept[n].data)
        return next((r for n in found if (r := self._record(n)).request_id == request_id), None)

    def amend(self, session_id: str, errand: str) -> None:
        """Adds an errand to the newest record of a session, if there is one."""
        if own := self._sessions.get(session_id):
            record = self._record(own[-1])
            record.add_errand(errand)
            old, new = self._kept[own[-1]], _kept(record)
            self._kept[own[-1]] = new
            self.size += new.size - old.size

    def _record(self, number: int) -> Record:
        return json.decode(self._kept[number].data, type=Record)

    def _drop(self, number: int) -> None:
        """Drops the oldest one of a session."""
        kept = self._kept.pop(number)
        self.size -= kept.size
        own = self._sessions[kept.session_id]
        own.popleft()
        if not own:
            del self._sessions[kept.session_id]
