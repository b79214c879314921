"""Anthropic's format as others speak it: only what is needed must be right."""

from typing import Any

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.answers.anthropic import MAX_THOUGHTS
from llamaproxy.models.upstream.sse import TooLongError
from llamaproxy.seams.errors import ModelError, ModelRateLimited, ModelUnavailable
from llamaproxy.seams.types import Usage

from .hearing import hear, sse

STOP = {"type": "message_stop"}
FILES = {"type": "tool_use", "id": "t", "name": "files", "input": {}}


def start(index: Any, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: Any, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def end(reason: Any = "end_turn", usage: Any = None) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


# What comes before the end -> (text, thoughts, calls).
ANSWERS: dict[str, tuple[list[Any], str, str, list[tuple[str, str]]]] = {
    "text in the start of a block": (
        [start(0, type="text", text="y"), piece(0, type="text_delta", text="es")],
        "yes",
        "",
        [],
    ),
    "a thought in the start of a block": ([start(0, type="thinking", thinking="hm")], "", "hm", []),
    "text in the start of the message": (
        [
            {"type": "message_start", "message": {"content": [{"type": "text", "text": "y"}]}},
            piece(0, text="es"),
        ],
        "yes",
        "",
        [],
    ),
    "pieces without a type": ([piece(0, text="yes"), piece(1, thinking="hm")], "yes", "hm", []),
    "events without a type": ([{"index": 0, "delta": {"text": "yes"}}], "yes", "", []),
    "an index of any type": (
        [start("0", type="text"), piece(None, text="yes"), piece([], text="")],
        "yes",
        "",
        [],
    ),
    "fields of any type": (
        [
            {"type": "message_start", "message": None},
            piece(0, text="yes", thinking=5 * [{}], signature=[]),
            None,
            7,
        ],
        "yes",
        "",
        [],
    ),
    "input in pieces": (
        [start(1, **FILES), piece(1, partial_json='{"x"'), piece(1, partial_json=":1}")],
        "",
        "",
        [("files", '{"x":1}')],
    ),
    "input in the start of a block": (
        [start(1, **FILES | {"input": {"x": 1}})],
        "",
        "",
        [("files", '{"x":1}')],
    ),
    "input in the start of a block and in pieces": (
        [start(1, **FILES | {"input": {"x": 1}}), piece(1, partial_json='{"x":1}')],
        "",
        "",
        [("files", '{"x":1}')],
    ),
    "input as an object": (
        [start(1, **FILES), piece(1, partial_json={"x": 1})],
        "",
        "",
        [("files", '{"x":1}')],
    ),
    "input of a tool that the API runs": (
        [start(0, type="server_tool_use", id="s", name="web_search"), piece(0, partial_json='{"q":1}')],
        "",
        "",
        [],
    ),
}

ERRORS: tuple[tuple[str, bytes, type[ModelError]], ...] = (
    (
        "overloaded",
        sse({"type": "error", "error": {"type": "overloaded_error", "message": "x y"}}),
        ModelUnavailable,
    ),
    ("named", b'event: error\ndata: {"message":"x y"}\n\n', ModelError),
    (
        "named and typed",
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x y"}}\n\n',
        ModelUnavailable,
    ),
    (
        "limited",
        sse({"type": "error", "error": {"type": "rate_limit_error", "message": "x y"}}),
        ModelRateLimited,
    ),
    ("a text", sse({"type": "error", "error": "x y"}), ModelError),
    ("without an object", sse({"type": "error", "message": "x y"}), ModelError),
    ("FastAPI's", sse({"detail": "x y"}), ModelError),
    ("whole JSON", b'{"type":"error","error":{"type":"api_error","message":"x y"}}', ModelError),
)


class AnswerTests(SynchronousTestCase):
    def test_answers_are_heard_in_every_form_that_they_come_in(self) -> None:
        for name, (events, text, thoughts, calls) in ANSWERS.items():
            heard = hear("ANTHROPIC", sse(*events, end(), STOP))
            self.assertEqual((heard.text, heard.thoughts, heard.calls), (text, thoughts, calls), name)
            self.assertEqual(heard.finish, "tool_calls" if calls else "stop", name)

    def test_answer_that_is_not_streamed_is_read(self) -> None:
        content = [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "yes"},
            FILES | {"input": {"x": 1}},
        ]
        message = {
            "type": "message",
            "content": content,
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 5.0},
        }
        heard = hear("ANTHROPIC", json.format(json.encode(message)))
        assert heard.result is not None
        self.assertEqual((heard.text, heard.thoughts, heard.calls), ("yes", "hm", [("files", '{"x":1}')]))
        self.assertEqual((heard.finish, heard.result.usage), ("tool_calls", Usage(5, 0)))

    def test_counts_never_cost_an_answer(self) -> None:
        for usage, output in (({"output_tokens": 2.0}, 2), ({"output_tokens": "2"}, 2), ("x", 0), ([], 0)):
            heard = hear("ANTHROPIC", sse(piece(0, text="yes"), end(usage=usage), STOP))
            assert heard.result is not None
            self.assertEqual((heard.text, heard.result.usage), ("yes", Usage(0, output)))

    def test_reason_of_the_end_is_enough_of_one(self) -> None:
        for body in (sse(piece(0, text="yes"), end()), sse(piece(0, text="yes"), end()).rstrip()):
            self.assertEqual(hear("ANTHROPIC", body).finish, "stop")

    def test_errors_in_every_shape_are_told_in_the_servers_words(self) -> None:
        for name, body, kind in ERRORS:
            error = self.assertRaises(ModelError, hear, "ANTHROPIC", body)
            self.assertIs(type(error), kind, name)
            self.assertIn("failed: x y", str(error), name)

    def test_error_of_a_few_words_may_be_a_status_in_words(self) -> None:
        statuses = {
            "overloaded_error": ModelUnavailable,
            "Service unavailable": ModelUnavailable,
            "Overloaded": ModelUnavailable,
            "Too Many Requests": ModelRateLimited,
            "the tool of yours that it needs is unavailable": ModelError,
        }
        for words, kind in statuses.items():
            for told in (words, {"message": words}, {"type": "api_error", "message": words}):
                error = self.assertRaises(
                    ModelError, hear, "ANTHROPIC", sse({"type": "error", "error": told})
                )
                self.assertIs(type(error), kind, told)

    def test_thoughts_that_are_kept_are_bounded(self) -> None:
        body = sse(piece(0, thinking="x" * 1_000_000))
        with self.assertRaisesRegex(TooLongError, f"thoughts of more than {MAX_THOUGHTS} bytes"):
            hear("ANTHROPIC", *[body] * 17)
