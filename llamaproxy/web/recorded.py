"""The time of a request in which its record is kept."""

from typing import TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..seams.errors import AgentError
from ..seams.interfaces import IRecorder
from ..seams.records import Record
from .meters import Meters

T = TypeVar("T")


class Recorded:
    """Begins a record, and ends it with what comes of the request. With `meters` it is counted as a turn."""

    __slots__ = ("_clock", "_meters", "_record", "_recorder")

    def __init__(
        self, record: Record, recorder: IRecorder, clock: IReactorTime, meters: Meters | None = None
    ) -> None:
        self._record, self._recorder, self._clock, self._meters = record, recorder, clock, meters
        if meters is not None:
            meters.began()
        recorder.begin(record)

    def end(self, result: T) -> T:
        """The request is over; `result` is a `Failure` of what went wrong, or anything else. Gives it back."""
        record = self._record
        error = result.value if isinstance(result, Failure) else None
        record.seconds = self._clock.seconds() - record.start
        if self._meters is not None:
            self._meters.ended(record.seconds, error)
        if error is None:
            record.break_off("done")
        elif isinstance(error, AgentError):
            record.break_off("failed", f"{error.code}: {error}")
        elif isinstance(error, CancelledError):
            record.break_off("left")
        self._recorder.end(record)
        return result
