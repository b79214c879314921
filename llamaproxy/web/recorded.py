"""The time of a request in which its record is kept."""

from types import TracebackType

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from ..seams.errors import AgentError
from ..seams.interfaces import IRecorder
from ..seams.records import Record


class Recorded:
    """Begins a record, notes how that ends which is done meanwhile, and ends it."""

    __slots__ = ("_clock", "_record", "_recorder")

    def __init__(self, record: Record, recorder: IRecorder, clock: IReactorTime) -> None:
        self._record, self._recorder, self._clock = record, recorder, clock

    def __enter__(self) -> None:
        self._recorder.begin(self._record)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        record = self._record
        if error is None:
            record.break_off("done")
        elif isinstance(error, AgentError):
            record.break_off("failed", f"{error.code}: {error}")
        elif isinstance(error, CancelledError):
            record.break_off("left")
        record.seconds = self._clock.seconds() - record.start
        self._recorder.end(record)
