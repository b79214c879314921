"""Looks every few seconds how many streams there are and how much memory, for the charts of the last hour."""

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

STEP = 5.0


class Looker(Service):
    """Calls `look`, as long as it runs."""

    def __init__(self, look: Callable[[], None], clock: IReactorTime) -> None:
        self._look = look
        self._clock = clock
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """Begins to look."""
        super().startService()
        self._again()

    def stopService(self) -> None:
        """Looks no more."""
        super().stopService()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _again(self) -> None:
        self._timer = self._clock.callLater(STEP, self._again)
        self._look()
