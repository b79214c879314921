"""The programs that break things, for a moment each, so that they work when somebody runs them for hours."""

from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from chaos import clocks, fuzz, kills


class FuzzTests(SynchronousTestCase):
    def test_no_request_of_the_grammar_is_answered_with_what_must_not_come(self) -> None:
        judge = fuzz.Judge()
        fuzz.play(1500, 11, judge)
        self.assertEqual(judge.complaints, [])
        self.assertGreater(judge.statuses[200], 200)
        self.assertGreater(judge.requests, 1500)

    def test_what_must_not_come_is_noticed(self) -> None:
        for heard, closed in (
            (b"HTTP/1.1 500 Oh\r\n\r\n", True),
            (b"HTTP/1.1 404 No\r\n\r\n<html>", True),
            (b"", False),
        ):
            judge = fuzz.Judge()
            judge.begins(b"x")
            judge.ends(heard, closed, silent=not heard)
            self.assertEqual(len(judge.complaints), 1, heard)


class KillTests(TestCase):
    timeout = 120

    async def test_no_answered_turn_is_lost_when_the_server_is_killed(self) -> None:
        seen: list[Any] = []
        counts, wrong = await kills.play(3, 6, 5, seen.append)
        self.assertEqual((wrong, counts["turns that hung"]), ([], 0))
        self.assertGreater(counts["turns answered"], 10)


class ClockTests(TestCase):
    timeout = 120

    async def test_every_turn_is_answered_whatever_the_time_of_day_does(self) -> None:
        try:
            clocks.faketime()
        except clocks.Missing as missing:
            raise SkipTest(str(missing)) from None
        counts, wrong = await clocks.play(6, 6, 2, lambda done: None)
        self.assertEqual((wrong, counts["turns that hung"]), ([], 0))
        self.assertGreater(counts["turns answered"], 6)
        self.assertGreater(counts["days in its log"], 1)
