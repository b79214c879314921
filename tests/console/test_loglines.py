"""The last lines of the log, for whoever looks at the console."""

from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import text
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.console.loglines import LogLines
from llamaproxy.seams.lines import Lines


class LogLinesTests(SynchronousTestCase):
    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(text(min_size=1, max_size=100))
    def test_line_of_a_turn_or_a_request_is_kept_as_any_other(self, said: str) -> None:
        lines = LogLines(Clock())
        Logger(observer=cast(ILogObserver, lines)).info("{line}", line=said)
        ours = Lines(self)
        ours.observer = cast(ILogObserver, lines)
        ours.line(said)
        other, own = lines.since(0)
        self.assertEqual((own.text, own.level), (other.text, other.level))
        self.assertEqual(lines.warnings(), [])
