"""The files that `twistd` logs into: bounded, for their owner's eyes only, opened anew where logrotate moves them."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from math import inf
from pathlib import Path
from threading import RLock
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.logger import FileLogObserver, LogEvent, Logger, formatTime, globalLogPublisher
from twisted.python.logfile import LogFile

from ..config import ConfigError
from ..config.links import destination
from ..seams.visible import discreet, visible

# Bytes of one file, and how many old ones are kept beside it.
LENGTH, OLD_FILES = 10_000_000, 9
MODE = 0o600


class LineWriter:
    """What lines are written into a log file by: its own lock is one in Python, for each line."""

    def __init__(self, file: LogFile) -> None:
        self.file = file
        # What is freed in the middle of a line may log another one.
        self._lock = RLock()

    def write(self, text: str) -> None:
        """Writes a line at once."""
        file = self.file
        with self._lock:
            if file.size >= (file.rotateLength or inf):
                file.write(text)
                return
            data = text.encode()
            file._file.write(data)
            file.size += len(data)

    def flush(self) -> None:
        """Nothing waits to be written."""


class LogFiles(Service):
    """SIGUSR1 has them opened anew: what was renamed is not written to any more, and nobody loses a line."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def startService(self) -> None:
        """Bounds what is there, and takes the signal over."""
        super().startService()
        for observer in _observers():
            make_harmless(observer)
            if isinstance(observer._outFile, LogFile):
                observer._outFile = LineWriter(observer._outFile)  # type: ignore[assignment]
        for file in log_files():
            bound(file)
        self._reactor.callWhenRunning(self._install)

    def reopen(self) -> None:
        """Goes on in files of the same names; in the one that is open where somebody has planted a link there."""
        for file in log_files():
            try:
                prepare(file.path)
            except ConfigError as error:
                self.log.error("SIGUSR1: {error}", error=str(error))
                continue
            file.reopen()
            self.log.info("SIGUSR1: the log was opened anew")

    def _install(self) -> None:
        signal.signal(signal.SIGUSR1, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.reopen)


def prepare(name: str) -> None:
    """For a log file that is about to be opened: makes it, for its owner only. Raises `ConfigError` for a planted link.

    What opens it follows links, and makes files with the umask's mode.
    """
    file = destination(Path(name).absolute())
    # A folder that is not there, or a pipe, is for whoever opens it to tell.
    with suppress(OSError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE))


def bound(file: LogFile) -> None:
    """Gives a log file its limits; those of an older server are closed to others as well."""
    file.rotateLength, file.maxRotatedFiles, file.defaultMode = LENGTH, OLD_FILES, MODE
    old = (f"{file.path}.{number}" for number in file.listLogs())
    for path in (file.path, *(each for each in old if not os.path.islink(each))):
        with suppress(OSError):
            os.chmod(path, MODE)


def make_harmless(observer: FileLogObserver) -> None:
    """Has an observer show what would act on a terminal, and no passwords.

    Clients and models' servers choose much of what is logged.
    """
    form = observer.formatEvent

    def formatted(event: LogEvent) -> str | None:
        if line := event.get("visible_line"):
            return _line(event, line)
        text = form(event)
        return None if text is None else discreet(visible(text, lines=True))

    observer.formatEvent = formatted


def _line(event: LogEvent, line: str) -> str:
    """As Twisted forms it, which takes five times as long; each request and each turn writes such a line."""
    # A worker's tells so.
    where = event.get("log_system") or f"{event['log_namespace']}#{event['log_level'].name}"
    return f"{_second(int(event['log_time']))} [{where}] {discreet(line)}\n"


@lru_cache(maxsize=1)
def _second(when: int) -> str:
    return formatTime(when)


def log_files() -> Iterator[LogFile]:
    """The files that are logged into."""
    for observer in _observers():
        out = getattr(observer, "_outFile", None)
        if isinstance(out, LineWriter):
            yield out.file


def _observers() -> list[FileLogObserver]:
    """What writes the log; twistd makes it, and tells nobody."""
    every = getattr(globalLogPublisher, "_observers", ())
    return [observer for observer in every if isinstance(observer, FileLogObserver)]
