from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.recorder.hour import Hour
from llamaproxy.recorder.rings import OVERHEAD, Rings
from llamaproxy.seams.records import Attempt, Record


class RingTests(SynchronousTestCase):
    def test_the_oldest_of_a_session_go_first_and_others_stay(self) -> None:
        rings = Rings(of_a_session=2)
        rings.add(Record(request_id="other", session_id="b"))
        for number in range(4):
            rings.add(Record(request_id=f"r{number}", session_id="a"))
        self.assertEqual([record.request_id for record in rings.of("a")], ["r3", "r2"])
        self.assertEqual([record.request_id for record in rings.of("b")], ["other"])
        self.assertIsNone(rings.find("r1"))

    def test_all_of_them_never_take_more_bytes_than_the_limit(self) -> None:
        rings = Rings(most_bytes=20_000, of_a_session=5)
        for number in range(500):
            rings.add(Record(request_id=f"r{number}", session_id=f"s{number % 100}", reason="x" * 200))
            self.assertLessEqual(rings.size, 20_000)
        self.assertEqual(rings.since(0, 1000)[-1].request_id, "r499")
        self.assertLess(len(rings.since(0, 1000)), 20_000 // OVERHEAD)

    def test_one_that_is_larger_than_the_limit_is_not_kept(self) -> None:
        rings = Rings(most_bytes=1000)
        rings.add(Record(session_id="s" * 2000))
        self.assertEqual((rings.size, rings.since(0, 10)), (0, []))

    def test_what_came_since_is_told_oldest_first_and_at_most_so_many(self) -> None:
        rings = Rings()
        for number in range(5):
            rings.add(Record(request_id=f"r{number}", session_id="a"))
        self.assertEqual([record.request_id for record in rings.since(2, 10)], ["r2", "r3", "r4"])
        self.assertEqual([record.request_id for record in rings.since(0, 2)], ["r3", "r4"])
        self.assertEqual(rings.since(rings.newest, 10), [])

    def test_an_errand_is_added_to_the_newest(self) -> None:
        rings = Rings()
        rings.add(Record(session_id="a"))
        before = rings.size
        rings.amend("a", "title")
        rings.amend("nobody", "title")
        self.assertEqual(next(rings.of("a")).errands, ["title"])
        self.assertGreater(rings.size, before)


class HourTests(SynchronousTestCase):
    def test_each_minute_has_its_turns_and_the_middle_of_its_times(self) -> None:
        hour = Hour()
        for first in (1.0, 2.0, 9.0):
            attempt = Attempt(model="m", at=0, first=1, seconds=3, completion_tokens=20)
            hour.count(Record(first=first, attempts=[attempt], end="done"), 6000.0)
        # What a command answers at once is no model's first token.
        hour.count(Record(first=0.0, commands=["help"], end="done"), 6010.0)
        hour.count(Record(end="failed"), 6070.0)
        hour.look(6071.0, 4, 1000)
        before, last = hour.points(6075.0)[-2:]
        self.assertEqual((before.turns, before.first, before.rate), (4, 2.0, 10.0))
        self.assertEqual((last.turns, last.failed, last.first, last.live, last.memory), (1, 1, None, 4, 1000))
        self.assertEqual(len(hour.points(6075.0)), 60)
        self.assertEqual(sum(point.turns for point in hour.points(6075.0 + 3600)), 0)
