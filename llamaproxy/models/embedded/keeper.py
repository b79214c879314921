"""Keeps the child process of a `LOCAL` model serving: starts it, watches it, starts it again, ends it."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Protocol, cast

from msgspec import json
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...seams.errors import ModelError, ModelUnavailable
from ..upstream.sse import LineSplitter
from ..upstream.upstream import Server
from .pulse import Ask, Pulse

SCRIPT = Path(__file__).with_name("local_server.py")
READY = 3

# Seconds: the pause before a dead child is started again doubles from the first to the last, and is short again
# after a child that lived for the third.
FIRST_PAUSE, LAST_PAUSE, HEALTHY = 1.0, 30.0, 60.0

# The end of the child's output that is kept to explain why it died, in bytes.
LAST_WORDS = 4096


# What a child of ours needs of the environment: where things lie, languages, and what llama.cpp and its libraries read.
_NEEDED = re.compile(
    r"PATH|HOME|USER|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|PYTHON\w+|LD_LIBRARY_PATH|DYLD_\w+|OMP_\w+|GOMP_\w+"
    r"|KMP_\w+|MKL_\w+|OPENBLAS_\w+|GGML_\w+|LLAMA_\w+|CUDA_\w+|NVIDIA_\w+|HIP_\w+|ROCR_\w+|HSA_\w+|VK_\w+"
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS")


def needed(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a model's child, which gets no key of anybody."""
    return {
        name: value for name, value in environ.items() if _NEEDED.fullmatch(name) and not _SECRET.search(name)
    }


class AnyKeeper(Protocol):
    """What a model asks of whoever keeps its child process: a `Keeper`, or its like where another process does."""

    @property
    def running(self) -> bool:
        """Whether the child answers."""

    def serving(self) -> Deferred[Server]:
        """Where the child answers, as soon as it does. Fails with `ModelError` if it ends before that."""

    def stop(self) -> Deferred[None]:
        """Ends the child for good; fires once it is gone."""


class Keeper:
    """One child process; `who` names the model in errors, `settings` gives what the script reads, but for the key.

    With `ask`, the child is asked for a sign of life now and then, and ended if there is none.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, who: str, settings: Callable[[], dict[str, Any]], ask: Ask | None = None
    ) -> None:
        self._ask = ask
        self._pulse: Pulse | None = None
        self._reactor = reactor
        self._who = who
        self._settings = settings
        self._child: _Child | None = None
        self._server: Server | None = None
        self._ready_at: float | None = None
        self._pause = FIRST_PAUSE
        self._pausing: IDelayedCall | None = None
        self._waiting: list[Deferred[Server]] = []
        self._stopped: Deferred[None] | None = None
        self._watcher: Callable[[bool], None] = lambda running: None

    @property
    def running(self) -> bool:
        """Whether the child answers."""
        return self._server is not None

    def watch(self, watcher: Callable[[bool], None]) -> None:
        """Has `watcher` hear of each change of `running`."""
        self._watcher = watcher

    def serving(self) -> Deferred[Server]:
        """Where the child answers, as soon as it does; starts it if need be.

        Fails with `ModelError` if it ends before that.
        """
        if self._stopped is not None:
            return fail(ModelUnavailable(f"{self._who} is being stopped"))
        if self._server is not None:
            return succeed(self._server)
        waiting: Deferred[Server] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        if self._child is None and self._pausing is None:
            self._spawn()
        return waiting

    def stop(self) -> Deferred[None]:
        """Ends the child for good; fires once it is gone."""
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        self._fail_waiting(ModelUnavailable(f"{self._who} is being stopped"))
        if self._pausing is not None:
            self._pausing.cancel()
        if self._child is None:
            stopped.callback(None)
            return stopped
        self._child.kill()
        return stopped

    def child_ready(self, url: str) -> None:
        """The child answers at `url`."""
        self._server = Server(url, self._key)
        self._ready_at = self._reactor.seconds()
        if self._ask is not None:
            self._pulse = Pulse(self._reactor, self._ask, url, self._hangs)
        self._watcher(True)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._server)

    def child_ended(self, why: str, last_words: str) -> None:
        """The child is gone."""
        self._child = self._server = None
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        self._watcher(False)
        if self._stopped is not None:
            self._stopped.callback(None)
            return
        ready_at, self._ready_at = self._ready_at, None
        served = ready_at is not None
        if ready_at is not None and self._reactor.seconds() - ready_at >= HEALTHY:
            self._pause = FIRST_PAUSE
        pause, self._pause = self._pause, min(self._pause * 2, LAST_PAUSE)
        self._pausing = self._reactor.callLater(pause, self._rested, served)
        if served:
            self._log.warn(
                "{who} ended ({why}); it starts again in {pause:g} s", who=self._who, why=why, pause=pause
            )
        else:
            self._log.error("{who} cannot be loaded: {words}", who=self._who, words=last_words or why)
            self._fail_waiting(ModelError(f"{self._who} cannot be loaded: {explanation(last_words) or why}"))

    def _hangs(self) -> None:
        """Ends a child that gives no sign of life; it starts again as one does that died."""
        self._log.warn("{who} gives no sign of life and is ended", who=self._who)
        if self._child is not None:
            self._child.kill()

    def _rested(self, served: bool) -> None:
        """The pause is over. What never came up is tried again only when somebody asks for it."""
        self._pausing = None
        if served or self._waiting:
            self._spawn()

    def _spawn(self) -> None:
        # Others on this machine can reach the port, but not use the model or ask it for its prompts.
        self._key = token_urlsafe(32)
        self._child = _Child(self, self._who, json.encode({**self._settings(), "key": self._key}) + b"\n")
        # -P: the script's folder must not lend its module names (`openai`) to what the script imports.
        arguments = [sys.executable, "-P", os.fspath(SCRIPT)]
        pipes = {0: "w", 1: "r", 2: "r", READY: "r"}
        try:
            self._reactor.spawnProcess(
                self._child, sys.executable, arguments, needed(os.environ), childFDs=pipes
            )
        except OSError as error:
            self.child_ended(str(error), "")

    def _fail_waiting(self, error: ModelError) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(error)


class _Child(ProcessProtocol):
    """Talks to one run of the script."""

    _log = Logger()

    def __init__(self, keeper: Keeper, who: str, settings: bytes) -> None:
        self._keeper = keeper
        self._who = who
        self._settings = settings
        self._ready_line = b""
        self._last_words = b""
        self._lines = LineSplitter()

    def connectionMade(self) -> None:
        self._process.writeToChild(0, self._settings)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == READY:
            self._ready_line += data
            if self._ready_line.endswith(b"\n"):
                self._keeper.child_ready(json.decode(self._ready_line)["url"])
            return
        self._last_words = (self._last_words + data)[-LAST_WORDS:]
        for line in self._lines.received(data):
            self._log.debug("{who}: {line}", who=self._who, line=line.decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        self._keeper.child_ended(
            str(reason.value).rstrip("."), self._last_words.decode("utf-8", "replace").strip()
        )

    def kill(self) -> None:
        """Ends it; it has nothing to save, and hears no milder signal."""
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")

    @property
    def _process(self) -> IProcessTransport:
        return cast(IProcessTransport, self.transport)


def explanation(last_words: str) -> str:
    """The line that names the cause: llama.cpp says `error loading model: ...` and goes on complaining."""
    lines = last_words.splitlines()
    for line in lines:
        _, said, cause = line.partition("error loading model: ")
        if said:
            return cause
    return lines[-1] if lines else ""
