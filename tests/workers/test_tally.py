"""Numbers that several processes share."""

import os

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.workers.tally import Tally, new_tally


class TallyTests(SynchronousTestCase):
    def test_each_sets_its_own_number_and_all_see_the_sum(self) -> None:
        handle = new_tally(2)
        self.addCleanup(os.close, handle)
        one, other = Tally(handle, 2), Tally(handle, 2)
        self.assertEqual(one.total(), 0)
        one.set(0, 5)
        other.set(1, 7)
        self.assertEqual((one.total(), other.total()), (12, 12))
        other.set(0, 0)
        self.assertEqual(one.total(), 7)
