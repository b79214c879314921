"""What stays in memory of conversations that rest."""

from llamaproxy.agent.sessions import shelf
from llamaproxy.agent.sessions.turn import MEMORY
from llamaproxy.seams.types import Caller
from tests.agent.turns.test_turns import PHONE, TurnCase


def caller(number: int) -> Caller:
    return Caller(session_id=f"llama-10.0.0.{number}", address=f"10.0.0.{number}", owner=True)


class ShelfTests(TurnCase):
    def setUp(self) -> None:
        super().setUp()
        self.house.agent.parts.sessions._shelf = shelf.Shelf(20_000)

    def in_memory(self) -> list[int]:
        return [len(session.messages) for session in self.house.agent.parts.sessions]

    def test_histories_of_those_who_rest_longest_give_way_and_are_read_again(self) -> None:
        for number in range(10):
            self.answered(f"question {number}", "x" * 3000, caller(number))
        self.assertLessEqual(sum(self.in_memory()), 2 * 5)
        self.assertEqual(self.in_memory()[-1], 2)
        self.assertEqual(self.in_memory()[0], 0)
        self.answered("and now?", "y", caller(0))
        self.assertEqual(
            self.house.calls[-1].prompt(),
            [("user", "question 0"), ("assistant", "x" * 3000), ("user", "and now?")],
        )
        self.assertEqual(len(self.stored(caller(0))), 4)

    def test_history_of_a_turn_that_runs_stays(self) -> None:
        self.answered("one", "x" * 3000)
        self.listen("two")
        for number in range(10):
            self.answered("question", "x" * 3000, caller(number))
        (session,) = [s for s in self.house.agent.parts.sessions if s.session_id == PHONE.session_id]
        self.assertEqual(len(session.messages), 2)

    def test_last_turn_is_let_go_once_it_answers_no_other_try(self) -> None:
        self.answered("one", "first")
        (session,) = self.house.agent.parts.sessions
        self.house.agent.reap()
        self.assertIsNotNone(session.latest)
        self.house.clock.advance(MEMORY)
        self.house.agent.reap()
        self.assertIsNone(session.latest)
