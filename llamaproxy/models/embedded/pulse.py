"""Feels the pulse of a child that serves a model: one that hangs is no better than one that died."""

from collections.abc import Callable
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

# Seconds from one look to the next, and for an answer. A child that works, however hard, answers this in a thread of
# its own.
INTERVAL, PATIENCE = 15.0, 30.0

# Asks a child at this URL for a sign of life; fires at any.
Ask = Callable[[str], Deferred[Any]]


class Pulse:
    """Asks the child at `url` as long as it is not stopped; `missed` is called once if no answer comes in time."""

    def __init__(self, clock: IReactorTime, ask: Ask, url: str, missed: Callable[[], None]) -> None:
        self._clock = clock
        self._ask = ask
        self._url = url
        self._missed = missed
        self._asking: Deferred[Any] | None = None
        self._next: IDelayedCall | None = None
        self._rest()

    def stop(self) -> None:
        """Asks no more."""
        waiting, self._next = self._next, None
        if waiting is not None:
            waiting.cancel()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def _rest(self) -> None:
        self._next = self._clock.callLater(INTERVAL, self._look)

    def _look(self) -> None:
        self._next = None
        asking = self._asking = self._ask(self._url)
        asking.addTimeout(PATIENCE, self._clock)
        asking.addCallbacks(lambda _: self._answered(), self._failed)

    def _answered(self) -> None:
        if self._asking is not None:
            self._asking = None
            self._rest()

    def _failed(self, failure: Failure) -> None:
        if self._asking is None:
            return
        if failure.check(defer.TimeoutError, CancelledError):
            self._asking = None
            self._missed()
        else:
            # It refuses, or is gone, which the kernel tells by itself.
            self._answered()
