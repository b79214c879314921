"""Turns while another program holds the store: they go on, and what was said is written later."""

from typing import Any

from twisted.internet.defer import Deferred, fail

from llamaproxy.seams.errors import NotYetStored, StoreError
from llamaproxy.seams.types import Message, Reasoning, Spot
from tests.agent.turns.test_turns import PHONE, TurnCase


class HeldStoreTests(TurnCase):
    def setUp(self) -> None:
        super().setUp()
        self.answered("one", "first")
        self.late: list[tuple[Deferred[Any], Any]] = []
        store = self.house.store
        append, save = store.append, store.save_settings

        def held_append(session_id: str, messages: list[Message], after: Spot | None = None) -> Deferred[int]:
            return self.hold(lambda: append(session_id, messages, after))

        def held_save(session_id: str, model: str, settings: dict[str, Any]) -> Deferred[None]:
            return self.hold(lambda: save(session_id, model, settings))

        self.patch(store, "append", held_append)
        self.patch(store, "save_settings", held_save)

    def hold(self, work: Any) -> Deferred[Any]:
        error = NotYetStored("another program holds it")
        error.written = Deferred()
        self.late.append((error.written, work))
        return fail(error)

    def let_go(self) -> None:
        for written, work in self.late:
            work().chainDeferred(written)

    def test_reply_ends_with_a_word_beside_it_and_the_next_turn_knows_what_was_said(self) -> None:
        listener = self.answered("two", "second")
        self.assertEqual((listener.text, listener.error), ("second", None))
        self.assertIsNotNone(listener.end)
        (told,) = [event.text for event in listener.events if isinstance(event, Reasoning)]
        self.assertIn("not saved yet", told)
        self.answered("three", "third")
        self.assertIn(("user", "two"), self.house.calls[-1].prompt())
        self.assertEqual(len(self.stored()), 2)
        self.let_go()
        self.assertEqual(
            [text for _, text in self.stored()], ["one", "first", "two", "second", "three", "third"]
        )

    def test_settings_hold_at_once_and_are_kept_later(self) -> None:
        self.assertIn("Model: main", self.listen("!model main").text)
        self.assertNotIn(PHONE.session_id, self.house.store.settings)
        self.let_go()
        self.assertEqual(self.house.store.settings[PHONE.session_id][0], "main")

    def test_what_cannot_be_written_in_the_end_breaks_nothing(self) -> None:
        self.answered("two", "second")
        self.late[0][0].errback(StoreError("the disk is full"))
        self.late[0][0].addErrback(lambda _: None)
        self.assertEqual(self.answered("three", "third").text, "third")
