"""Answers what the console in another process of the server wants to know of this one, or to have done in it."""

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..seams.elsewhere import Decide, End, Errand, Find, Finding, KeepWords, See, Seek
from ..seams.oversight import IOversight, IRecords
from ..seams.records import Record
from .viewer import MOST_SESSIONS, Viewer

# Seconds after a look for which a question for leave still waits for somebody who may give it.
LOOKS_LAST = 5.0


class Witness:
    """Of one process."""

    def __init__(self, viewer: Viewer, oversight: IOversight, records: IRecords, clock: IReactorTime) -> None:
        self._viewer = viewer
        self._oversight = oversight
        self._records = records
        self._clock = clock
        self._looked: IDelayedCall | None = None

    async def answer(self, errand: Errand) -> Finding:
        """What comes of it here."""
        match errand:
            case See(since):
                self._is_seen()
                return Finding(view=self._viewer.view(since.get(self._viewer.number, 0)))
            case Decide(session_id, code, decision):
                return Finding(done=await self._oversight.decide(session_id, code, decision))
            case End(session_id):
                return Finding(done=await self._oversight.stop(session_id))
            case KeepWords(session_id, seconds):
                self._records.keep_words(session_id, seconds)
                return Finding(done=True)
            case Find(of, most):
                return Finding(records=tuple(found(self._records, of, most)))
            case Seek(like):
                return Finding(sessions=tuple(self._oversight.sessions(MOST_SESSIONS, like)))

    def stop(self) -> None:
        """The process ends."""
        if self._looked is not None:
            self._looked.cancel()
            self._looked = None

    def _is_seen(self) -> None:
        """Somebody looks from elsewhere, and will look again."""
        if self._looked is not None:
            self._looked.reset(LOOKS_LAST)
            return
        self._oversight.watch(True)
        self._looked = self._clock.callLater(LOOKS_LAST, self._is_left)

    def _is_left(self) -> None:
        self._looked = None
        self._oversight.watch(False)


def found(records: IRecords, of: str, most: int) -> list[Record]:
    """The record of a request, else those of a session, else with "" the newest; newest first."""
    if not of:
        _, newest = records.since(0, most)
        return list(newest)[::-1]
    one: Record | None = records.find(of)
    return [one] if one is not None else list(records.of(of))
