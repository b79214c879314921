"""One turn under way: a reply, the coroutine that makes it, and the ways it can end early."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .errors import AgentError
from .reply import Reply
from .types import Caller


class Turn:
    """Runs a coroutine that writes into `reply`, and sees to it that the reply always ends, exactly once.

    `stopped` says that the user asked for the end (`!stop`): the reply then ends well. A client that left is
    owed nothing; `cancelled` is true for both. With `gates_open`, no tool call has to pass a gate. `then` is
    what a command leaves to be done once it has answered.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, caller: Caller) -> None:
        self.caller = caller
        self.reply = Reply(clock, self.cancel)
        self.stopped = self.cancelled = False
        self.gates_open = False
        self.then: Callable[[], Awaitable[None]] | None = None
        self._sealed = False
        self._running: Deferred[None] | None = None

    def run(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Starts the work; fires when it is over, never fails."""
        self._running = Deferred.fromCoroutine(work)
        return self._running.addErrback(self._broken)

    def cancel(self) -> None:
        """Ends the turn as soon as may be: at once, unless it is being committed."""
        if self._running is not None and not self._sealed:
            self.cancelled = True
            self._running.cancel()

    def stop(self) -> None:
        """Ends the turn at the user's wish."""
        self.stopped = True
        self.cancel()

    def seal(self) -> None:
        """From here on the turn is being committed, and nothing cancels it any more."""
        self._sealed = True

    def _broken(self, failure: Any) -> None:
        if failure.check(AgentError):
            self.log.warn("a turn ended with an error: {error}", error=str(failure.value))
            self.reply.fail(failure.value)
        elif failure.check(CancelledError):
            if self.stopped:
                self.reply.say("\n\n[stopped]" if self.reply.begun else "[stopped]")
                self.reply.finish()
        else:
            self.log.failure("a turn failed", failure)
            self.reply.fail(AgentError("The agent failed on this message. The server's log says why."))
