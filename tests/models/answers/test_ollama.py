"""Ollama's format as others speak it: only what is needed must be right."""

from typing import Any

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.upstream.sse import MAX_LINE, LineTooLongError
from llamaproxy.seams.errors import ModelError, ModelUnavailable
from llamaproxy.seams.types import Usage

from .hearing import hear, lines

END = {"done": True, "done_reason": "stop"}


def message(**fields: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", **fields}, "done": False}


# What comes before the end -> (text, thoughts, calls).
ANSWERS: dict[str, tuple[list[Any], str, str, list[tuple[str, str]]]] = {
    "parts": ([message(content=[{"type": "thinking", "thinking": "hm"}, {"text": "yes"}])], "yes", "hm", []),
    "fields of any type": (
        [
            message(content="yes", thinking=[], tool_calls={}),
            {"message": None},
            {"message": 5, "done": "no"},
            {},
        ],
        "yes",
        "",
        [],
    ),
    "arguments as text": (
        [message(tool_calls=[{"function": {"name": "f", "arguments": '{"x":1}'}}])],
        "",
        "",
        [("f", '{"x":1}')],
    ),
    "one call that is no list": (
        [message(tool_calls={"function": {"name": "f", "arguments": {"x": 1}}, "id": 7})],
        "",
        "",
        [("f", '{"x":1}')],
    ),
    "a call without arguments, and one without a function": (
        [message(tool_calls=[{"function": {"name": "f"}}, {"function": None}])],
        "",
        "",
        [("f", "{}")],
    ),
}


class AnswerTests(SynchronousTestCase):
    def test_answers_are_heard_in_every_form_that_they_come_in(self) -> None:
        for name, (objects, text, thoughts, calls) in ANSWERS.items():
            heard = hear("OLLAMA", lines(*objects, END))
            self.assertEqual((heard.text, heard.thoughts, heard.calls), (text, thoughts, calls), name)

    def test_lines_may_be_framed_in_other_ways(self) -> None:
        body = lines(message(content="y"), message(content="es"), END)
        events = b"".join(b"data: %b\n\n" % line for line in body.splitlines())
        for framed in (
            body.rstrip(),
            b"\xef\xbb\xbf" + body,
            body.replace(b"\n", b"\r\n"),
            body.replace(b"\n", b"\r"),
            b"\n \n" + body.replace(b"\n", b"\n\n"),
            events,
            events + b"data: [DONE]\n\n",
        ):
            for cut in (0, 1, 2, len(framed) - 1):
                heard = hear("OLLAMA", framed[:cut], framed[cut:])
                self.assertEqual((heard.text, heard.finish), ("yes", "stop"), framed)

    def test_answer_that_is_not_streamed_is_read(self) -> None:
        whole = json.encode(message(content="yes") | END)
        for body in (whole, json.format(whole), json.format(whole) + b"\n"):
            self.assertEqual(hear("OLLAMA", body).text, "yes")

    def test_counts_never_cost_an_answer(self) -> None:
        for counts, usage in (
            ({"prompt_eval_count": 5.0, "eval_count": "2"}, Usage(5, 2)),
            ({"prompt_eval_count": None, "eval_count": 2}, Usage(0, 2)),
            ({"prompt_eval_count": [], "eval_count": "x"}, None),
        ):
            heard = hear("OLLAMA", lines(message(content="yes"), END | counts))
            assert heard.result is not None
            self.assertEqual((heard.text, heard.result.usage), ("yes", usage))

    def test_ends_have_their_meaning(self) -> None:
        for reason, meaning in (("length", "length"), (None, "stop"), ([], "stop"), ("content_filter",) * 2):
            self.assertEqual(hear("OLLAMA", lines(END | {"done_reason": reason})).finish, meaning)

    def test_errors_in_every_shape_are_told_in_the_servers_words(self) -> None:
        for error in (
            {"error": "x y"},
            {"error": {"message": "x y"}},
            {"error": ["x y"]},
            {"detail": "x y"},
            {"error": {"error": "x y"}, "done": True},
        ):
            reported = self.assertRaises(ModelError, hear, "OLLAMA", lines(error))
            self.assertIn("failed: x y", str(reported))

    def test_server_that_says_that_it_is_overloaded_may_be_asked_again(self) -> None:
        error = self.assertRaises(ModelError, hear, "OLLAMA", lines({"error": {"code": 503, "message": "x"}}))
        self.assertIs(type(error), ModelUnavailable)

    def test_text_in_place_of_an_answer_is_told(self) -> None:
        error = self.assertRaises(ModelError, hear, "OLLAMA", b"no such\nmodel here")
        self.assertIn("answered with something other than a stream: no such", str(error))

    def test_object_over_many_lines_is_bounded(self) -> None:
        with self.assertRaises(LineTooLongError):
            hear("OLLAMA", b"{\n", *[b'"x":1,\n' * 10_000] * (MAX_LINE // 600_000))
