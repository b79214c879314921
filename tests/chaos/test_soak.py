"""A short run of the soak, so that it works when somebody runs it for an hour; and its verdicts."""

from collections.abc import Callable

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from benchmarks.soak import LOOKS, Look, draw, soak, verdicts


def looks(memory: Callable[[int], int]) -> list[Look]:
    return [
        Look(at=30.0 * n, memory=memory(n), files=50, threads=5, rate=200.0, p99=0.1, cost=0.002)
        for n in range(1, LOOKS + 1)
    ]


class VerdictTests(SynchronousTestCase):
    def test_memory_that_grows_by_more_than_a_twentieth_is_told(self) -> None:
        for grows, memory in (
            (False, lambda n: 100 << 20),
            (False, lambda n: (min(n, 20) + 80) << 20),
            (True, lambda n: (100 + n) << 20),
        ):
            first, *others = verdicts(looks(memory))
            self.assertEqual(first.startswith("GROWS"), grows, first)
            self.assertTrue(all(line.startswith("flat") for line in others), others)

    def test_picture_has_a_line_a_figure(self) -> None:
        self.assertEqual(draw(looks(lambda n: n << 20)).count("<polyline"), 3)


class SoakTests(TestCase):
    timeout = 120

    async def test_every_answered_turn_is_in_the_store_once(self) -> None:
        seen, report = await deferToThread(soak, 0.05, 30, 10, 1)
        self.assertEqual(len(seen), LOOKS)
        self.assertIn("kept: of ", report)
        self.assertIn("turns answered", report)
        self.assertNotIn("status of 500", report)
