"""Who has something to themselves, and who is next."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.lock import Lock


class LockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lock = Lock()
        self.inside: list[str] = []

    def come(self, name: str, first: bool = False) -> Deferred[None]:
        async def enter() -> None:
            await self.lock.acquire(first)
            self.inside.append(name)

        return Deferred.fromCoroutine(enter())

    def test_who_finds_it_free_is_in_at_once_and_nobody_else(self) -> None:
        self.assertTrue(self.lock.take())
        self.assertFalse(self.lock.take())
        self.lock.release()
        self.assertFalse(self.lock.locked)
        self.successResultOf(self.come("a"))
        self.assertFalse(self.lock.take())

    def test_others_come_in_one_by_one_in_their_order(self) -> None:
        waiting = [self.come(name) for name in "abc"]
        self.come("z", first=True)
        for expected in ("a", "az", "azb", "azbc"):
            self.assertEqual("".join(self.inside), expected)
            self.assertTrue(self.lock.locked)
            self.lock.release()
        self.assertFalse(self.lock.locked)
        for each in waiting:
            self.successResultOf(each)

    def test_who_gave_up_waiting_is_passed_over(self) -> None:
        self.come("a")
        gone, _ = self.come("b"), self.come("c")
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.lock.release()
        self.assertEqual(self.inside, ["a", "c"])
