"""What the tree of services is made of: an order to start and stop in, signals, and one line for a failed start."""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..seams.errors import AgentError, StoreError
from ..seams.visible import discreet, visible


class Stack(MultiService):
    """Services of which each may use those added before it, from its own start to its own stop.

    Each is started once those before it have. One that cannot start ends the program: with one line on stderr and
    exit status 1.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._starting: Deferred[None] = succeed(None)
        self._complaint = ""

    def startService(self) -> None:
        """Starts the services; what fails before the reactor runs ends the program from in here."""
        Service.startService(self)
        self._starting = Deferred.fromCoroutine(self._start()).addErrback(self._not_started)
        if self._complaint and not self._reactor.running:
            give_up(self._complaint)

    def stopService(self) -> Deferred[None]:
        """Stops the services that have started, one after another, the last one first."""
        Service.stopService(self)
        self._starting.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        for service in self:
            await maybeDeferred(service.startService)

    async def _stop(self) -> None:
        for service in reversed(list(self)):
            if service.running:
                await maybeDeferred(service.stopService).addErrback(
                    lambda failure: self.log.failure("while stopping", failure)
                )

    def _not_started(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if not failure.check(AgentError, CannotListenError, OSError):
            self.log.failure("while starting", failure)
        self._complaint = in_words(failure.value)
        if self._reactor.running:
            end_program(self._reactor, self._complaint)
        else:
            self.log.critical("{line}", line=self._complaint)


class Part(Service):
    """A part of the server that has no other reason to be a Service: `start` and `stop` may give Deferreds."""

    def __init__(self, start: Callable[[], Any], stop: Callable[[], Any] = lambda: None) -> None:
        self._start = start
        self._stop = stop

    def startService(self) -> Any:
        """Starts it."""
        super().startService()
        return self._start()

    def stopService(self) -> Any:
        """Stops it."""
        super().stopService()
        return self._stop()


class Interrupts(Service):
    """SIGTERM and Ctrl-C stop the reactor, and the program ends with status 0; a second one calls `hurry`.

    So does a terminal that closes (SIGHUP), unless the server was started to outlive it (`nohup`); where no terminal
    has gone, SIGHUP has the files read again, with `reload`.
    Twisted's own handlers would end the program by the signal itself, and have no use for a second one.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, hurry: Callable[[], None], reload: Callable[[], object] | None = None
    ) -> None:
        self._reactor = reactor
        self._reload = reload
        self._had_terminal = has_terminal()
        self._hurry = hurry
        self._stopping = False

    def startService(self) -> None:
        """Takes the signals over as soon as the reactor has set up its own handlers."""
        super().startService()
        self._reactor.callWhenRunning(self._install)

    def _install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        terminal_closed = self._had_terminal and not has_terminal()
        if number == signal.SIGHUP and self._reload is not None and not terminal_closed:
            self._reactor.callFromThread(self._reload)
        else:
            self._reactor.callFromThread(self._obey, signal.Signals(number).name)

    def _obey(self, name: str) -> None:
        if self._stopping:
            self.log.info("{signal} again: not waiting any longer", signal=name)
            self._hurry()
        else:
            self._stopping = True
            self.log.info("{signal}: stopping", signal=name)
            self._reactor.stop()


def has_terminal() -> bool:
    """Whether a terminal is there; one that was closed is none any more."""
    return any(os.isatty(descriptor) for descriptor in (0, 1, 2))


def give_up(line: str) -> NoReturn:
    """Ends the program before it runs: one line on stderr, exit status 1."""
    sys.exit(_told(line))


def end_program(reactor: Any, line: str) -> None:
    """Ends the program while it runs: one line in the log and on stderr, exit status 1.

    The status comes once twistd has cleaned up after the reactor; it offers no status of one's own there.
    """
    Stack.log.critical("{line}", line=line)
    reactor.stop()
    print(_told(line), file=sys.__stderr__)
    atexit.register(_exit_with_failure)


def _exit_with_failure() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(1)


def in_words(error: BaseException | None) -> str:
    """What an error says, without the numbers of the system's own."""
    if isinstance(error, StoreError):
        return error.told
    if isinstance(error, OSError) and error.strerror:
        names = [
            os.fsdecode(name)
            for name in (error.filename2 or error.filename,)
            if isinstance(name, str | bytes)
        ]
        return ": ".join([*names, error.strerror])
    return str(error)


def _told(line: str) -> str:
    return f"llamaproxy: {discreet(visible(line, lines=True))}"
