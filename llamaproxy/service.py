"""Services that start in order, stop in the opposite order, and turn a failure to start into one line."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure


class Stack(MultiService):
    """A tree of services, each of which may use those added before it until it has stopped."""

    def stopService(self) -> Deferred[None]:
        """Stops the services one after another, the last one first."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for service in reversed(list(self)):
            await maybeDeferred(service.stopService)


class Part(Service):
    """A part of the server that has no other reason to be a Service: `start` and `stop` may give Deferreds."""

    log = Logger()

    def __init__(self, start: Callable[[], Any], stop: Callable[[], Any]) -> None:
        self._start = start
        self._stop = stop

    def startService(self) -> None:
        """Starts it; see `started`."""
        super().startService()
        started(maybeDeferred(self._start))

    def stopService(self) -> Deferred[None]:
        """Stops it; a failure is logged, so that the others still stop."""
        super().stopService()
        return maybeDeferred(self._stop).addErrback(
            lambda failure: self.log.failure("while stopping", failure)
        )


def started(starting: Deferred[Any]) -> None:
    """Ends the program with one line when a start has failed.

    That works for what fails at once: nothing runs yet, and twistd leaves with status 1. What fails later is
    logged, and the server goes on with what it has.
    """
    failures: list[Failure] = []
    if starting.called:
        starting.addErrback(failures.append)
        if failures:
            give_up(failures[0].getErrorMessage())
    starting.addErrback(lambda failure: Part.log.critical("{line}", line=failure.getErrorMessage()))


def give_up(line: str) -> NoReturn:
    """Ends the program before it runs: one line on stderr, exit status 1."""
    sys.exit(f"llamaproxy: {line}")
