"""Threads for tools: bounded, and left behind when nobody waits any more."""

from threading import Event

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from llamaproxy.seams.errors import ToolError
from llamaproxy.tools.threads import Abort, Workers


class WorkersTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.workers = Workers(reactor, threads=2)

    async def test_results_and_errors_come_back(self) -> None:
        self.assertEqual(await self.workers.run(lambda abort: 6 * 7), 42)
        with self.assertRaises(ZeroDivisionError):
            await self.workers.run(lambda abort: 1 / 0)

    async def test_no_more_threads_than_allowed(self) -> None:
        gate = Event()
        running = [self.workers.run(lambda abort: gate.wait(10)) for _ in range(2)]
        with self.assertRaisesRegex(ToolError, "too many"):
            await self.workers.run(lambda abort: None)
        gate.set()
        for each in running:
            await each
        self.assertIsNone(await self.workers.run(lambda abort: None))

    async def test_a_cancelled_call_is_over_at_once_and_its_thread_counts_until_it_ends(self) -> None:
        gate = Event()
        running = self.workers.run(lambda abort: gate.wait(10))
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        self.assertEqual(self.workers.busy, 1)
        gate.set()
        while self.workers.busy:
            await deferLater(reactor, 0.01)

    async def test_stop_runs_the_hooks_of_what_runs(self) -> None:
        ended, hooked = Event(), Event()

        def work(abort: Abort) -> bool:
            abort.hook(ended.set)
            hooked.set()
            return ended.wait(10)

        running = self.workers.run(work)
        hooked.wait(10)
        self.workers.stop()
        self.assertTrue(await running)

    def test_a_hook_that_comes_too_late_runs_at_once(self) -> None:
        abort, ran = Abort(), Event()
        abort.abort()
        abort.hook(ran.set)
        self.assertTrue(ran.is_set())
