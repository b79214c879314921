"""Coroutines under way, for those that every turn starts anew."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Task(Deferred[T]):
    """Runs a coroutine, as `Deferred.fromCoroutine` does; fires with what it returns, or fails with what it raises.

    Cancelling it cancels what the coroutine waits for. It is lighter than Twisted's by more than a third of the calls,
    and by half a KiB for as long as it runs: it has no context variables of its own.
    """

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> None:
        super().__init__()
        self._awaited: Deferred[Any] | None = None
        self._coroutine: Coroutine[Deferred[Any], Any, T] | None = coroutine
        self._go_on(None)

    def cancel(self) -> None:
        """See `Deferred.cancel`."""
        if self.called:
            super().cancel()
        elif self._awaited is not None:
            self._awaited.cancel()

    def _go_on(self, result: Any) -> None:
        coroutine = self._coroutine
        assert coroutine is not None
        try:
            if isinstance(result, Failure):
                awaited = result.throwExceptionIntoGenerator(coroutine)
            else:
                awaited = coroutine.send(result)
        except StopIteration as end:
            returned = end.value
        except BaseException:
            self._coroutine = self._awaited = None
            self.errback()
            return
        else:
            self._awaited = awaited
            awaited.addBoth(self._go_on)
            return
        self._coroutine = self._awaited = None
        self.callback(returned)
