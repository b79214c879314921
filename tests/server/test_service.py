"""The order in which the parts of a server start and stop, what a failed start does, and what signals mean."""

import signal
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import StoreError
from llamaproxy.server.service import Interrupts, Part, Stack


class FakeReactor:
    """As much of a reactor as services ask for."""

    def __init__(self) -> None:
        self.running = False
        self.stopped = 0
        self._starting: list[Callable[[], None]] = []

    def callWhenRunning(self, function: Callable[[], None]) -> None:
        self._starting.append(function)

    def run(self) -> None:
        self.running = True
        for function in self._starting:
            function()

    def callFromThread(self, function: Callable[..., None], *args: Any) -> None:
        function(*args)

    def stop(self) -> None:
        self.stopped += 1


class StackTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.stack = Stack(self.reactor)
        self.events: list[str] = []
        self.waiting: dict[str, Deferred[None]] = {}

    def add(self, name: str) -> None:
        """A part that notes its start and stop, and waits for the test at both."""
        Part(lambda: self.note(f"start {name}"), lambda: self.note(f"stop {name}")).setServiceParent(
            self.stack
        )

    def note(self, event: str) -> Deferred[None]:
        self.events.append(event)
        self.waiting[event] = Deferred()
        return self.waiting[event]

    def go_on(self, event: str) -> None:
        self.waiting[event].callback(None)

    def test_parts_start_one_after_another_and_stop_in_the_opposite_order(self) -> None:
        self.add("store")
        self.add("door")
        self.stack.startService()
        self.assertEqual(self.events, ["start store"])
        self.go_on("start store")
        self.go_on("start door")
        stopped = self.stack.stopService()
        self.assertEqual(self.events, ["start store", "start door", "stop door"])
        self.go_on("stop door")
        self.assertEqual(self.events[3:], ["stop store"])
        self.assertNoResult(stopped)
        self.go_on("stop store")
        self.successResultOf(stopped)

    def test_stopping_in_the_middle_of_the_start_stops_what_was_begun(self) -> None:
        self.add("store")
        self.add("door")
        self.stack.startService()
        self.stack.stopService()
        self.assertEqual(self.events, ["start store", "stop store"])

    def test_part_that_cannot_stop_does_not_keep_the_others_from_it(self) -> None:
        self.add("store")
        Part(lambda: None, lambda: fail(ZeroDivisionError())).setServiceParent(self.stack)
        self.stack.startService()
        self.go_on("start store")
        self.stack.stopService()
        self.assertIn("stop store", self.events)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_failure_before_the_reactor_runs_ends_the_program_at_once(self) -> None:
        busy = CannotListenError("127.0.0.1", 80, OSError("in use"))
        Part(lambda: fail(busy)).setServiceParent(self.stack)
        self.add("door")
        end = self.assertRaises(SystemExit, self.stack.startService)
        self.assertIn("127.0.0.1:80", str(end.code))
        self.assertEqual(self.events, [])

    def test_failure_once_the_reactor_runs_stops_it_and_ends_the_program_with_status_1(self) -> None:
        self.add("store")
        self.add("door")
        self.stack.startService()
        self.reactor.run()
        with mock.patch("atexit.register") as register, capturedLogs() as logs:
            with mock.patch("sys.__stderr__") as stderr:
                self.waiting["start store"].errback(StoreError("the disk is full"))
        self.assertEqual(self.reactor.stopped, 1)
        self.assertEqual(self.events, ["start store"])
        self.assertEqual([event["line"] for event in logs], ["the disk is full"])
        self.assertIn(mock.call.write("llamaproxy: the disk is full"), stderr.mock_calls)
        with mock.patch("os._exit") as leave:
            register.call_args.args[0]()
        leave.assert_called_once_with(1)

    def test_unforeseen_failure_leaves_its_traceback_in_the_log(self) -> None:
        Part(lambda: fail(Failure(ZeroDivisionError("oh")))).setServiceParent(self.stack)
        self.assertRaises(SystemExit, self.stack.startService)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class InterruptsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.hurried = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        Interrupts(self.reactor, self.hurry).startService()

    def hurry(self) -> None:
        self.hurried += 1

    def test_first_signal_stops_and_the_next_ones_hurry(self) -> None:
        self.reactor.run()
        signal.raise_signal(signal.SIGTERM)
        self.assertEqual((self.reactor.stopped, self.hurried), (1, 0))
        signal.raise_signal(signal.SIGINT)
        self.assertEqual((self.reactor.stopped, self.hurried), (1, 1))

    def test_closed_terminal_stops_as_well_unless_the_server_is_to_outlive_it(self) -> None:
        self.reactor.run()
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.reactor.stopped, 1)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.reactor.run()
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_hangup_without_a_closed_terminal_reads_the_files_again(self) -> None:
        reloaded: list[int] = []
        Interrupts(self.reactor, self.hurry, lambda: reloaded.append(1)).startService()
        self.reactor.run()
        with mock.patch("llamaproxy.server.service.has_terminal", return_value=False):
            signal.raise_signal(signal.SIGHUP)
        self.assertEqual((reloaded, self.reactor.stopped), ([1], 0))

    def test_hangup_of_a_terminal_that_closed_stops(self) -> None:
        with mock.patch("llamaproxy.server.service.has_terminal", side_effect=[True, False]):
            Interrupts(self.reactor, self.hurry, self.fail).startService()
            self.reactor.run()
            signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.reactor.stopped, 1)

    def test_signals_are_left_alone_until_the_reactor_runs(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        self.assertNotIn("Interrupts", repr(before))
        self.reactor.run()
        self.assertIn("Interrupts", repr(signal.getsignal(signal.SIGTERM)))
