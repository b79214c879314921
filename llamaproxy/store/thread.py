"""One thread for blocking work, fed in batches: what is asked while it works goes over together, and comes back so.

A trip to a thread and back costs more than most questions to a database; a thousand clients that come at once share a
few of them.
"""

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")

# Pieces of work that go over together; the first one waits for the last one's end.
BATCH = 64


class _DaemonThread(Thread):
    """Does not keep alive a process that ends without closing the store; what was committed is safe."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _DaemonThread


class OneThread:
    """Runs calls in their order, off the reactor's thread; `work_off` those that go over together."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        work_off: Callable[[list[Callable[[], Any]]], list[Any]] | None = None,
    ) -> None:
        self._reactor = reactor
        self._work_off = work_off or each_by_itself
        self._pool = _Pool(minthreads=0, maxthreads=1, name=name)
        self._queue: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self._busy = False

    @property
    def started(self) -> bool:
        """Whether it takes calls."""
        return self._pool.started

    def start(self) -> None:
        """Begins to take calls."""
        self._pool.start()

    def stop(self) -> None:
        """Ends the thread; to be called when there is nothing left to do."""
        self._pool.stop()

    def run(self, work: Callable[[], T]) -> Deferred[T]:
        """Fires with what `work` returns, or fails with what it raises. Cancelling does not stop the work."""
        done: Deferred[T] = Deferred()
        self._queue.append((work, done))
        if not self._busy:
            self._send()
        return done

    def _send(self) -> None:
        batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
        self._busy = True
        results = deferToThreadPool(self._reactor, self._pool, self._work_off, [work for work, _ in batch])
        results.addCallback(self._tell, [done for _, done in batch])

    def _tell(self, results: list[Any], waiting: list[Deferred[Any]]) -> None:
        self._busy = False
        if self._queue:
            self._send()
        for result, done in zip(results, waiting, strict=True):
            done.callback(result)


def each_by_itself(batch: list[Callable[[], Any]]) -> list[Any]:
    """The results in their order, a Failure for work that raised."""
    results = []
    for work in batch:
        try:
            results.append(work())
        except Exception:
            results.append(Failure())
    return results
