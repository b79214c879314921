"""A conversation in the store is a tree that only grows."""

from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from llamaproxy.seams.interfaces import ISessionStore
from llamaproxy.seams.types import Branch, Given, Mark, Message, Spot, Trace
from llamaproxy.store.database import Database
from tests.stores import MemoryStore

T = TypeVar("T")


def said(*texts: str) -> list[Message]:
    """Messages of the user and answers by turns; the answers can be found."""
    return [
        Message(role="assistant", content=text, given=Given(place=f"at {text}", opening=text))
        if text.startswith("a")
        else Message(role="user", content=text)
        for text in texts
    ]


class DatabaseTests(SynchronousTestCase):
    """The real store, and the tests' own beside it, so that both do the same."""

    def setUp(self) -> None:
        self.database = Database(Path(self.mktemp()), lambda: 0.0)
        self.addCleanup(self.database.close)
        self.memory = MemoryStore()

    def now(self, fired: "Deferred[T]") -> T:
        return self.successResultOf(fired)

    def append(self, texts: str, after: Spot | None = None) -> int:
        messages = said(*texts.split())
        branch = self.database.append("s", messages, after)
        self.assertEqual(self.now(self.memory.append("s", messages, after)), branch)
        return branch

    def line(self, limit: int = 100) -> str:
        """The active branch, "number: messages"."""
        session = self.database.load("s", limit)
        assert session is not None
        other = self.now(self.memory.load("s", limit))
        assert other is not None
        self.assertEqual(
            (other.branch, other.messages, other.message_count),
            (session.branch, session.messages, session.message_count),
        )
        return f"{session.branch}: {' '.join(message.content for message in session.messages)}"

    def take_up(self, branch: int) -> bool:
        there = self.database.take_up("s", branch)
        self.assertEqual(self.now(self.memory.take_up("s", branch)), there)
        return there

    def step_back(self) -> int | None:
        before = self.database.step_back("s")
        self.assertEqual(self.now(self.memory.step_back("s")), before)
        return before

    def test_the_tests_store_is_one(self) -> None:
        verifyObject(ISessionStore, self.memory)

    def test_a_branch_begins_in_the_middle_and_the_rest_stays(self) -> None:
        self.append("q1 a1 q2 a2 q3 a3")
        self.assertEqual(self.append("q2' a2'", Spot(1, 2)), 2)
        self.assertEqual(self.line(), "2: q1 a1 q2' a2'")
        self.append("q4 a4")
        self.assertEqual(self.line(), "2: q1 a1 q2' a2' q4 a4")
        self.assertTrue(self.take_up(1))
        self.assertEqual(self.line(), "1: q1 a1 q2 a2 q3 a3")
        self.append("q5 a5")
        self.assertEqual(self.line(3), "1: a3 q5 a5")

    def test_the_end_of_a_branch_is_no_new_one(self) -> None:
        self.append("q1 a1")
        self.append("q2 a2", Spot(1, 0))
        self.assertEqual(self.append("q3 a3", Spot(1, 2)), 1)
        self.assertEqual(self.line(), "1: q1 a1 q3 a3")
        self.assertEqual(self.append("q4 a4", Spot(2, 2)), 2)
        self.assertEqual(self.line(), "2: q2 a2 q4 a4")

    def test_branches_of_branches_share_what_is_below_them(self) -> None:
        self.append("q1 a1 q2 a2 q3 a3")
        self.append("q3' a3'", Spot(1, 4))
        self.append("q4 a4 q5 a5")
        self.append("q5' a5'", Spot(2, 8))
        self.assertEqual(self.line(), "3: q1 a1 q2 a2 q3' a3' q4 a4 q5' a5'")
        # Below its own beginning, a branch is another one.
        self.append("q2' a2'", Spot(3, 2))
        self.assertEqual(self.line(), "4: q1 a1 q2' a2'")
        for limit, line in ((1, "a2'"), (3, "a1 q2' a2'"), (4, "q1 a1 q2' a2'"), (0, "")):
            self.assertEqual(self.line(limit), f"4: {line}")

    def test_many_answers_to_one_message_are_beside_each_other(self) -> None:
        self.append("q1 a1 q2 a2")
        for number in range(2, 40):
            self.assertEqual(self.append("again", Spot(number - 1, 3)), number)
        self.assertEqual(self.line(), "39: q1 a1 q2 again")
        self.assertEqual(self.database.clear("s"), 4 + 38)

    def test_steps_are_taken_back_one_after_the_other(self) -> None:
        self.assertIsNone(self.step_back())
        self.append("q1 a1 q2 a2")
        self.assertIsNone(self.step_back())
        self.append("q2' a2'", Spot(1, 2))
        self.append("q2'' a2''", Spot(2, 2))
        self.assertEqual((self.step_back(), self.line()), (2, "2: q1 a1 q2' a2'"))
        self.assertEqual((self.step_back(), self.line()), (1, "1: q1 a1 q2 a2"))
        self.assertIsNone(self.step_back())
        self.take_up(3)
        self.assertEqual((self.step_back(), self.line()), (1, "1: q1 a1 q2 a2"))

    def test_branches_are_listed_with_their_first_words(self) -> None:
        self.assertEqual(self.database.branches("s"), [])
        self.append("q1 a1 q2 a2")
        self.append("q2' a2'", Spot(1, 2))
        expected = [
            Branch(number=1, begins=0, length=4, words="q1", ending="a2", active=False),
            Branch(number=2, begins=2, length=4, words="q2'", ending="a2'", active=True),
        ]
        self.assertEqual(self.database.branches("s"), expected)
        self.assertEqual(self.now(self.memory.branches("s")), expected)

    def test_there_is_no_branch_that_nobody_began(self) -> None:
        self.append("q1 a1")
        for number in (0, 2, -1, 10**30):
            self.assertFalse(self.take_up(number))
        self.assertFalse(self.database.take_up("nobody", 1))
        self.assertEqual(self.line(), "1: q1 a1")

    def test_an_answer_is_found_on_whichever_branch_it_is(self) -> None:
        self.append("q1 a1 q2 a2")
        self.append("q2' a2'", Spot(1, 2))
        self.database.append("t", said("q1", "a2"))
        asked = Message(role="user", content="q3", mark=Mark(before="at q2", after="at q3"))
        for append in (self.database.append, self.memory.append):
            append("s", [asked], None)
        places = ["at a2", "at a2'", "at q2", "at q3", "nowhere"]
        found = self.database.find("s", places)
        self.assertEqual(
            found,
            [
                Trace("at q3", None, Spot(2, 5)),
                Trace("at a2'", "a2'", Spot(2, 4)),
                Trace("at a2", "a2", Spot(1, 4)),
            ],
        )
        self.assertEqual(self.now(self.memory.find("s", places)), found)
        self.assertEqual(self.database.find("s", []), [])

    def test_forgetting_forgets_all_branches(self) -> None:
        self.append("q1 a1 q2 a2")
        self.append("q2' a2'", Spot(1, 2))
        self.assertEqual((self.database.clear("s"), self.now(self.memory.clear("s"))), (6, 6))
        self.assertEqual(self.database.branches("s"), [])
        self.assertEqual(self.database.find("s", ["at a1"]), [])
        self.append("q5 a5")
        self.assertEqual(self.line(), "1: q5 a5")
        self.database.append("s", said("a6"), Spot(1, 1))
        self.assertTrue(self.database.delete("s"))
        self.assertEqual(self.database.branches("s"), [])
        self.assertIsNone(self.database.load("s", 10))
