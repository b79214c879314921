"""Lets one in at a time, in the order in which they came; whoever finds it free is in without waiting."""

from collections import deque

from twisted.internet.defer import Deferred


class Lock:
    """As Twisted's `DeferredLock`, but light, and without a Deferred where nobody has to wait."""

    __slots__ = ("_waiting", "locked")

    def __init__(self) -> None:
        self.locked = False
        self._waiting: deque[Deferred[None]] | None = None

    def take(self) -> bool:
        """Whether it was free, and is the caller's now."""
        was_free, self.locked = not self.locked, True
        return was_free

    async def acquire(self, first: bool = False) -> None:
        """Returns once it is the caller's; if that is to be the `first`, before all who wait already."""
        if self.take():
            return
        waiting = self._waiting = self._waiting or deque()
        turn: Deferred[None] = Deferred(waiting.remove)
        if first:
            waiting.appendleft(turn)
        else:
            waiting.append(turn)
        await turn

    def release(self) -> None:
        """Lets the next one in."""
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self.locked, self._waiting = False, None
