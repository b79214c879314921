"""Room for those who talk: whoever fills the house up, others and the operator still get in."""

from typing import Any

from llamaproxy.agent.sessions.guests import MOST_VISITORS
from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.types import Caller
from tests.agent.turns.test_turns import TurnCase
from tests.support import Listener


def caller(name: str, **more: Any) -> Caller:
    return Caller(session_id=f"llama-{name}", address=more.pop("address", name), **more)


class GuestsTests(TurnCase):
    def setUp(self) -> None:
        self.house = self.make(limits=Limits(max_users=4))

    @property
    def sessions(self) -> list[str]:
        return [session.session_id.removeprefix("llama-") for session in self.house.agent.parts.sessions]

    def is_in(self, who: Caller) -> bool:
        """Whether the caller's question reaches a model, which does not answer yet."""
        before = len(self.house.calls)
        listener = self.listen("hello", who)
        self.assertEqual(listener.end is not None, len(self.house.calls) == before)
        return len(self.house.calls) > before

    def visit(self, who: Caller) -> Listener:
        """A whole turn."""
        self.house.clock.advance(1)
        return self.answered("hello", "hi", who)

    def test_who_only_sends_commands_is_no_user(self) -> None:
        for number in range(50):
            self.assertIn("!help", self.listen("!help", caller(f"10.0.0.{number}")).text)
        self.assertTrue(self.is_in(caller("10.0.1.1")))

    def test_those_that_only_send_commands_do_not_fill_the_memory(self) -> None:
        for number in range(MOST_VISITORS + 50):
            self.house.clock.advance(1)
            self.listen("!session", caller(f"v{number}", rights="safe"))
        self.assertLessEqual(len(self.sessions), MOST_VISITORS)
        self.assertIn(f"v{MOST_VISITORS + 49}", self.sessions)
        self.assertNotIn("v0", self.sessions)

    def test_whoever_was_idle_longest_gives_way_and_comes_back_with_the_history(self) -> None:
        for name in ("a", "b", "c", "d", "a", "e"):
            self.visit(caller(name))
        self.assertEqual(sorted(self.sessions), ["a", "c", "d", "e"])
        self.listen("again", caller("b"))
        self.assertEqual(self.house.calls[-1].prompt()[0], ("user", "hello"))
        self.assertEqual(len(self.sessions), 4)

    def test_nobody_gives_way_in_the_middle_of_a_turn(self) -> None:
        for name in ("a", "b", "c", "d"):
            self.assertTrue(self.is_in(caller(name)))
        self.house.clock.advance(60)
        self.assertIn("as many as the operator allows", self.listen("hello", caller("e")).text)
        self.assertTrue(self.is_in(caller("f", owner=True)))

    def test_one_address_or_key_has_its_share_and_not_all(self) -> None:
        for source in ({"address": "10.0.0.9"}, {"source": "key webui"}):
            self.setUp()
            for number in range(3):
                self.assertTrue(self.is_in(caller(f"chat{number}", **source)))
            self.house.clock.advance(60)
            self.assertIn("your address", self.listen("hello", caller("chat3", **source)).text)
            self.assertTrue(self.is_in(caller("somebody-else")))
            # Only its own gives way to it, and needs no time for that.
            self.house.calls[0].answer("hi")
            self.assertTrue(self.is_in(caller("chat3", **source)))
            self.assertNotIn("chat0", self.sessions)

    def test_fifty_chats_of_one_app_leave_room(self) -> None:
        for number in range(50):
            self.visit(caller(f"chat{number}", address="10.0.0.9"))
        self.assertEqual(len(self.sessions), 3)
        self.assertTrue(self.is_in(caller("a")))

    def test_what_models_ask_leaves_no_session_and_takes_no_more_room_than_others(self) -> None:
        for depth in range(1, 10):
            self.visit(caller(f"asked-{depth}", address="10.0.0.9", depth=depth, rights="safe"))
            self.listen("!whoami", caller(f"asked-{depth}", address="10.0.0.9", depth=depth, rights="safe"))
        self.assertEqual(self.sessions, [])
        for depth in range(1, 4):
            self.assertTrue(self.is_in(caller(f"asked-{depth}", address="10.0.0.9", depth=depth)))
        self.assertFalse(self.is_in(caller("asked-4", address="10.0.0.9", depth=4)))
        self.assertEqual(len(self.house.store.messages["llama-asked-1"]), 2)

    def test_without_a_limit_everybody_gets_in(self) -> None:
        self.house.limits.max_users = 0
        for number in range(200):
            self.assertTrue(self.is_in(caller(f"chat{number}", address="10.0.0.9")))
