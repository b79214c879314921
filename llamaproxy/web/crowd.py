"""The open connections of a front door, and no more of them than the process has descriptors for.

Each is a descriptor, and so is each connection to a model: whoever opens many and says nothing would take all of them.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

# Of those that wait, this part gives way at once, since each look takes as long as there are connections.
SHARE = 16
# Seconds between two lines about it in the log.
QUIET = 60.0


class Guest(Protocol):
    """A connection."""

    @property
    def stage(self) -> int:
        """0 while nothing of a request is there, 1 while it arrives, 2 from its end to that of its answer."""

    def hang_up(self) -> None:
        """Ends it at once."""


T = TypeVar("T", bound=Guest)


class Crowd(Generic[T]):
    """Connections in the order in which they came; beyond `most` those give way that wait for nothing of ours."""

    log = Logger()

    def __init__(self, clock: IReactorTime, most: int) -> None:
        self._clock = clock
        self._most = most
        self._open: dict[T, None] = {}
        self._told = float("-inf")

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[T]:
        return iter(self._open)

    def add(self, guest: T) -> None:
        """One more; the newest is not the one that gives way."""
        if len(self._open) >= self._most:
            self._make_room()
        self._open[guest] = None

    def discard(self, guest: T) -> None:
        """One that has ended."""
        self._open.pop(guest, None)

    def _make_room(self) -> None:
        """First those with nothing of a request, then those whose request takes its time; none that is answered."""
        waiting = sorted((guest for guest in self._open if guest.stage < 2), key=lambda guest: guest.stage)
        for guest in waiting[: len(waiting) // SHARE + 1]:
            # Its end comes later, and many others may come before that.
            del self._open[guest]
            guest.hang_up()
        now = self._clock.seconds()
        if now - self._told >= QUIET:
            self._told = now
            self.log.warn(
                "{count} connections are open, as many as there may be with the number of files that this process may "
                "open (ulimit -n); those that wait with no request give way to new ones",
                count=self._most,
            )
