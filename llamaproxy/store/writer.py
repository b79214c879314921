"""Writes in their order, off the reactor's thread; while another program holds the file they wait, and are told so.

What waits at the same time goes over together, and is one commit. A lock costs whoever waits for it one bound in all,
and not one for each that is before them in the queue. What was to be written is kept in memory, and written once the
lock goes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..seams.errors import NotYetStored
from .thread import OneThread

T = TypeVar("T")

# Pieces of work that are one commit; the first one waits for the last one's end.
BATCH = 64
# Seconds for which a write waits before whoever asked for it is told that it is only in memory.
PATIENCE = 5.0
# Seconds between two tries while the file is held.
RETRY = 0.25


class Held(Exception):
    """Another program holds the file; the work has changed nothing, and may be tried again."""


class _Entry:
    """One piece of work, and who waits for it."""

    def __init__(self, key: str, work: Callable[[], Any], asked_at: float) -> None:
        self.key = key
        self.work = work
        self.asked_at = asked_at
        self.done: Deferred[Any] = Deferred()
        self.told = False


class Writer:
    """Runs writes in `thread`. Work that finds the file held raises `Held`.

    What is written within `together` is committed at its end, or not at all if anything raises.
    """

    log = Logger()

    def __init__(
        self,
        thread: OneThread,
        clock: IReactorTime,
        advice: Callable[[], str],
        together: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._thread = thread
        self._together = together
        self._clock = clock
        self._advice = advice
        self._queue: deque[_Entry] = deque()
        # How many pieces, by their keys.
        self._waiting: dict[str, int] = {}
        self._busy = False
        self._held = False
        self._retry: IDelayedCall | None = None
        self._patience: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._queue)

    def waits(self, key: str) -> bool:
        """Whether something is still to be written for `key`."""
        return key in self._waiting

    def write(self, key: str, work: Callable[[], T]) -> Deferred[T]:
        """Fires with what `work` returns, or fails with what it raises; with `NotYetStored` if that takes too long.

        Cancelling does not stop the work.
        """
        entry = _Entry(key, work, self._clock.seconds())
        self._queue.append(entry)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        done = entry.done
        if self._held:
            self._tell_overdue()
        elif not self._busy and self._retry is None:
            self._send()
        return done

    def settled(self) -> Deferred[None]:
        """Fires once nothing is left to be written."""
        settled: Deferred[None] = Deferred()
        self._idle.append(settled)
        self._rest()
        return settled

    def abandon(self) -> int:
        """Gives up what is still to be written; how many pieces that are."""
        for timer in (self._retry, self._patience):
            if timer is not None and timer.active():
                timer.cancel()
        lost = len(self._queue)
        self._queue.clear()
        self._waiting.clear()
        return lost

    def _send(self) -> None:
        self._retry = None
        self._busy = True
        batch = [self._queue[place] for place in range(min(BATCH, len(self._queue)))]
        work = [entry.work for entry in batch]
        self._thread.send(partial(self._work_off, work), partial(self._worked, len(batch)))

    def _work_off(self, batch: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results in their order, a Failure for work that raised; shorter than the batch where the file is held."""
        if len(batch) > 1:
            try:
                with self._together():
                    return [work() for work in batch]
            except Held:
                return []
            except Exception:
                # Nothing was written. Each by itself, the failure of one is its own.
                pass
        return _each_by_itself(batch)

    def _worked(self, asked: int, results: Sequence[Any]) -> None:
        # Busy until all are told: whoever writes in answer comes behind those whose work is done already.
        for result in results:
            # A queue that was abandoned meanwhile has nobody to tell.
            if not self._queue:
                break
            entry = self._queue.popleft()
            self._waiting[entry.key] -= 1
            if not self._waiting[entry.key]:
                del self._waiting[entry.key]
            if entry.told and isinstance(result, Failure):
                self.log.failure("what waited in memory could not be written", result)
            entry.done.callback(result)
            if entry.told:
                # It is in the log already.
                entry.done.addErrback(lambda _: None)
        self._busy = False
        if len(results) < asked and self._queue:
            self._retry = self._clock.callLater(RETRY, self._send)
            self._watch()
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._held:
            self._held = False
            self.log.info("the session database is free again; what waited in memory is written")
        if self._queue:
            self._send()
        self._rest()

    def _watch(self) -> None:
        """The patience is that of the oldest, which the others share."""
        if self._patience is None and not self._held:
            left = self._queue[0].asked_at + PATIENCE - self._clock.seconds()
            self._patience = self._clock.callLater(max(0.0, left), self._impatient)

    def _impatient(self) -> None:
        self._patience = None
        self._tell_overdue()

    def _tell_overdue(self) -> None:
        """Tells those who have waited long enough; while the file is known to be held, that is everybody."""
        now = self._clock.seconds()
        late = [e for e in self._queue if not e.told and (self._held or now - e.asked_at >= PATIENCE)]
        if late and not self._held:
            self._held = True
            self.log.error("{advice}; turns are kept in memory until then", advice=self._advice())
            late = [entry for entry in self._queue if not entry.told]
        for entry in late:
            entry.told = True
            done, entry.done = entry.done, Deferred()
            error = NotYetStored(self._advice())
            error.written = entry.done
            done.errback(Failure(error))

    def _rest(self) -> None:
        if not self._queue:
            idle, self._idle = self._idle, []
            for settled in idle:
                settled.callback(None)


def _each_by_itself(batch: Sequence[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = []
    for work in batch:
        try:
            results.append(work())
        except Held:
            break
        except Exception:
            results.append(Failure())
    return results
