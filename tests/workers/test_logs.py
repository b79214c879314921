"""What a worker logs, as it comes into the log of the server."""

from io import StringIO

from twisted.logger import Logger, capturedLogs, eventAsText, jsonFileLogObserver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.workers.logs import Echo


class EchoTests(SynchronousTestCase):
    def echoed(self, pipe: bytes, size: int = 7) -> list[str]:
        """The log's lines for what came out of a worker's pipe, in pieces."""
        echo = Echo("worker 2")
        with capturedLogs() as events:
            for start in range(0, len(pipe), size):
                echo.received(pipe[start : start + size])
        return [eventAsText(event, includeTimestamp=False) for event in events]

    def logged(self, log: Logger) -> bytes:
        file = StringIO()
        log.observer = jsonFileLogObserver(file, "")
        log.info("{size} bytes for {client}\nand more", size=5, client="\u00e4")
        return file.getvalue().encode()

    def test_event_keeps_its_words_and_tells_its_worker_and_where_it_is_from(self) -> None:
        (line,) = self.echoed(self.logged(Logger("llamaproxy.web")))
        self.assertEqual(line, "[worker 2 llamaproxy.web#info] 5 bytes for \u00e4\nand more")

    def test_traceback_comes_along(self) -> None:
        file = StringIO()
        log = Logger("x", observer=jsonFileLogObserver(file, ""))
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            log.failure("while counting", Failure())
        (line,) = self.echoed(file.getvalue().encode())
        self.assertIn("while counting", line)
        self.assertIn("ZeroDivisionError", line)
        self.flushLoggedErrors()

    def test_what_is_no_event_is_logged_as_it_is(self) -> None:
        lines = self.echoed(b"Segmentation fault\n123\n\xff\n")
        self.assertEqual(
            [line.partition("] ")[2] for line in lines],
            ["worker 2: Segmentation fault", "worker 2: 123", "worker 2: \ufffd"],
        )
