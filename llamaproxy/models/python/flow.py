"""The way from an agent in its own thread to a receiver in the reactor's, with a bounded number of items between.

`Loop` is a thread with an asyncio event loop in it. `Flow` is one reply: the agent's side awaits `put`, which waits
while the receiver holds the stream; the reactor's side gets all that has come since in one call.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import aclosing, closing, nullcontext
from threading import Lock, Thread
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from ...seams.interfaces import IDeltaReceiver
from ...seams.types import ModelDelta, Reasoning, Text
from ..upstream.streaming import Watch

T = TypeVar("T")

# Items that may wait between the two threads.
ROOM = 8
# Seconds that cancelled agents get to end when the server stops.
GRACE = 2.0


class Loop:
    """A thread with an event loop in it. It does not keep the process from ending."""

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._ended: Deferred[None] = Deferred()

    def start(self) -> None:
        """Begins to run what is given to `call`."""
        Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> Deferred[None]:
        """Cancels what runs; fires when the thread has ended."""
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop)
        return self._ended

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        """Runs a coroutine there; fires here with what came of it. Cancelling it cancels the coroutine, and waits
        for nothing."""
        outcome: Deferred[T] = Deferred(lambda _: _cancel(running))
        running = asyncio.run_coroutine_threadsafe(_begun(work), self._loop)
        running.add_done_callback(lambda done: self._reactor.callFromThread(_settle, outcome, done))
        return outcome

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._reactor.callFromThread(self._ended.callback, None)

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=GRACE)
        self._loop.stop()


@implementer(IPushProducer)
class Flow:
    """One reply of an agent. `idle` is how many seconds it may be silent once it has begun."""

    def __init__(self, reactor: Any, receiver: IDeltaReceiver, watch: Watch, idle: float) -> None:
        self._reactor = reactor
        self._receiver = receiver
        self._watch = watch
        self._idle = idle
        self._lock = Lock()
        self._items: list[ModelDelta] = []
        self._room: asyncio.Future[None] | None = None
        self._begun = self._held = self._closed = False
        self._empty: Deferred[None] | None = None

    # -- the agent's side

    async def feed(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Calls the agent and puts all that it says. Raises what it raises, except for what would end the loop."""
        try:
            await self._feed(function, arguments)
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"it called for {type(error).__name__}") from error

    async def _feed(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function):
            await self._consume(function(*arguments))
        else:
            await self._consume(await in_thread(self._call, asyncio.get_running_loop(), function, arguments))

    async def put(self, item: Any) -> None:
        """Hands one item on; returns when there is room for another one. `CancelledError` if nobody listens."""
        if self._closed:
            raise asyncio.CancelledError
        if not isinstance(item, str | Text | Reasoning):
            raise TypeError(f"an agent says str or Reasoning, not {type(item).__name__}")
        delta = Text(item) if isinstance(item, str) else item
        if not delta.text:
            return
        room = None
        with self._lock:
            self._items.append(delta)
            first = len(self._items) == 1
            if len(self._items) >= ROOM:
                room = self._room = asyncio.get_running_loop().create_future()
        if first:
            self._reactor.callFromThread(self._deliver)
        if room is not None:
            await room
            if self._closed:
                raise asyncio.CancelledError

    async def _consume(self, said: Any) -> None:
        if isinstance(said, Awaitable):
            said = await said
        if isinstance(said, AsyncIterator):
            async with aclosing(cast(Any, said)) if hasattr(said, "aclose") else nullcontext():
                async for item in said:
                    await self.put(item)
        elif isinstance(said, str | Text | Reasoning):
            await self.put(said)
        elif isinstance(said, Iterable):
            await in_thread(self._iterate, asyncio.get_running_loop(), said)
        elif said is not None:
            await self.put(said)  # which says what is wrong with it

    def _call(self, loop: asyncio.AbstractEventLoop, function: Callable[..., Any], arguments: Any) -> Any:
        """Calls a plain function, in a thread; what is to be consumed in the event loop is given back."""
        said = function(*arguments)
        if isinstance(said, Iterable) and not isinstance(said, str):
            return self._iterate(loop, said)
        return said

    def _iterate(self, loop: asyncio.AbstractEventLoop, said: Iterable[Any]) -> None:
        """Goes through a generator, in a thread that is its own from beginning to end."""
        with closing(cast(Any, said)) if hasattr(said, "close") else nullcontext():
            for item in said:
                asyncio.run_coroutine_threadsafe(self.put(item), loop).result()

    # -- the reactor's side

    def drained(self) -> Deferred[None]:
        """The agent is done: fires when the receiver has all of it."""
        self._empty = Deferred()
        self._deliver()
        return self._empty

    def close(self) -> None:
        """The reply is over: the receiver hears no more."""
        self._closed = True
        self._take()
        if self._begun:
            self._receiver.unregisterProducer()

    def pauseProducing(self) -> None:
        """Keeps the agent waiting at its next few words."""
        if not self._closed:
            self._held = True
            self._watch.hold()

    def resumeProducing(self) -> None:
        """Takes what waits, and lets the agent go on."""
        if self._held and not self._closed:
            self._held = False
            self._watch.release()
            self._deliver()

    def stopProducing(self) -> None:
        """Whoever calls this cancels the call as well, which ends the agent."""

    def _deliver(self) -> None:
        if self._closed:
            return
        if self._items and not self._begun:
            self._begun = True
            self._watch.expect(
                self._idle, f"fell silent for {self._idle:g} seconds in the middle of its reply"
            )
            self._receiver.registerProducer(self)
        if self._held:
            return
        if items := self._take():
            self._watch.heard()
            self._receiver.deltasReceived(items)
        if self._empty is not None and not self._empty.called:
            self._empty.callback(None)

    def _take(self) -> list[ModelDelta]:
        """All that waits; the agent may go on."""
        with self._lock:
            items, self._items = self._items, []
            room, self._room = self._room, None
        if room is not None:
            room.get_loop().call_soon_threadsafe(_unless_done, room, room.set_result, None)
        return items


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls `function` in a thread of its own, which keeps nothing from ending, unlike `asyncio.to_thread`'s."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Any] = loop.create_future()

    def tell(settle: Callable[[Any], None], outcome: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_unless_done, result, settle, outcome)

    def work() -> None:
        try:
            tell(result.set_result, function(*arguments))
        except StopIteration:  # which no future takes
            tell(result.set_exception, RuntimeError("it raised StopIteration"))
        except BaseException as error:
            tell(result.set_exception, error)

    Thread(target=work, name="llamaproxy-agent-call", daemon=True).start()
    return await result


def _cancel(running: Future[Any]) -> None:
    running.cancel()


async def _begun(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await work()


def _unless_done(future: "asyncio.Future[Any]", settle: Callable[[Any], None], outcome: Any) -> None:
    if not future.done():
        settle(outcome)


def _settle(outcome: Deferred[T], done: Future[T]) -> None:
    if outcome.called:
        return
    if done.cancelled():
        outcome.errback(Failure(asyncio.CancelledError()))
    elif (error := done.exception()) is not None:
        outcome.errback(Failure(error))
    else:
        outcome.callback(done.result())
