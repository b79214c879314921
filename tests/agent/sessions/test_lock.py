from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.lock import Lock


class LockTests(SynchronousTestCase):
    def test_it_is_taken_at_once_only_by_the_first_to_come(self) -> None:
        lock = Lock()
        self.assertTrue(lock.take())
        self.assertFalse(lock.take())
        lock.release()
        self.assertTrue(lock.take())

    def test_who_waits_gets_it_before_who_comes_later(self) -> None:
        lock = Lock()
        lock.take()
        waiting: Deferred[Lock] = lock.acquire()
        lock.release()
        self.successResultOf(waiting)
        self.assertFalse(lock.take())
