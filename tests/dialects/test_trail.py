"""The shape of an app's history, as each dialect's parser gives it."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects import anthropic, ollama, openai, openai_responses
from llamaproxy.dialects.base import ChatRequest
from llamaproxy.dialects.trail import MAX_TRAIL
from llamaproxy.seams.errors import BadRequest
from llamaproxy.seams.types import ChatTurn, Unanswered

PNG = "iVBORw0KGgo="
ANSWER = {"role": "assistant", "content": "The answer"}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _body(field: str, **more: Any) -> Callable[[tuple[Any, ...]], bytes]:
    return lambda messages: json.dumps({"model": "m", field: messages, **more}).encode()


# Plain, blank, wrapped and odd ones.
PIECES = (
    "hello",
    " ",
    "\n",
    '"',
    "\\",
    "\u00e9\U0001f600",
    "<context>",
    "</context>",
    "<task>",
    "</task>",
    "```",
)
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=6).map("".join)

DIALECTS: tuple[tuple[Callable[[bytes], ChatRequest], Callable[[tuple[Any, ...]], bytes]], ...] = (
    (ollama.parse_chat, _body("messages")),
    (openai.parse_chat, _body("messages")),
    (openai_responses.parse, _body("input")),
    (anthropic.parse, _body("messages", max_tokens=9)),
)


class TrailCase(SynchronousTestCase):
    def turn(self, *messages: Any) -> ChatTurn:
        """What all dialects make of the messages."""
        turns = [parse(body(messages)).turn for parse, body in DIALECTS]
        first = turns[0]
        assert first is not None
        for turn in turns:
            assert turn is not None
            self.assertEqual((turn.trail, turn.shown), (first.trail, first.shown))
        return first

    def trail(self, *messages: Any) -> tuple[str, ...]:
        return self.turn(*messages).trail


class PlaceTests(TrailCase):
    def test_trail_grows_by_one_with_each_message_of_the_user(self) -> None:
        one = self.trail({"role": "system", "content": "s"}, user("a"))
        two = self.trail(user("a"), ANSWER, user("c"))
        self.assertEqual((one[0], len(one)), ("", 2))
        self.assertEqual((two[:2], len(two)), (one, 3))

    def test_messages_without_an_answer_between_them_are_at_one_place(self) -> None:
        self.assertEqual(len(self.trail(user("a"), user("b"))), 2)
        self.assertEqual(len(self.trail(user("a"), user("b"), ANSWER, ANSWER, user("c"), user("d"))), 3)
        self.assertNotEqual(self.trail(user("a"), user("b")), self.trail(user("b")))

    def test_trail_tells_texts_apart_and_nothing_else(self) -> None:
        self.assertNotEqual(
            self.trail(user("a"), ANSWER, user("c")), self.trail(user("b"), ANSWER, user("c"))
        )
        self.assertNotEqual(self.trail(user("ab"), user("c")), self.trail(user("a"), user("bc")))
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        parts = user([{"type": "text", "text": "a"}, picture])
        self.assertEqual(self.trail(parts), self.trail(user("a")))

    def test_words_that_a_note_of_the_app_parts_are_apart_like_messages(self) -> None:
        # qwen-code, whose user stopped a reply and went on.
        texts = ("<system-reminder>x</system-reminder>", "a", "<system-reminder>y</system-reminder>", "b")
        parts = [{"type": "text", "text": text} for text in texts]
        turn = self.turn(user(parts))
        self.assertEqual(turn.text, "b")
        self.assertEqual(turn.unanswered, (Unanswered("a", self.trail(user("a"))[-1]),))
        self.assertFalse(turn.commandable)
        # In the history as well, in which it stands later.
        self.assertEqual(self.trail(user(parts), ANSWER, user("c"))[:2], turn.trail)
        self.assertEqual(turn.trail, self.trail(user("a"), user("b")))

    def test_history_that_makes_no_sense_still_has_a_trail(self) -> None:
        for odd in (5, {"a": 1}, [7], None):
            self.assertEqual(len(self.trail(user(odd), {**ANSWER, "content": odd}, user("x"))), 3)

    def test_trail_is_bounded(self) -> None:
        chat = [message for n in range(1000) for message in (user(str(n)), ANSWER)]
        turn = self.turn(*chat, user("x"))
        self.assertEqual((len(turn.trail), len(turn.shown)), (MAX_TRAIL, MAX_TRAIL))


class PlainTests(TrailCase):
    """A message that is one text, which is read in a way of its own."""

    @settings(max_examples=300, deadline=None)
    @given(texts)
    def test_text_is_the_same_bare_and_as_a_part_and_stays_so_in_the_history(self, text: str) -> None:
        part = [{"type": "text", "text": text}]
        for parse, body in DIALECTS:
            try:
                expected = parse(body((user(part),))).turn
            except BadRequest:
                self.assertRaises(BadRequest, parse, body((user(text),)))
                continue
            turn = parse(body((user(text),))).turn
            assert turn is not None
            self.assertEqual(turn, expected)
            for shown in (text, part):
                later = parse(body((user(shown), ANSWER, user("x")))).turn
                assert later is not None
                self.assertEqual(later.trail[:2], turn.trail)

    def test_text_beside_pictures_or_earlier_words_is_read_with_them(self) -> None:
        turn = ollama.parse_chat(_body("messages")(({**user("look"), "images": [PNG]},))).turn
        assert turn is not None
        self.assertEqual((turn.text, len(turn.images)), ("look", 1))
        self.assertEqual(
            self.turn(user("a"), user("b")).unanswered, (Unanswered("a", self.trail(user("a"))[-1]),)
        )


class ResponsesTests(SynchronousTestCase):
    def test_response_that_goes_on_from_another_shows_no_history(self) -> None:
        body = {"model": "m", "input": [user("a")], "previous_response_id": "resp_1"}
        turn = openai_responses.parse(json.dumps(body).encode()).turn
        assert turn is not None
        self.assertEqual((turn.text, turn.trail, turn.shown), ("a", (), ()))


class ShownTests(TrailCase):
    def test_each_place_has_the_beginning_of_its_answer(self) -> None:
        cases: list[tuple[list[Any], str | None]] = [
            ([], None),
            ([{"role": "assistant", "content": "**Hello**, you!"}], "helloyou"),
            ([{"role": "assistant", "content": None}], ""),
            (
                [
                    {
                        "role": "assistant",
                        "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
                    }
                ],
                "hello",
            ),
            (
                [
                    {
                        "role": "assistant",
                        "content": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "lo"}],
                    }
                ],
                "lo",
            ),
            ([{"role": "assistant", "content": "Hel"}, {"role": "assistant", "content": "lo"}], "hello"),
            ([{"role": "assistant", "content": "<think>\nhm, so\n</think>\n\nHello"}], "hello"),
        ]
        for answers, shown in cases:
            end = [] if answers else [{"role": "system", "content": "s"}]
            turn = self.turn(user("a"), *answers, *end, user("b"))
            expected = (None, shown, None) if answers else (None, None)
            self.assertEqual(turn.shown, expected, answers)

    def test_answer_that_is_to_go_on_stands_behind_the_message(self) -> None:
        turn = self.turn(user("a"), ANSWER, user("b"), {"role": "assistant", "content": "so far"})
        self.assertEqual((turn.text, turn.shown), ("b", (None, "theanswer", "sofar")))

    def test_greeting_before_the_first_message_is_shown_before_it(self) -> None:
        self.assertEqual(self.turn(ANSWER, user("a")).shown, ("theanswer", None))
