"""The time of a request in which its record is kept."""

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..seams.errors import AgentError
from ..seams.interfaces import IRecorder
from ..seams.records import Record
from .meters import Meters


class Recorded:
    """A `record` between its beginning and its end; with `meters` it is counted as a turn."""

    __slots__ = ("_clock", "_meters", "_recorder", "record")

    def __init__(self, record: Record, recorder: IRecorder, clock: IReactorTime) -> None:
        self.record, self._recorder, self._clock = record, recorder, clock
        self._meters: Meters | None = None

    def begin(self, meters: Meters | None = None) -> None:
        """What is recorded begins."""
        if meters is not None:
            meters.began()
            self._meters = meters
        self._recorder.begin(self.record)

    def end(self, outcome: object) -> None:
        """It is over; `outcome` is a `Failure` of what went wrong, or anything else."""
        record = self.record
        error = outcome.value if isinstance(outcome, Failure) else None
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
