"""An asyncio loop in a thread, reached through Deferreds."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from threading import Event, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class AsyncioThread:
    """Runs coroutines of asyncio; starts with the first, and is a daemon, so that it holds up no exit."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        """Fires as the coroutine ends; cancelling it cancels the coroutine. `work` is called in the thread."""

        async def begun() -> T:
            return await work()

        future = asyncio.run_coroutine_threadsafe(begun(), self._started())

        def cancel(_: Deferred[T]) -> None:
            future.cancel()

        outcome: Deferred[T] = Deferred(cancel)

        def finish(future: "Future[T]") -> None:
            if outcome.called:
                return
            try:
                outcome.callback(future.result())
            except FutureCancelled:
                outcome.cancel()
            except BaseException:
                outcome.errback(Failure())

        future.add_done_callback(lambda done: self._reactor.callFromThread(finish, done))
        return outcome

    def stop(self) -> None:
        """Ends the loop; what still runs in it is dropped."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            up = Event()
            self._loop.call_soon(up.set)
            Thread(target=self._loop.run_forever, daemon=True).start()
            up.wait()
        return self._loop
