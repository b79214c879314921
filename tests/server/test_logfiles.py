"""The server's log in a file: who may read it, how much there may be, and what logrotate does with it."""

import os
import signal
from pathlib import Path
from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import sampled_from, text
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    formatEventAsClassicLogText,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError
from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.lines import Lines
from llamaproxy.seams.visible import discreet, visible
from llamaproxy.server import logfiles
from llamaproxy.server.logfiles import LogFiles
from tests.server.test_service import FakeReactor

log = Logger()


class LogFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.path = folder / "log"
        self.path.with_name(f"{self.path.name}.1").write_text("older")
        self.path.with_name(f"{self.path.name}.1").chmod(0o644)
        self.file = LogFile.fromFullPath(str(self.path))
        self.addCleanup(lambda: self.file.close())
        observer = textFileLogObserver(self.file)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        reactor = FakeReactor()
        LogFiles(reactor).startService()
        reactor.run()

    def mode(self, path: Path) -> int:
        return path.stat().st_mode & 0o777

    def test_signal_after_a_rename_opens_a_new_file(self) -> None:
        log.info("before")
        moved = self.path.rename(f"{self.path}.moved")
        log.info("between")
        os.kill(os.getpid(), signal.SIGUSR1)
        log.info("after")
        self.assertIn("between", moved.read_text())
        self.assertIn("after", self.path.read_text())
        self.assertNotIn("after", moved.read_text())
        self.assertEqual(self.mode(self.path), 0o600)

    def test_link_that_was_planted_where_the_file_was_is_not_opened(self) -> None:
        moved = self.path.rename(f"{self.path}.moved")
        precious = self.plant(self.path)
        os.kill(os.getpid(), signal.SIGUSR1)
        log.info("after")
        self.assertEqual(precious.read_text(), "precious")
        self.assertIn("everybody can write to", moved.read_text())
        self.assertIn("after", moved.read_text())

    def test_link_among_the_older_ones_changes_nobodys_rights(self) -> None:
        precious = self.plant(self.path.with_name(f"{self.path.name}.2"))
        logfiles.bound(self.file)
        self.assertEqual(self.mode(precious), 0o644)

    def test_file_is_made_for_its_owner_and_behind_no_planted_link(self) -> None:
        fresh = self.path.with_name(f"{self.path.name}-fresh")
        for _ in range(2):
            logfiles.prepare(str(fresh))
            self.assertEqual(self.mode(fresh), 0o600)
        logfiles.prepare(str(self.path.parent / "no" / "such" / "folder"))
        fresh.unlink()
        own = fresh.with_name("target")
        fresh.symlink_to(own)
        logfiles.prepare(str(fresh))
        self.assertEqual(self.mode(own), 0o600)
        fresh.unlink()
        precious = self.plant(fresh)
        self.assertRaises(ConfigError, logfiles.prepare, str(fresh))
        self.assertEqual(precious.read_text(), "precious")

    def plant(self, path: Path) -> Path:
        """A link at that path, as anybody could have made it: to a file, which it gives."""
        precious = path.with_name("precious")
        precious.write_text("precious")
        precious.chmod(0o644)
        path.symlink_to(precious)
        path.parent.chmod(0o777)
        self.addCleanup(path.parent.chmod, 0o755)
        return precious

    def test_what_others_say_acts_on_no_terminal_and_begins_no_line(self) -> None:
        said = "a\x1b[2Jb\x9bc\u202ed\ne"
        log.info("{said}", said=said)
        log.warn("{error}", error=ModelError(said))
        for line in self.path.read_text().splitlines():
            self.assertTrue(line.startswith(("\t", "20")), line)
            self.assertTrue(line.endswith(("\te", r"a\x1b[2Jb\x9bc\u202ed")), line)

    def test_lines_are_as_twisted_writes_them(self) -> None:
        events: list[LogEvent] = []
        keep = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(keep)
        self.addCleanup(globalLogPublisher.removeObserver, keep)
        for line in ("GET /api/chat 200", "two\nlines", "\u00fcber {nothing} 100 %", ""):
            log.info("{line}", line=line, address="127.0.0.1")
        log.warn("{line}", line="odd")
        log.failure("{line}", Failure(ModelError("why")), line="failed")
        self.flushLoggedErrors(ModelError)
        expected = "".join(filter(None, map(formatEventAsClassicLogText, events)))
        self.assertEqual(self.path.read_text(), expected)

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(text(min_size=1), sampled_from([{}, {"log_system": "worker 2 llamaproxy.web#info"}]))
    def test_line_of_a_turn_or_a_request_is_one_as_twisted_writes_it_and_acts_on_no_terminal(
        self, said: str, more: dict[str, str]
    ) -> None:
        events: list[LogEvent] = []
        keep = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(keep)
        before = len(self.path.read_bytes())
        try:
            Lines(self).line(said, size=3, **more)
        finally:
            globalLogPublisher.removeObserver(keep)
        events[0]["line"] = discreet(visible(said))
        self.assertEqual(
            self.path.read_bytes()[before:].decode(), formatEventAsClassicLogText(events[0]), events[0]
        )

    def test_nobody_else_reads_them_the_older_ones_included(self) -> None:
        for path in (self.path, self.path.with_name(f"{self.path.name}.1")):
            self.assertEqual(self.mode(path), 0o600)

    def test_there_are_so_many_and_no_more(self) -> None:
        self.patch(logfiles, "LENGTH", 100)
        logfiles.bound(self.file)
        for number in range(40):
            log.info("a line of some length, number {number}", number=number)
            Lines(self).line(f"a line of some length, number {number}")
        found = list(self.path.parent.glob(f"{self.path.name}*"))
        self.assertEqual(len(found), 1 + logfiles.OLD_FILES)
        self.assertLess(max(path.stat().st_size for path in found), 300)
        self.assertEqual({self.mode(path) for path in found}, {0o600})
