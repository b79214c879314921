"""What is thrown away because the operator said so, and nothing else."""

from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions import retention
from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.agent.sessions.retention import DAY, overdue
from llamaproxy.seams.limits import Keep
from llamaproxy.seams.types import Caller, Resting, StoredSession
from tests.agent.turns.test_turns import PHONE, TurnCase

NOW = 1000 * DAY


def resting(*sessions: tuple[str, float, int]) -> list[Resting]:
    """Sessions with the days since they were used, and their size."""
    return [Resting(name, NOW - days * DAY, size) for name, days, size in sessions]


class OverdueTests(SynchronousTestCase):
    HOUSE = resting(
        ("llama-10.0.0.1", 1, 10),
        ("llama-10.0.0.1-chat", 40, 500_000),
        ("llama-10.0.0.1-old", 400, 700_000),
        ("llama-10.0.0.2", 500, 10),
        ("llama-fd00::1-x", 0.01, 9_000_000),
    )

    def over(self, **keep: float) -> list[str]:
        gone = overdue(self.HOUSE, Keep(**keep), NOW)  # type: ignore[arg-type]
        return [each.session_id for each in gone]

    def test_nothing_goes_by_default(self) -> None:
        self.assertEqual(self.over(), [])
        self.assertFalse(Keep().limits)

    def test_what_nobody_used_for_so_long_goes_the_oldest_first(self) -> None:
        self.assertEqual(self.over(days=100), ["llama-10.0.0.2", "llama-10.0.0.1-old"])

    def test_each_address_keeps_its_newest(self) -> None:
        self.assertEqual(self.over(sessions=1), ["llama-10.0.0.1-old", "llama-10.0.0.1-chat"])
        self.assertEqual(self.over(sessions=2), ["llama-10.0.0.1-old"])

    def test_each_address_has_so_many_bytes(self) -> None:
        self.assertEqual(self.over(megabytes=1), ["llama-10.0.0.1-old"])

    def test_what_was_just_used_stays_however_large(self) -> None:
        self.assertNotIn("llama-fd00::1-x", self.over(megabytes=0.001))


class RetentionTests(TurnCase):
    def setUp(self) -> None:
        super().setUp()
        # The thread that works it out is none here.
        self.patch(retention, "deferToThread", maybeDeferred)
        self.house = self.make(limits=Limits(keep=Keep(days=1)))
        self.other = Caller(session_id="llama-10.0.0.9", address="10.0.0.9")

    def sweep(self) -> int:
        return self.successResultOf(self.house.agent.parts.retention.sweep())

    def test_sessions_at_rest_go_and_those_in_memory_stay(self) -> None:
        self.answered("one", "first")
        self.answered("two", "second", self.other)
        sessions = self.house.agent.parts.sessions
        session = sessions.get(self.other.session_id)
        assert session is not None
        sessions.drop(session)
        self.house.clock.advance(2 * DAY)
        self.assertEqual(self.sweep(), 1)
        self.assertEqual(self.stored(self.other), [])
        self.assertEqual(self.stored(PHONE), [("user", "one"), ("assistant", "first")])

    def rest(self) -> None:
        """Somebody else said something long ago, and is not in memory any more."""
        self.answered("two", "second", self.other)
        session = self.house.agent.parts.sessions.get(self.other.session_id)
        assert session is not None
        self.house.agent.parts.sessions.drop(session)

    def test_who_comes_while_it_is_looked_at_keeps_their_words(self) -> None:
        for meanwhile, last_active in ((lambda: self.listen("three", self.other), 0.0), (lambda: None, 5.0)):
            self.house = self.make(limits=Limits(keep=Keep(days=1)))
            self.rest()
            store, waiting = self.house.store, Deferred[StoredSession | None]()
            found = self.successResultOf(store.load(self.other.session_id, 1))
            assert found is not None
            with_load: Any = self.patch(store, "load", lambda *_, waiting=waiting: waiting)
            swept = self.house.agent.parts.retention.sweep()
            with_load.restore()
            meanwhile()
            waiting.callback(replace(found, last_active=last_active))
            self.assertEqual(self.successResultOf(swept), 0)
            self.assertEqual(self.stored(self.other), [("user", "two"), ("assistant", "second")])

    def test_sessions_of_another_process_are_its_own(self) -> None:
        self.rest()
        self.patch(self.house.agent.parts.peers, "has_here", lambda session_id: False)
        self.assertEqual(self.sweep(), 0)
        self.assertEqual(len(self.stored(self.other)), 2)

    def test_agent_looks_once_an_hour(self) -> None:
        self.answered("two", "second", self.other)
        self.house.agent.start()
        self.house.clock.pump([600.0] * 180)
        self.assertEqual(self.stored(self.other), [])

    def test_nothing_is_looked_for_where_all_is_kept(self) -> None:
        self.house = self.make()
        self.assertEqual(self.sweep(), 0)
