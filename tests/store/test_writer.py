"""What is one commit, and what becomes of writes while another program holds the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import NotYetStored
from llamaproxy.store.writer import PATIENCE, RETRY, Held, Writer

T = TypeVar("T")


class HandThread:
    """A thread that does its work when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = []

    def send(self, work: Callable[[], Any], then: Callable[[Any], Any]) -> None:
        self.asked.append((work, then))

    def turn(self) -> None:
        work, then = self.asked.pop(0)
        then(work())


class WriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.thread = HandThread()
        thread: Any = self.thread
        self.writer = Writer(thread, self.clock, lambda: "somebody holds it", self.together)
        self.held = self.full = False
        self.written: list[str] = []
        self.commits: list[list[str]] = []

    @contextmanager
    def together(self) -> Iterator[None]:
        """What raises in here, or at the end, takes all of it back."""
        before = len(self.written)
        if self.held:
            raise Held
        try:
            yield
            if self.full:
                raise OSError("the disk is full")
        except BaseException:
            del self.written[before:]
            raise
        self.commits.append(self.written[before:])

    def write(self, name: str, key: str = "s") -> Deferred[str]:
        def work() -> str:
            if self.held:
                raise Held
            self.written.append(name)
            return name

        return self.writer.write(key, work)

    def pass_time(self, seconds: float) -> None:
        """The thread answers at once whatever it is asked meanwhile."""
        left = seconds
        while left > 0:
            while self.thread.asked:
                self.thread.turn()
            self.clock.advance(min(RETRY, left))
            left -= RETRY
        while self.thread.asked:
            self.thread.turn()

    def test_writes_are_done_in_their_order_and_answered(self) -> None:
        answers = [self.write(name) for name in "abc"]
        self.pass_time(0)
        self.assertEqual([self.successResultOf(each) for each in answers], ["a", "b", "c"])
        self.assertEqual(self.written, ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_writes_in_answer_to_a_write_has_nothing_done_twice_and_gets_the_own_result(self) -> None:
        self.write("first")
        # What comes while the thread works goes over together.
        answers = [self.write(name) for name in "abc"]
        more: list[Deferred[str]] = []

        def go_on(name: str) -> str:
            more.append(self.write(f"after {name}"))
            return name

        for answer in answers:
            answer.addCallback(go_on)
        self.pass_time(0)
        self.assertEqual(self.written, ["first", *"abc", "after a", "after b", "after c"])
        self.assertEqual([self.successResultOf(each) for each in answers], ["a", "b", "c"])
        self.assertEqual([self.successResultOf(each) for each in more], ["after a", "after b", "after c"])
        self.assertFalse(self.writer.waits("s"))

    def test_what_waits_at_the_same_time_is_one_commit(self) -> None:
        answers = [self.write(name) for name in "abcd"]
        self.pass_time(0)
        self.assertEqual([self.successResultOf(each) for each in answers], ["a", "b", "c", "d"])
        # The first one went over alone.
        self.assertEqual(self.commits, [["b", "c", "d"]])

    def test_work_that_fails_fails_alone(self) -> None:
        first = self.write("first")
        before = self.write("a")
        broken = self.writer.write("s", lambda: 1 // 0)
        behind = self.write("b")
        self.pass_time(0)
        self.failureResultOf(broken, ZeroDivisionError)
        answers = [self.successResultOf(each) for each in (first, before, behind)]
        self.assertEqual(answers, ["first", "a", "b"])
        self.assertEqual((self.written, self.commits), (["first", "a", "b"], []))

    def test_where_a_commit_fails_each_is_written_by_itself(self) -> None:
        self.full = True
        answers = [self.write(name) for name in "abc"]
        self.pass_time(0)
        self.assertEqual([self.successResultOf(each) for each in answers], ["a", "b", "c"])
        self.assertEqual((self.written, self.commits), (["a", "b", "c"], []))

    def test_short_lock_is_waited_for_without_a_word(self) -> None:
        self.held = True
        answers = [self.write(name) for name in "abc"]
        self.pass_time(PATIENCE / 2)
        for each in answers:
            self.assertNoResult(each)
        self.held = False
        self.pass_time(RETRY)
        self.assertEqual([self.successResultOf(each) for each in answers], ["a", "b", "c"])

    def test_long_lock_is_told_after_one_bound_to_all_who_wait(self) -> None:
        self.held = True
        with capturedLogs() as events:
            first = self.write("a")
            self.pass_time(PATIENCE - 1)
            second = self.write("b")
            self.pass_time(1)
            third = self.write("c")
        errors = [self.failureResultOf(each, NotYetStored).value for each in (first, second, third)]
        self.assertEqual({str(error) for error in errors}, {"somebody holds it"})
        self.assertEqual(len([e for e in events if "kept in memory" in e["log_format"]]), 1)
        self.held = False
        self.pass_time(RETRY)
        self.assertEqual(self.written, ["a", "b", "c"])
        self.assertEqual([self.successResultOf(error.written) for error in errors], ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_was_told_late_may_still_fail(self) -> None:
        self.held = True

        def work() -> None:
            if self.held:
                raise Held
            raise OSError("the disk is full")

        told = self.writer.write("s", work)
        self.pass_time(PATIENCE)
        error = self.failureResultOf(told, NotYetStored).value
        told_later: list[Failure] = []
        error.written.addErrback(told_later.append)
        self.held = False
        self.pass_time(RETRY)
        self.assertTrue(told_later[0].check(OSError))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_it_knows_for_whom_something_is_still_to_be_written(self) -> None:
        self.held = True
        self.write("a", key="one").addErrback(lambda _: None)
        self.assertEqual((self.writer.waits("one"), self.writer.waits("two")), (True, False))
        settled = self.writer.settled()
        self.pass_time(PATIENCE)
        self.assertNoResult(settled)
        self.held = False
        self.pass_time(RETRY)
        self.successResultOf(settled)
        self.assertFalse(self.writer.waits("one"))

    def test_what_is_abandoned_is_counted(self) -> None:
        self.held = True
        for name in "abc":
            self.write(name).addErrback(lambda _: None)
        self.pass_time(PATIENCE)
        self.assertEqual((self.writer.abandon(), len(self.writer)), (3, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
