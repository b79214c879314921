"""One thread for blocking work, fed in batches: what is asked while it works goes over together, and comes back so.

A trip to a thread and back costs more than most questions to a database; a thousand clients that come at once share a
few of them.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

T = TypeVar("T")
# Pieces of work, and who gets what came of each.
Batch = list[tuple[Callable[[], Any], Callable[[Any], Any]]]

# Pieces of work that go over together at most; the first one waits for the last one's end.
BATCH = 64


class OneThread:
    """Runs calls in their order, off the reactor's thread; `work_off` those that go over together, `most` at a time."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        work_off: Callable[[list[Callable[[], Any]]], list[Any]] | None = None,
        most: int = BATCH,
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._work_off = work_off or each_by_itself
        self._most = most
        self._thread: Thread | None = None
        # What goes over; None ends the thread.
        self._inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self._queue: Batch = []
        self._busy = False

    @property
    def started(self) -> bool:
        """Whether it takes calls."""
        return self._thread is not None

    def start(self) -> None:
        """Begins to take calls."""
        # It does not keep alive a process that ends without closing the store; what was committed is safe.
        self._thread = Thread(target=self._serve, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; to be called when there is nothing left to do."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._inbox.put(None)
            thread.join()

    def run(self, work: Callable[[], T]) -> Deferred[T]:
        """Fires with what `work` returns, or fails with what it raises. Cancelling does not stop the work."""
        done: Deferred[T] = Deferred()
        self.send(work, done.callback)
        return done

    def send(self, work: Callable[[], Any], then: Callable[[Any], Any]) -> None:
        """Calls `then` in the reactor's thread with what `work` returns, or the Failure of what it raises."""
        self._queue.append((work, then))
        if not self._busy:
            self._send()

    def _send(self) -> None:
        batch, self._queue = self._queue[: self._most], self._queue[self._most :]
        self._busy = True
        self._inbox.put(batch)

    def _serve(self) -> None:
        """What the thread does."""
        for batch in iter(self._inbox.get, None):
            self._reactor.callFromThread(self._tell, self._results(batch), batch)
            # Nothing of it lives on here until the next one comes.
            del batch

    def _results(self, batch: Batch) -> list[Any]:
        try:
            return self._work_off([work for work, _ in batch])
        except Exception:
            return [Failure()] * len(batch)

    def _tell(self, results: list[Any], batch: Batch) -> None:
        self._busy = False
        if self._queue:
            self._send()
        for result, (_, then) in zip(results, batch, strict=True):
            try:
                then(result)
            except Exception:
                # The others of the batch are told all the same.
                _log.failure("what came of a piece of work could not be told")


def each_by_itself(batch: list[Callable[[], Any]]) -> list[Any]:
    """The results in their order, a Failure for work that raised."""
    results = []
    for work in batch:
        try:
            results.append(work())
        except Exception:
            results.append(Failure())
    return results
