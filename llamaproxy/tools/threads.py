"""Threads for libraries that block, so that the reactor's never does."""

from collections.abc import Callable
from threading import Lock, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ..seams.errors import ToolError

T = TypeVar("T")

THREADS = 8


class Abort:
    """Tells a thread that its result is not wanted any more: it asks `called`, or leaves a `hook`.

    A hook runs in the reactor's thread, or at once if the call is aborted already; it must not block or raise.
    """

    def __init__(self) -> None:
        self.called = False
        self._lock = Lock()
        self._hooks: list[Callable[[], object]] = []

    def hook(self, function: Callable[[], object]) -> None:
        """Has `function` called when the work is to end."""
        with self._lock:
            if not self.called:
                self._hooks.append(function)
                return
        function()

    def abort(self) -> None:
        """Ends the work as far as the hooks can."""
        with self._lock:
            self.called = True
            hooks, self._hooks = self._hooks, []
        for function in hooks:
            function()


class Workers:
    """Threads of one tool, one per call and at most `threads` at the same time.

    A call whose Deferred is cancelled is aborted; its thread lives until the library lets go of it. The threads are
    daemons, so that a library which hangs does not keep the server from stopping.
    """

    def __init__(self, reactor: Any, threads: int = THREADS) -> None:
        self._reactor = reactor
        self._threads = threads
        self._calls: set[Abort] = set()

    @property
    def busy(self) -> int:
        """How many threads there are."""
        return len(self._calls)

    def run(self, function: Callable[[Abort], T]) -> Deferred[T]:
        """Fires with what `function` returns, or fails as it does; with `ToolError` if all threads are busy."""
        if self.busy >= self._threads:
            return fail(ToolError("too many calls of this tool are under way; try again later"))
        abort = Abort()
        self._calls.add(abort)
        outcome: Deferred[T] = Deferred(lambda _: abort.abort())

        def work() -> None:
            try:
                result: T | Failure = function(abort)
            except BaseException:
                result = Failure()
            self._reactor.callFromThread(finish, result)

        def finish(result: T | Failure) -> None:
            self._calls.discard(abort)
            if not outcome.called:
                outcome.callback(result)  # a Failure goes on as one

        Thread(target=work, daemon=True).start()
        return outcome

    def stop(self) -> None:
        """Aborts what runs."""
        for abort in list(self._calls):
            abort.abort()
