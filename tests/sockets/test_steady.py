import time
from unittest import mock

from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.sockets.steady import steady


class SteadyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SelectReactor()
        self.addCleanup(self.reactor.removeAll)
        self.now = 1000.0
        self.rung: list[str] = []

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.reactor.runUntilCurrent()

    def test_step_of_the_time_of_day_ends_no_time_limit(self) -> None:
        steady(self.reactor, lambda: self.now)
        self.reactor.callLater(60, self.rung.append, "limit")
        with mock.patch("time.time", return_value=time.time() + 7200):
            self.advance(59)
            self.assertEqual(self.rung, [])
            self.advance(1)
        self.assertEqual(self.rung, ["limit"])

    def test_what_was_planned_before_stays_as_far_away_as_it_was(self) -> None:
        call = self.reactor.callLater(60, self.rung.append, "early")
        self.reactor.runUntilCurrent()
        steady(self.reactor, lambda: self.now)
        self.advance(59)
        self.assertEqual(self.rung, [])
        call.reset(10)
        self.advance(9)
        self.assertEqual(self.rung, [])
        self.advance(2)
        self.assertEqual(self.rung, ["early"])
