"""Back ends that the operator's files do not have any more: they end with the last turn that began with them."""

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..seams.interfaces import IBackEnd

# Seconds between two looks whether those turns are over.
INTERVAL = 5.0


class Retired:
    """Stops them; `back_ends` are what the server stops at its end, `turns` those under way."""

    log = Logger()

    def __init__(self, back_ends: dict[str, IBackEnd], turns: Iterable[object], clock: IReactorTime) -> None:
        self._back_ends = back_ends
        self._turns = turns
        self._clock = clock
        self._leaving: list[tuple[str, IBackEnd, set[object]]] = []
        self._count = 0
        self._timer: IDelayedCall | None = None

    def add(self, key: str, back_end: IBackEnd) -> None:
        """Takes one in, under another name than its successor's."""
        self._count += 1
        name = f"{key} (before change {self._count})"
        self._back_ends.pop(key, None)
        self._back_ends[name] = back_end
        self._leaving.append((name, back_end, set(self._turns)))
        if self._timer is None:
            self._timer = self._clock.callLater(INTERVAL, self._look)

    def stop(self) -> None:
        """The server ends, and with it all that is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self, back_end: IBackEnd) -> None:
        """Stops one that no turn asks."""
        stopped: Deferred[None] = back_end.stop()
        stopped.addErrback(lambda failure: self.log.failure("while stopping a model", failure))

    def _look(self) -> None:
        self._timer = None
        running = set(self._turns)
        leaving, self._leaving = self._leaving, []
        for name, back_end, turns in leaving:
            if turns & running:
                self._leaving.append((name, back_end, turns))
            else:
                del self._back_ends[name]
                self.end(back_end)
        if self._leaving:
            self._timer = self._clock.callLater(INTERVAL, self._look)
