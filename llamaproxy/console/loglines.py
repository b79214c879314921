"""The last lines of the log, for the console's warnings and `agentctl log`."""

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from ..seams.elsewhere import ILog, Log, LogLine
from ..seams.visible import visible

LINES = 500
LONGEST = 1000
WARNINGS = 30
# Seconds for which somebody waits for a line, and for those that come behind it.
PATIENCE = 20.0
MOMENT = 0.2


@implementer(ILogObserver, ILog)
class LogLines:
    """Keeps them. Only their text: what an event holds may be large, and should not live on here."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self._warnings: deque[LogLine] = deque(maxlen=WARNINGS)
        self._number = 0
        self._waiting: list[Deferred[None]] = []

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        line = event.get("visible_line")
        level = LogLevel.info if line else event.get("log_level") or LogLevel.info
        # LogLevel compares by looking all of them up.
        if level is LogLevel.debug:
            return
        self._number += 1
        text = line[:LONGEST] if line else visible(formatEvent(event)[:LONGEST])
        known = LogLine(number=self._number, at=event.get("log_time", 0.0), level=level.name, text=text)
        self._lines.append(known)
        if level is not LogLevel.info:
            self._warnings.append(known)
        if self._waiting:
            self._wake()

    def since(self, number: int) -> list[LogLine]:
        """Those behind that one."""
        return [line for line in self._lines if line.number > number]

    def read(self, after: int, wait: bool) -> Deferred[Log]:
        """See `ILog`."""
        return Deferred.fromCoroutine(self._read(after, wait))

    async def _read(self, after: int, wait: bool) -> Log:
        if wait and not self.since(after):
            await self._more()
        return Log(lines=tuple(self.since(after)), warnings=tuple(self._warnings))

    async def _more(self) -> None:
        """Returns a moment after the next line has come, or once it took too long."""
        coming: Deferred[None] = Deferred()
        self._waiting.append(coming)
        patience = self._clock.callLater(PATIENCE, self._wake)
        try:
            await coming
        finally:
            if coming in self._waiting:
                self._waiting.remove(coming)
            if patience.active():
                patience.cancel()
        # Not from within the logger; and what comes together is told together.
        await deferLater(self._clock, MOMENT)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for coming in waiting:
            coming.callback(None)

    def warnings(self) -> list[LogLine]:
        """Warnings and errors, oldest first."""
        return list(self._warnings)
