"""One run of one worker, as the supervisor sees it: a child process, its log, and the link to it."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from msgspec import json
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.protocols.amp import AMP
from twisted.python.failure import Failure

from .logs import Echo
from .setup import ERRORS, LINK, LOG, Setup

# The end of what it wrote to its standard error, which explains a start that failed; bytes.
LAST_WORDS = 4096


class WorkerProcess(ProcessProtocol):
    """Starts a worker; `ended` is called with why and its last words once it is gone. `link` talks to it."""

    def __init__(
        self,
        reactor: Any,
        name: str,
        setup: Setup,
        files: Mapping[int, int],
        link: AMP,
        ended: Callable[[str, str], None],
    ) -> None:
        self.link = link
        self._echo = Echo(name)
        self._setup = json.encode(setup)
        self._last_words = b""
        self._ended = ended
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            reactor.adoptStreamConnection(ours.fileno(), ours.family, Single(link))
            pipes = {0: "w", LOG: "r", ERRORS: "r", LINK: theirs.fileno(), **files}
            arguments = [sys.executable, "-P", "-m", "llamaproxy.workers.child", type(reactor).__module__]
            environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            reactor.spawnProcess(self, sys.executable, arguments, environ, childFDs=pipes)

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    def kill(self) -> None:
        """Ends it at once."""
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")

    def connectionMade(self) -> None:
        """It runs, and reads what it has to know."""
        self._process.writeToChild(0, self._setup)
        self._process.closeChildFD(0)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It says something."""
        if childFD == LOG:
            self._echo.received(data)
        else:
            self._last_words = (self._last_words + data)[-LAST_WORDS:]

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and all that it said is here."""
        words = self._last_words.decode("utf-8", "replace").strip()
        self._ended(str(reason.value).rstrip("."), words)

    @property
    def _process(self) -> IProcessTransport:
        return cast(IProcessTransport, self.transport)


class Single(Factory):
    """For the one connection of a link."""

    noisy = False

    def __init__(self, link: AMP) -> None:
        self._link = link

    def buildProtocol(self, addr: object) -> AMP:
        """The link."""
        return self._link
