from collections.abc import Callable
from threading import get_ident
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from llamaproxy.store.thread import OneThread, each_by_itself


class OneThreadTests(TestCase):
    def setUp(self) -> None:
        self.thread = OneThread(reactor, "test")  # type: ignore[arg-type]
        self.thread.start()
        self.addCleanup(self.thread.stop)

    async def test_work_is_done_in_its_order_off_the_reactors_thread(self) -> None:
        done: list[int] = []
        waiting: list[Deferred[int]] = []
        for number in range(200):

            def work(number: int = number) -> int:
                done.append(number)
                return get_ident()

            waiting.append(self.thread.run(work))
        threads = {await each for each in waiting}
        self.assertEqual(done, list(range(200)))
        self.assertEqual(len(threads - {get_ident()}), 1)

    async def test_no_more_goes_over_together_than_may_hold_up_the_reactor(self) -> None:
        sizes: list[int] = []

        def work_off(batch: list[Callable[[], Any]]) -> list[Any]:
            sizes.append(len(batch))
            return each_by_itself(batch)

        thread = OneThread(reactor, "test", work_off, most=16)  # type: ignore[arg-type]
        thread.start()
        self.addCleanup(thread.stop)
        answers: list[Deferred[int]] = [thread.run(lambda n=n: n) for n in range(50)]  # type: ignore[misc]
        self.assertEqual([await each for each in answers], list(range(50)))
        self.assertEqual(sizes, [1, 16, 16, 16, 1])

    async def test_work_that_cannot_be_done_at_all_is_told_to_all_who_wait(self) -> None:
        def work_off(batch: list[Callable[[], Any]]) -> list[Any]:
            raise OSError("the thread is in trouble")

        thread = OneThread(reactor, "test", work_off)  # type: ignore[arg-type]
        thread.start()
        self.addCleanup(thread.stop)
        for each in [thread.run(lambda: 1) for _ in range(3)]:
            await self.assertFailure(each, OSError)

    async def test_work_that_fails_fails_alone(self) -> None:
        first, broken, last = (self.thread.run(lambda n=n: 6 // n) for n in (1, 0, 2))  # type: ignore[misc]
        self.assertEqual(await first, 6)
        await self.assertFailure(broken, ZeroDivisionError)
        self.assertEqual(await last, 3)

    async def test_who_cannot_take_an_answer_keeps_no_other_from_its_own(self) -> None:
        self.thread.send(lambda: None, lambda _: 1 // 0)
        self.thread.send(lambda: None, lambda _: 1 // 0)
        self.assertEqual(await self.thread.run(lambda: 7), 7)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    async def test_answer_may_be_followed_by_a_question_at_once(self) -> None:
        first, second = self.thread.run(lambda: 1), self.thread.run(lambda: 2)
        third = first.addCallback(lambda _: self.thread.run(lambda: 3))
        self.assertEqual((await third, await second), (3, 2))

    async def test_cancelled_question_leaves_the_others_alone(self) -> None:
        first, second = self.thread.run(lambda: 1), self.thread.run(lambda: 2)
        first.addErrback(lambda _: None).cancel()
        self.assertEqual(await second, 2)
