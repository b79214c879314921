"""What several processes see, put together."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.console.merging import accounts_of, callers_of, health_of, points_of, sessions_of
from llamaproxy.console.news import News
from llamaproxy.seams.elsewhere import View
from llamaproxy.seams.oversight import Account, CallerTally, Conversing, Health, Point
from llamaproxy.seams.records import Record


def point(at: float, **values: float) -> Point:
    known = {"turns": 0, "failed": 0, "first": None, "rate": None, "live": 0, "memory": 0, **values}
    return Point(at=at, **known)  # type: ignore[arg-type]


def session(name: str, active: float) -> Conversing:
    return Conversing(session_id=name, short_id=1, address="", model="", messages=0, active=active, waiting=0)


class MergingTests(SynchronousTestCase):
    def test_sessions_stand_in_the_order_in_which_they_were_active(self) -> None:
        found = sessions_of([[session("b", 8), session("d", 1)], [session("a", 9), session("c", 7)]], 3)
        self.assertEqual([each.session_id for each in found], ["a", "b", "c"])

    def test_model_is_as_well_as_it_was_the_last_time_that_anybody_asked_it(self) -> None:
        well = Health(model="m", asked=3, answered_at=50.0, rate=9.0)
        ill = Health(model="m", asked=2, failed=1, answered_at=10.0, failed_at=60.0, error="gone")
        found = health_of([View(health=(well,)), View(health=(ill, Health(model="n", asked=7)))], "m")
        self.assertEqual((found.asked, found.failed, found.rate, found.error), (5, 1, 9.0, "gone"))
        self.assertFalse(found.is_well)
        self.assertTrue(health_of([], "m").is_well)

    def test_callers_and_budgets_are_added_up(self) -> None:
        one, two = CallerTally(caller="a", turns=1, seen=5.0), CallerTally(caller="a", turns=2, seen=4.0)
        (tally,) = callers_of([View(callers=(one,)), View(callers=(two,))], 9)
        self.assertEqual((tally.turns, tally.seen), (3, 5.0))
        spent = Account(caller="a", profile="p", hour=10, per_hour=100, day=20)
        (account,) = accounts_of([View(accounts=(spent,)), View(accounts=(spent,))])
        self.assertEqual((account.hour, account.day, account.per_hour), (20, 40, 100))

    def test_minutes_are_found_by_their_time(self) -> None:
        early = View(points=(point(0, turns=1, memory=5), point(60, turns=2, memory=5, first=1.0)))
        late = View(points=(point(60, turns=3, memory=7, first=2.0), point(120, turns=4)))
        found = points_of([early, late])
        self.assertEqual([(each.at, each.turns, each.memory) for each in found], [(60, 5, 12), (120, 4, 0)])
        self.assertEqual((found[0].first, found[1].first), (1.5, None))

    def test_news_come_once_and_a_process_that_began_anew_has_others(self) -> None:
        news = News()
        first = View(number=0, newest=1, records=(Record(request_id="b", began=2.0),))
        other = View(number=1, newest=7, records=(Record(request_id="a", began=1.0),))
        news.take([first, other])
        number, found = news.behind(0, 9)
        self.assertEqual([each.request_id for each in found], ["a", "b"])
        self.assertEqual(news.since, {0: 1, 1: 7})
        news.take([View(number=0, newest=1), View(number=1, newest=1, records=(Record(request_id="c"),))])
        self.assertEqual([each.request_id for each in news.behind(number, 9)[1]], ["c"])
