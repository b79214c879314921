"""Feels whether a worker still turns: one that hangs would keep its share of the connections without an answer."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

# Seconds between two questions.
INTERVAL = 2.0
# A worker may be busy with something long for a while. Ticks are counted and not seconds, so that a machine that was
# asleep finds all of its workers alive.
PATIENCE = 5


class Pulse:
    """Asks again and again, and calls `lost`, once, when a question stays open for `PATIENCE` ticks."""

    def __init__(
        self, ask: Callable[[], Deferred[Any]], lost: Callable[[], None], clock: IReactorTime
    ) -> None:
        self._ask = ask
        self._lost = lost
        self._open = 0
        self._asking = False
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = clock

    def start(self) -> None:
        """Begins to ask."""
        self._ticking.start(INTERVAL)

    def stop(self) -> None:
        """Ends it."""
        if self._ticking.running:
            self._ticking.stop()

    def _tick(self) -> None:
        if not self._asking:
            self._asking, self._open = True, 0
            # However it is answered: who answers, turns; and who is gone is noticed by other means.
            self._ask().addBoth(self._answered)
            return
        self._open += 1
        if self._open >= PATIENCE:
            self.stop()
            self._lost()

    def _answered(self, _: Any) -> None:
        self._asking = False
