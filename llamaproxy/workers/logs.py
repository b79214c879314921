"""How what workers log comes into the log of the server: as Twisted's events in JSON, a line each, with their names."""

from typing import TextIO

from twisted.logger import (
    LogEvent,
    Logger,
    eventFromJSON,
    globalLogBeginner,
    globalLogPublisher,
    jsonFileLogObserver,
)

from ..models.upstream.sse import LineSplitter


def begin_logging(handle: int) -> None:
    """Sends all events of this process to the open file `handle`, and what it prints."""
    file: TextIO = open(handle, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    globalLogBeginner.beginLoggingTo([jsonFileLogObserver(file, "")])


class Echo:
    """Puts one worker's events, as they come out of its pipe, into this process's log."""

    log = Logger()

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = LineSplitter()

    def received(self, data: bytes) -> None:
        """Some of it, not necessarily whole lines."""
        for line in self._lines.received(data):
            text = line.decode("utf-8", "replace")
            try:
                self._publish(eventFromJSON(text))
            except (ValueError, AttributeError):
                # Not from the log, but from something that writes to the standard output by itself.
                self.log.info("{worker}: {line}", worker=self._name, line=text)

    def _publish(self, event: LogEvent) -> None:
        level = getattr(event.get("log_level"), "name", "-")
        source = event.get("log_system") or f"{event.get('log_namespace', '-')}#{level}"
        globalLogPublisher({**event, "log_system": f"{self._name} {source}"})
