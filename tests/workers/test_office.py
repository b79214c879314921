"""What workers ask of each other, over links in memory."""

from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock
from zlib import crc32

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.protocols.amp import UnknownRemoteError
from twisted.test.iosim import IOPump, connectedServerAndClient
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.config import Home, load_configuration
from llamaproxy.console.loglines import LogLines
from llamaproxy.models.embedded.keeper import Keeper
from llamaproxy.models.upstream.upstream import Server
from llamaproxy.seams.elsewhere import Decide, End, Errand, Find, Finding, KeepWords, See, View
from llamaproxy.seams.errors import AgentError, ModelError, OverLimit
from llamaproxy.seams.grants import Grants
from llamaproxy.seams.limits import Rate, Ruling
from llamaproxy.seams.oversight import Reloaded
from llamaproxy.seams.types import Caller, Usage
from llamaproxy.workers.office import TIME_TO_ANSWER, Office, is_refused
from llamaproxy.workers.peers import Colleagues, DistantKeeper, Link, Peers
from llamaproxy.workers.steering import owner_of
from llamaproxy.workers.tally import Tally, new_tally
from llamaproxy.workers.uses import DAY
from tests.support import House


class FakeKeeper:
    """As much of a keeper as the office asks for."""

    def __init__(self) -> None:
        self.running = False
        self.waiting: list[Deferred[Server]] = []
        self.tell: Any = None

    def watch(self, watcher: Any) -> None:
        self.tell = watcher

    def serving(self) -> Deferred[Server]:
        self.waiting.append(Deferred())
        return self.waiting[-1]


class OfficeCase(SynchronousTestCase):
    """An office and two workers, each with an agent."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.keeper = FakeKeeper()
        keepers: Any = {"local": self.keeper}
        self.log = LogLines(self.clock)
        self.office = Office(keepers, self.clock, self.log)
        self.memory = new_tally(2)
        self.ready: list[int] = []
        self.gone_by: list[tuple[int, Any]] = []
        self.pumps: list[IOPump] = []
        self.links: dict[int, Link] = {}
        self.houses: dict[int, House] = {}
        for worker in (0, 1):
            self.start(worker)

    def went_by(self, worker: int, config: Any) -> Deferred[Reloaded]:
        """Stands in for a worker that takes the files over."""
        self.gone_by.append((worker, config))
        return succeed(Reloaded(taken=True, lines=("the files were read again",)))

    def start(self, worker: int) -> IOPump:
        """A worker, or the next one in the same place."""
        link = self.links[worker] = Link()
        link.stop = link.hurry = lambda: None
        link.samples = list
        link.go_by = partial(self.went_by, worker)
        house = self.houses[worker] = House(folder=self.mktemp())
        peers = Peers(link, Tally(self.memory, 2), worker, 2)
        house.agent = house.new_agent(peers)
        _, _, pump = connectedServerAndClient(
            lambda: self.office.desk(worker, lambda: self.ready.append(worker)), lambda: link
        )
        self.pumps.append(pump)
        link.ready()
        self.flush()
        return pump

    def flush(self) -> None:
        while sum(pump.pump() for pump in self.pumps):
            pass

    def result(self, deferred: Deferred[Any]) -> Any:
        self.flush()
        return self.successResultOf(deferred)

    def begin(self, worker: int, number: int = 1) -> list[str]:
        """Sessions in a worker's memory; their ids."""
        ids = [f"llama-{i}" for i in range(1000) if crc32(b"llama-%d" % i) % 2 == worker][:number]
        for session_id in ids:
            self.houses[worker].agent.parts.sessions.obtain(Caller(session_id=session_id, address="10.0.0.1"))
        return ids


class RulingTests(OfficeCase):
    def rule(self, worker: int, *ruling: Any) -> None:
        self.result(self.houses[worker].agent.parts.peers.rule(Ruling(*ruling)))

    def test_every_worker_obeys_what_one_has_ruled(self) -> None:
        self.rule(0, "max_users", 7)
        self.rule(1, "depth", 3, "max_tool_iterations")
        self.rule(1, "rate", Rate(1, 2.5, auto_disable=True), "search")
        self.rule(0, "llm_call_available", True, "main")
        self.rule(0, "llm_call_timeout", 9.0, "main")
        for house in self.houses.values():
            self.assertEqual(house.agent.parts.bench.limits.max_users, 7)
            self.assertEqual(house.agent.parts.bench.limits.depths["max_tool_iterations"], 3)
            self.assertEqual(house.agent.parts.bench.limits.rates["search"], Rate(1, 2.5, auto_disable=True))
            self.assertTrue(house.agent.parts.delegation.allows("main"))
            self.assertEqual(house.agent.parts.delegation.timeout("main"), 9.0)
            self.assertIsNotNone(house.agent.parts.bench.toolbox.get("llm_call"))

    def test_worker_that_comes_later_obeys_the_newest_of_each(self) -> None:
        self.rule(0, "max_users", 7)
        self.rule(1, "max_users", 8)
        self.rule(0, "history_max_ctx", 33)
        self.start(1)
        limits = self.houses[1].agent.parts.bench.limits
        self.assertEqual((limits.max_users, limits.history_max_ctx), (8, 33))

    def test_worker_that_hangs_does_not_hold_the_others_up(self) -> None:
        # Its end of the link is not read.
        self.pumps.pop()
        ruled = self.houses[0].agent.parts.peers.rule(Ruling("max_users", 7))
        self.flush()
        self.assertNoResult(ruled)
        self.clock.advance(5)
        self.result(ruled)
        self.assertEqual(self.houses[0].agent.parts.bench.limits.max_users, 7)


class BudgetTests(OfficeCase):
    WHO = Caller(
        session_id="a",
        address="10.0.0.1",
        source="10.0.0.1",
        grants=Grants(turns=Rate(2, 60), tokens_per_day=100),
    )

    def admit(self, worker: int, who: Caller = WHO) -> bool:
        try:
            self.houses[worker].agent.parts.ledger.admit(who)
        except OverLimit:
            return False
        finally:
            self.flush()
        return True

    def charge(self, worker: int, tokens: int) -> None:
        self.houses[worker].agent.parts.ledger.charge(self.WHO, Usage(tokens, 0))
        self.flush()

    def test_tokens_of_a_day_are_those_of_all_workers(self) -> None:
        self.charge(0, 60)
        self.assertTrue(self.admit(1))
        self.charge(1, 40)
        self.assertEqual([self.admit(0), self.admit(1)], [False, False])

    def test_messages_are_counted_over_all_workers(self) -> None:
        self.assertEqual(
            [self.admit(0), self.admit(1), self.admit(0), self.admit(1)], [True, True, False, False]
        )
        self.assertTrue(self.admit(0, replace(self.WHO, source="somebody else")))

    def test_worker_that_comes_later_knows_what_was_used_and_how_long_ago(self) -> None:
        self.charge(0, 100)
        self.clock.advance(3600)
        self.start(1)
        self.assertFalse(self.admit(1))
        self.houses[1].clock.advance(22 * 3600)
        self.assertFalse(self.admit(1))
        self.houses[1].clock.advance(3600 + 60)
        self.assertTrue(self.admit(1))

    def test_what_was_used_more_than_a_day_ago_is_forgotten(self) -> None:
        self.charge(0, 100)
        self.clock.advance(DAY + 1)
        self.assertEqual(self.office._uses.all(), [])


class SessionTests(OfficeCase):
    def test_all_sessions_are_counted_wherever_they_live(self) -> None:
        self.begin(0, 2)
        self.begin(1, 3)
        self.assertEqual([house.agent.parts.peers.live_in_all() for house in self.houses.values()], [5, 5])

    def test_short_ids_never_meet_and_lead_to_the_worker(self) -> None:
        ids = self.begin(0, 3) + self.begin(1, 3)
        short = {s.short_id: s for house in self.houses.values() for s in house.agent.parts.sessions}
        self.assertEqual(len(short), 6)
        for number, session in short.items():
            self.assertIn(self.result(self.removal(str(number))), ids)
            self.assertNotIn(session, list(self.houses[0].agent.parts.sessions))

    def removal(self, session_id: str, asker: int = 0) -> Deferred[str]:
        return self.houses[asker].agent.remove(session_id)

    def test_worker_sees_the_sessions_of_the_others_however_many(self) -> None:
        # More than fits one value of AMP.
        ids = self.begin(1, 450)
        for session in self.houses[1].agent.parts.sessions:
            session.model = "m" * 200
        cards = self.result(self.houses[0].agent.parts.peers.sessions())
        self.assertEqual([card.session_id for card in cards], ids)

    def test_session_of_another_worker_is_removed_there(self) -> None:
        (session_id,) = self.begin(1)
        self.assertEqual(owner_of(session_id, 2), 1)
        self.houses[1].store.settings[session_id] = ("main", {})
        self.assertEqual(self.result(self.removal(session_id)), session_id)
        self.assertEqual(len(self.houses[1].agent.parts.sessions), 0)
        self.assertEqual(self.houses[1].store.settings, {})
        self.assertEqual(self.result(self.removal(session_id)), "")

    def test_session_of_a_worker_that_is_away_is_not_removed_and_that_is_said(self) -> None:
        (session_id,) = self.begin(1)
        self.links[1].transport.loseConnection()  # type: ignore[union-attr]
        self.flush()
        removal = self.removal(session_id)
        self.flush()
        self.assertIn("is away", self.failureResultOf(removal, AgentError).getErrorMessage())
        # It was an answer like any other: the link is still there.
        self.assertEqual(self.result(self.houses[0].agent.parts.peers.sessions()), [])

    def test_id_of_any_length_and_kind_is_one_that_no_session_has(self) -> None:
        for text in (
            "x" * 70_000,
            "y" * 70_000,
            "ü" * 70_000,
            "\N{REPLACEMENT CHARACTER}",
            "1",
            "99999999999",
        ):
            for asker in (0, 1):
                self.assertEqual(self.result(self.removal(text, asker)), "")

    def test_question_that_fails_for_no_foreseen_reason_ends_no_link(self) -> None:
        (session_id,) = self.begin(1)
        agent = self.houses[1].agent
        self.patch(agent.parts.store, "delete", lambda session_id: 1 / 0)
        removal = self.removal(session_id)
        self.flush()
        self.failureResultOf(removal, UnknownRemoteError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (card,) = self.result(self.houses[0].agent.parts.peers.sessions())
        self.assertEqual(card.session_id, session_id)


class EmbeddedTests(OfficeCase):
    def test_workers_hear_where_the_model_answers_once_it_does(self) -> None:
        asked = [DistantKeeper(link, "local").serving() for link in self.links.values()]
        self.flush()
        for each in asked:
            self.assertNoResult(each)
        for waiting in self.keeper.waiting:
            waiting.callback(Server("http://127.0.0.1:1/v1", "secret"))
        for each in asked:
            self.assertEqual(self.result(each), Server("http://127.0.0.1:1/v1", "secret"))

    def test_workers_hear_why_it_does_not(self) -> None:
        asked = DistantKeeper(self.links[0], "local").serving()
        self.flush()
        self.keeper.waiting[0].errback(ModelError("no weights"))
        self.flush()
        self.assertEqual(self.failureResultOf(asked, ModelError).getErrorMessage(), "no weights")

    def test_workers_know_whether_it_is_loaded_also_those_that_come_later(self) -> None:
        self.assertFalse(DistantKeeper(self.links[0], "local").running)
        self.keeper.running = True
        self.keeper.tell(True)
        self.flush()
        self.start(1)
        for link in self.links.values():
            self.assertTrue(DistantKeeper(link, "local").running)
        self.successResultOf(DistantKeeper(self.links[0], "local").stop().addCallback(succeed))


class ConsoleTests(OfficeCase):
    """What the console in one worker asks of the others."""

    def setUp(self) -> None:
        super().setUp()
        self.colleagues = Colleagues(self.links[0])
        self.links[1].answer = self.found
        self.errands: list[Any] = []

    async def found(self, errand: Errand) -> Finding:
        self.errands.append(errand)
        if isinstance(errand, End):
            raise ValueError("something unforeseen")
        return Finding(view=View(number=1, streams=()), done=True)

    def test_errand_goes_to_all_others(self) -> None:
        for errand in (See({0: 1, 1: 2}), Decide("s", "ABCD", "yes"), KeepWords("s", 3.0), Find("s", 9)):
            (finding,) = self.result(self.colleagues.ask(errand))
            self.assertTrue(finding.done)
            self.assertEqual(self.errands.pop(), errand)

    def test_worker_that_fails_or_hangs_is_left_out(self) -> None:
        self.assertEqual(self.result(self.colleagues.ask(End("s"))), [])
        self.flushLoggedErrors(ValueError)
        self.pumps.pop()
        asked = self.colleagues.ask(Find("s"))
        self.flush()
        self.assertNoResult(asked)
        self.clock.advance(TIME_TO_ANSWER)
        self.assertEqual(self.result(asked), [])

    def test_log_is_the_one_of_the_server(self) -> None:
        self.log({"log_level": LogLevel.warn, "log_format": "from {who}", "who": "worker 2", "log_time": 5.0})
        log = self.result(self.colleagues.read(0, False))
        self.assertEqual([line.text for line in log.lines], ["from worker 2"])
        waiting = self.colleagues.read(log.lines[-1].number, True)
        self.flush()
        self.assertNoResult(waiting)
        self.log({"log_level": LogLevel.info, "log_format": "later", "log_time": 6.0})
        self.clock.advance(1)
        self.assertEqual([line.text for line in self.result(waiting).lines], ["later"])

    def test_files_are_read_once_and_gone_by_in_all_workers(self) -> None:
        home = Home(Path(self.mktemp()).absolute())
        home.ensure()
        config = load_configuration(home)
        self.office.reload = lambda: succeed(Reloaded(taken=False, lines=("a mistake",)))
        self.assertEqual(self.result(self.colleagues.reload()).lines, ("a mistake",))
        outcomes = self.result(Deferred.fromCoroutine(self.office.go_by(config, config)))
        self.assertEqual([(worker, outcome.taken) for worker, outcome in outcomes], [(0, True), (1, True)])
        self.assertEqual(self.gone_by, [(0, config), (1, config)])

    def test_words_of_the_files_are_newer_than_those_of_commands(self) -> None:
        home = Home(Path(self.mktemp()).absolute())
        home.ensure()
        self.result(self.houses[0].agent.parts.peers.rule(Ruling("max_users", 7)))
        config = load_configuration(home)
        self.result(Deferred.fromCoroutine(self.office.go_by(config, config)))
        self.start(1)
        self.assertEqual(self.houses[1].agent.parts.bench.limits.max_users, Limits().max_users)

    def test_what_commands_have_ruled_stays_where_all_workers_refuse_the_files(self) -> None:
        home = Home(Path(self.mktemp()).absolute())
        home.ensure()
        before, after = load_configuration(home), load_configuration(home)
        self.result(self.houses[0].agent.parts.peers.rule(Ruling("max_users", 7)))
        for link in self.links.values():
            link.go_by = lambda config: succeed(Reloaded(taken=False, lines=("no",)))
        outcomes = self.result(Deferred.fromCoroutine(self.office.go_by(after, before)))
        self.assertTrue(is_refused(outcomes))
        self.start(1)
        self.assertEqual(self.houses[1].agent.parts.bench.limits.max_users, 7)

    def test_worker_that_comes_up_meanwhile_hears_what_the_files_say(self) -> None:
        home = Home(Path(self.mktemp()).absolute())
        home.ensure()
        config = load_configuration(home)
        self.pumps.pop()
        late = Link()
        late.stop = late.hurry = lambda: None
        late.go_by = partial(self.went_by, 1)
        late.peer = mock.Mock()
        _, _, pump = connectedServerAndClient(lambda: self.office.desk(1, lambda: None), lambda: late)
        self.pumps.append(pump)
        self.result(Deferred.fromCoroutine(self.office.go_by(config, config)))
        self.assertEqual(self.gone_by, [(0, config)])
        late.ready()
        self.flush()
        self.assertEqual(self.gone_by, [(0, config), (1, config)])
        self.start(0)
        self.assertEqual(len(self.gone_by), 2)

    def test_phone_is_invited_by_the_worker_that_has_the_pages(self) -> None:
        self.links[0].invite = lambda base: f"{base}/pair#code"
        invited = self.result(Deferred.fromCoroutine(self.office.invite("http://x")))
        self.assertEqual(invited, "http://x/pair#code")


class KeeperTests(OfficeCase):
    def test_embedded_models_may_be_others_later(self) -> None:
        other: Any = FakeKeeper()
        self.office.embed({"new": other})
        other.tell(True)
        self.flush()
        self.assertTrue(self.links[0].loaded["new"])
        self.keeper.tell(True)
        self.flush()
        self.assertFalse(self.links[0].loaded["local"])
        gone = Deferred.fromCoroutine(self.links[0].serving("local"))
        self.flush()
        self.failureResultOf(gone, ModelError)

    def test_model_that_has_a_successor_ends_once_no_worker_asks_it_any_more(self) -> None:
        ended: list[str] = []
        first, second = (DistantKeeper(self.links[worker], "local") for worker in (0, 1))
        self.ask(first, self.keeper, "old")
        self.ask(second, self.keeper, "old")
        new: Any = FakeKeeper()
        self.office.embed({"local": new})
        self.office.retire(cast(Keeper, self.keeper), lambda: ended.append("old"))
        # A turn that began with it asks it once more; who comes now gets its successor.
        self.ask(first, self.keeper, "old")
        self.ask(DistantKeeper(self.links[0], "local"), new, "new")
        first.stop()
        self.flush()
        self.assertEqual(ended, [])
        self.links[1].transport.loseConnection()  # type: ignore[union-attr]
        self.flush()
        self.assertEqual(ended, ["old"])
        self.office.retire(new, lambda: ended.append("new"))
        self.assertEqual(ended, ["old"])

    def test_model_that_nobody_asked_ends_at_once(self) -> None:
        ended: list[str] = []
        self.office.retire(cast(Keeper, self.keeper), lambda: ended.append("old"))
        self.assertEqual(ended, ["old"])

    def ask(self, distant: DistantKeeper, keeper: FakeKeeper, name: str) -> None:
        """Has a worker ask for a model; it is that keeper's."""
        asked = distant.serving()
        self.flush()
        keeper.waiting.pop().callback(Server(name))
        self.assertEqual(self.result(asked), Server(name))
