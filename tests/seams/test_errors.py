from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import PLACE, StoreError


class StoreErrorTests(SynchronousTestCase):
    def test_where_the_store_is_only_the_operator_hears(self) -> None:
        error = StoreError(f"the session database{PLACE} cannot be used (full)", "/home/me/sessions.db")
        for each in (error, error.afresh()):
            self.assertEqual(str(each), "the session database cannot be used (full)")
        self.assertEqual(error.told, "the session database /home/me/sessions.db cannot be used (full)")
        self.assertEqual(
            (str(StoreError("it is gone")), StoreError("it is gone").told), ("it is gone", "it is gone")
        )
