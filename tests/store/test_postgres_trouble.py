"""What errors of PostgreSQL are told as: only its loss is told as one, and only what passes by itself as a 503."""

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from llamaproxy.seams.errors import StoreUnavailable

try:
    import psycopg
    from psycopg import errors

    from llamaproxy.store.postgres.trouble import AWAY, BUSY, READ_ONLY, meaning
except ImportError:
    psycopg = None  # type: ignore[assignment]


class MeaningTests(SynchronousTestCase):
    def setUp(self) -> None:
        if psycopg is None:
            raise SkipTest("psycopg is not installed; with pip: pip install 'llamaproxy[postgres]'")

    def test_each_error_is_told_as_what_it_is(self) -> None:
        lost = [psycopg.OperationalError("gone"), psycopg.InterfaceError("closed"), ConnectionResetError()]
        table = [(error, AWAY) for error in lost] + [
            (errors.lookup(state)("what the server said\nLINE 1: SELECT"), words)
            for state, words in (
                ("08006", AWAY),
                ("57P01", AWAY),
                ("57P03", AWAY),
                ("25P03", AWAY),
                ("40001", BUSY),
                ("40P01", BUSY),
                ("55P03", BUSY),
                ("57014", BUSY),
                ("53300", BUSY),
                ("25006", READ_ONLY),
                ("53100", "the store cannot be used (what the server said): make room on its disk"),
                ("54000", "the store does not take this (what the server said)"),
                ("22021", "the store does not take this (what the server said)"),
                ("23505", "the store does not take this (what the server said)"),
                ("42P01", "the store does not take this (what the server said)"),
            )
        ]
        for error, words in table:
            told = meaning(error, "db")
            passes = words in (AWAY, BUSY, READ_ONLY)
            self.assertEqual((str(told), isinstance(told, StoreUnavailable)), (words, passes), error)
            self.assertEqual((told.status, told.retry_after), (503, 5) if passes else (500, None), error)
