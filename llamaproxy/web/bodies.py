"""Reads what a request asks: a small body where it is, a large one in a thread, so that nobody else waits for it."""

from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from ..seams.errors import Crowded

T = TypeVar("T")

# Bytes. Up to this a body takes the reactor a few milliseconds, whatever is in it.
LARGE = 128 * 1024
# Large bodies that are read at the same time; the reactor has its turn between them.
THREADS = 2
# Those that may wait for it, each of them in memory.
MOST_WAITING = 6


class Reader(Protocol):
    """Reads large bodies."""

    def read(self, parse: Callable[[bytes], T], body: bytes) -> Deferred[T]:
        """Fires with what `parse` makes of it, or fails as it does."""


class AtOnce:
    """Reads them where it is asked to."""

    def read(self, parse: Callable[[bytes], T], body: bytes) -> Deferred[T]:
        """See `Reader`."""
        return maybeDeferred(parse, body)


class InThreads:
    """Reads them in threads of its own. Fails with `Crowded` if too many wait."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._pool = _Pool(minthreads=0, maxthreads=THREADS, name="bodies")
        self._under_way = 0

    def start(self) -> None:
        """Begins to take bodies."""
        self._pool.start()

    def read(self, parse: Callable[[bytes], T], body: bytes) -> Deferred[T]:
        """See `Reader`. Cancelling gives the result up, but not the place until it is there."""
        if self._under_way >= THREADS + MOST_WAITING:
            raise Crowded("Too many large requests are being read.")
        self._under_way += 1

        def work() -> T:
            try:
                return parse(body)
            finally:
                self._reactor.callFromThread(self._over)

        return deferToThreadPool(self._reactor, self._pool, work)

    def _over(self) -> None:
        self._under_way -= 1


class _DaemonThread(Thread):
    """Does not keep a process that ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _DaemonThread
