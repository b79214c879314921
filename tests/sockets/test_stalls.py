import sys
from threading import get_ident

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.sockets.stalls import StallDetector


class StallDetectorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.detector = StallDetector(self.reactor, 0.05, lambda: {get_ident(): sys._getframe(1)})
        self.detector.tick()
        logs = capturedLogs()
        self.events = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)

    def lines(self) -> list[str]:
        return [formatEvent(event) for event in self.events]

    def test_reactor_that_turns_is_not_mentioned(self) -> None:
        for _ in range(10):
            self.reactor.advance(0.025)
            self.detector.look()
        self.assertEqual(self.lines(), [])

    def test_stall_is_logged_once_with_its_length_and_the_stack_at_its_beginning(self) -> None:
        def block_for_long() -> None:
            for _ in range(4):
                self.reactor.rightNow += 0.06  # the clock goes on and no timer runs
                self.detector.look()

        block_for_long()
        self.reactor.advance(0)
        (line,) = self.lines()
        self.assertIn("stood still for 240 ms", line)
        self.assertIn("block_for_long", line)

    def test_stall_that_nobody_saw_is_logged_without_a_stack(self) -> None:
        self.reactor.advance(0.2)
        self.assertIn("what was over before it could be seen", self.lines()[0])

    def test_nothing_ticks_on_once_it_is_stopped(self) -> None:
        self.detector.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
