"""How long a connection may be idle, or its request take to arrive: a time limit that each request moves.

Twisted cancels a timer with each request and makes another one with each answer.
"""

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from .outflow import EagerChannel


class PatientChannel(EagerChannel):
    """A connection with one timer, which is left alone and looks again when it fires; `clock` is what it goes by."""

    __slots__ = ("_due", "_timer", "clock")

    clock: IReactorTime

    def __init__(self) -> None:
        super().__init__()
        # When the limit is reached, None for never.
        self._due: float | None = None
        self._timer: IDelayedCall | None = None

    def setTimeout(self, period: float | None) -> float | None:
        """See `TimeoutMixin`: the seconds until the limit is reached, None for never; gives the `period` before."""
        before, self.timeOut = self.timeOut, period  # type: ignore[assignment]  # Twisted's type has whole seconds
        self._due = None if period is None else self.clock.seconds() + period
        if period is not None and self._timer is None:
            self._timer = self.clock.callLater(period, self._look)
        return before

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        super().connectionLost(reason)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        left = self._due - self.clock.seconds()
        if left > 0:
            self._timer = self.clock.callLater(left, self._look)
        else:
            self._due = None
            self.timeoutConnection()
