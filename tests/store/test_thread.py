from threading import get_ident

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from llamaproxy.store.thread import OneThread


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

    async def test_work_that_fails_fails_alone(self) -> None:
        first, broken, last = (self.thread.run(lambda n=n: 6 // n) for n in (1, 0, 2))  # type: ignore[misc]
        self.assertEqual(await first, 6)
        await self.assertFailure(broken, ZeroDivisionError)
        self.assertEqual(await last, 3)

    async def test_answer_may_be_followed_by_a_question_at_once(self) -> None:
        first, second = self.thread.run(lambda: 1), self.thread.run(lambda: 2)
        third = first.addCallback(lambda _: self.thread.run(lambda: 3))
        self.assertEqual((await third, await second), (3, 2))

    async def test_cancelled_question_leaves_the_others_alone(self) -> None:
        first, second = self.thread.run(lambda: 1), self.thread.run(lambda: 2)
        first.addErrback(lambda _: None).cancel()
        self.assertEqual(await second, 2)
