"""OpenAI's format as others speak it: only what is needed must be right."""

from typing import Any

from msgspec import DecodeError, json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import ContextTooLong, ModelError, ModelRateLimited, ModelUnavailable
from llamaproxy.seams.types import Usage

from .hearing import DONE, chunk, delta, finish, hear, sse

THOUGHT = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]

# What a frame says -> (text, thoughts).
WORDS: dict[str, tuple[Any, str, str]] = {
    "parts, of which some are thoughts": (
        delta(content=[*THOUGHT, {"type": "text", "text": "yes"}]),
        "yes",
        "hm",
    ),
    "one part": (delta(content={"type": "text", "text": "yes"}), "yes", ""),
    "a text in a part that is an object": (
        delta(content=[{"type": "text", "text": {"value": "yes"}}]),
        "yes",
        "",
    ),
    "a thought that is marked as one": (delta(content=[{"text": "hm", "thought": True}]), "", "hm"),
    "parts that are texts": (delta(content=["y", "es"]), "yes", ""),
    "a part of a kind that nobody knows": (
        delta(content=[{"type": "reference", "ids": [1]}, "yes"]),
        "yes",
        "",
    ),
    "a number": (delta(content=42), "42", ""),
    "thoughts in a list": (delta(reasoning=[{"text": "hm"}]), "", "hm"),
    "thoughts in an object": (delta(reasoning_content={"text": "hm"}, content=None), "", "hm"),
    "a refusal": (delta(refusal="I can't"), "I can't", ""),
    "a message instead of a delta": (chunk({"message": {"role": "assistant", "content": "yes"}}), "yes", ""),
    "a message beside an empty delta": (chunk({"delta": {}, "message": {"content": "yes"}}), "yes", ""),
    "a completion that is no chat's": (chunk({"text": "yes", "index": 0}), "yes", ""),
    "one choice that is no list": ({"choices": {"delta": {"content": "yes"}}}, "yes", ""),
    "a list around the frame": ([delta(content="yes")], "yes", ""),
    "a delta with fields of any type": (
        delta(content="yes", tool_calls={}, role=5, reasoning=False, refusal={}, function_call=[]),
        "yes",
        "",
    ),
    "a choice with fields of any type": (
        chunk({"index": "0", "delta": {"content": "yes"}, "finish_reason": [], "logprobs": 3, "message": []}),
        "yes",
        "",
    ),
    "a usage of any type": (delta(content="yes") | {"usage": "none"}, "yes", ""),
    "an error that is none": (delta(content="yes") | {"error": {"message": None, "code": None}}, "yes", ""),
    "the first of several choices": (
        {"choices": [{"index": 0, "delta": {"content": "yes"}}, {"index": 1, "delta": {"content": "no"}}]},
        "yes",
        "",
    ),
}

# Frames that say nothing, wherever they come.
SILENT: dict[str, bytes] = {
    "delta null": sse({"choices": [{"delta": None, "finish_reason": None}]}),
    "choices null": sse({"choices": None}),
    "choices that are no list": sse({"choices": 7}),
    "nothing": sse({}, None, [], 7, "x"),
    "what Azure says of the prompt": sse({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
    "signs of life": b": OPENROUTER PROCESSING\n\ndata: \n\ndata: ping\n\nevent: ping\ndata: {}\n\n:\n\n",
    "a status": sse({"type": "status", "message": "still thinking", "status": "running"}),
    "the role once more": sse(delta(role="assistant", content="")),
    "what Groq counts": sse({"choices": [], "x_groq": {"id": "r", "usage": {"queue_time": 0.1}}}),
    "a usage without a count": sse({"choices": [], "usage": {"prompt_tokens": None}}),
    "an empty reason of the end": sse(chunk({"delta": {"content": ""}, "finish_reason": ""})),
    "citations": sse({"choices": [], "citations": ["https://a.example"], "search_results": [{}]}),
}

COUNTS: tuple[tuple[Any, Usage | None], ...] = (
    ({"prompt_tokens": 5.0, "completion_tokens": 2.0}, Usage(5, 2)),
    ({"prompt_tokens": "5", "completion_tokens": "2"}, Usage(5, 2)),
    ({"prompt_tokens": 5, "completion_tokens": None}, Usage(5, 0)),
    ({"prompt_tokens": -1, "completion_tokens": 1e300}, Usage(0, 2**53)),
    ({"prompt_tokens": True, "completion_tokens": {"n": 1}}, Usage(0, 0)),
    ("many", None),
)

ERRORS: tuple[tuple[str, bytes, type[ModelError], str], ...] = (
    ("an object", sse({"error": {"message": "x y"}}), ModelError, "failed: x y"),
    ("a text", sse({"error": "x y"}), ModelError, "failed: x y"),
    ("a list", sse([{"error": {"message": "x y"}}]), ModelError, "failed: x y"),
    ("an object in an object", sse({"error": {"error": {"message": "x y"}}}), ModelError, "failed: x y"),
    ("only a code", sse({"error": {"code": 1305}}), ModelError, 'failed: {"code":1305}'),
    ("an event named error", b'event: error\ndata: {"message":"x y"}\n\n', ModelError, "failed: x y"),
    ("an event with plain text", b"event: error\ndata: x y\n\n", ModelError, "failed: x y"),
    ("FastAPI's", sse({"detail": [{"loc": ["body"], "msg": "x y"}]}), ModelError, "failed: x y"),
    ("an old vLLM's", sse({"object": "error", "message": "x y", "code": 400}), ModelError, "failed: x y"),
    (
        "Cloudflare's",
        sse({"errors": [{"code": 7, "message": "x y"}], "success": False}),
        ModelError,
        "failed: x y",
    ),
    ("MiniMax's", sse({"base_resp": {"status_code": 1008, "status_msg": "x y"}}), ModelError, "failed: x y"),
    ("Groq's", sse({"choices": [], "x_groq": {"id": "r", "error": "x y"}}), ModelError, "failed: x y"),
    (
        "OpenRouter's",
        sse(finish("error", error={"code": 502, "message": "x y"})),
        ModelUnavailable,
        "failed: x y",
    ),
    (
        "overloaded",
        sse({"error": {"type": "overloaded_error", "message": "x y"}}),
        ModelUnavailable,
        "failed: x y",
    ),
    ("Gemini's", sse([{"error": {"code": 503, "message": "x y"}}]), ModelUnavailable, "failed: x y"),
    (
        "a rate",
        sse({"error": {"code": "rate_limit_exceeded", "message": "x y"}}),
        ModelRateLimited,
        "failed: x y",
    ),
    (
        "too long",
        sse({"error": {"code": "context_length_exceeded", "message": "x"}}),
        ContextTooLong,
        "too long",
    ),
    ("whole JSON", b'{\n  "error": {\n    "message": "x y"\n  }\n}\n', ModelError, "failed: x y"),
    ("whole JSON without error", b'{"message": "x y", "status": 500}', ModelError, "failed: x y"),
    (
        "plain text",
        b"Internal Server Error: x y",
        ModelError,
        "something other than a stream: Internal Server",
    ),
    ("text as data", b"data: upstream x y\n\n", ModelError, "something other than a stream: upstream x y"),
)

WHOLE = {
    "id": "c",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "yes", "reasoning_content": "hm", "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2},
}


class WordTests(SynchronousTestCase):
    def test_words_are_heard_in_every_form_that_they_come_in(self) -> None:
        for name, (frame, text, thoughts) in WORDS.items():
            heard = hear("OPENAI", sse(frame), sse(finish()), DONE)
            self.assertEqual((heard.text, heard.thoughts, heard.finish), (text, thoughts, "stop"), name)

    def test_frames_that_say_nothing_cost_no_answer(self) -> None:
        for name, body in SILENT.items():
            for pieces in (
                [body, sse(delta(content="yes")), sse(finish()), DONE],
                [sse(delta(content="y"), delta(content="e")), body, sse(delta(content="s"), finish()), DONE],
                [sse(delta(content="yes"), finish()), body, DONE],
            ):
                self.assertEqual(hear("OPENAI", *pieces).text, "yes", name)

    def test_all_that_was_said_so_far_is_not_said_again(self) -> None:
        # Perplexity's pieces carry it along.
        frames = [
            chunk({"index": 0, "delta": {"content": piece}, "message": {"content": so_far}})
            for piece, so_far in (("", ""), ("y", "y"), ("es", "yes"), ("", "yes"))
        ]
        self.assertEqual(hear("OPENAI", sse(*frames, finish()), DONE).text, "yes")

    def test_number_of_a_choice_costs_no_answer(self) -> None:
        frames = [chunk({"index": index, "delta": {"content": "y"}}) for index in (None, 0, 1, 7, "x", -1)]
        self.assertEqual(hear("OPENAI", sse(*frames), DONE).text, "y" * len(frames))

    def test_counts_never_cost_an_answer(self) -> None:
        for usage, counted in COUNTS:
            for last in ({"choices": [], "usage": usage}, chunk({"delta": {}, "usage": usage})):
                heard = hear("OPENAI", sse(delta(content="yes"), finish(), last), DONE)
                assert heard.result is not None
                self.assertEqual((heard.text, heard.result.usage), ("yes", counted), usage)

    def test_text_in_broken_utf8_or_with_bare_control_characters_is_heard(self) -> None:
        body = b'data: {"id":"\xff","choices":[{"delta":{"content":"y\te\xe2\x82s"}}]}\n\n'
        self.assertEqual(hear("OPENAI", body, DONE).text, "y\te\ufffds")

    def test_body_may_begin_with_a_mark_and_end_without_a_line_end(self) -> None:
        for cut in range(8):
            for end in (b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE] \r\n", b"data: [DONE]\r"):
                body = b"\xef\xbb\xbf" + sse(delta(content="y"), delta(content="es")) + end
                heard = hear("OPENAI", body[:cut], body[cut:])
                self.assertEqual((heard.text, heard.finish), ("yes", "stop"), (cut, end))

    def test_last_frame_needs_no_line_end(self) -> None:
        body = sse(delta(content="yes"), finish("length")).rstrip()
        heard = hear("OPENAI", body)
        self.assertEqual((heard.text, heard.finish), ("yes", "length"))

    def test_frame_that_was_cut_off_is_no_end(self) -> None:
        self.assertRaises(
            DecodeError, hear, "OPENAI", sse(delta(content="yes")), b'data: {"choices":[{"finish_rea'
        )


class WholeTests(SynchronousTestCase):
    def test_completion_that_is_not_streamed_is_read(self) -> None:
        compact, pretty = json.encode(WHOLE), json.format(json.encode(WHOLE), indent=2)
        for body in (compact, pretty, b"\n " + pretty + b"\n", b"\xef\xbb\xbf" + compact, compact + b"\n"):
            for cut in (0, 1, 2, 10, len(body) - 1):
                heard = hear("OPENAI", body[:cut], body[cut:])
                assert heard.result is not None
                self.assertEqual((heard.text, heard.thoughts, heard.finish), ("yes", "hm", "stop"))
                self.assertEqual(heard.result.usage, Usage(5, 2))

    def test_completion_that_is_not_streamed_needs_no_reason_of_its_end(self) -> None:
        heard = hear("OPENAI", json.encode({"choices": [{"message": {"content": "yes"}}]}))
        self.assertEqual((heard.text, heard.finish), ("yes", "stop"))

    def test_calls_of_a_completion_that_is_not_streamed_are_made(self) -> None:
        call = {"id": "a", "type": "function", "function": {"name": "clock", "arguments": {"z": 1}}}
        message = {"content": None, "tool_calls": [call, {**call, "id": "b"}]}
        heard = hear("OPENAI", json.encode(chunk({"message": message, "finish_reason": "tool_calls"})))
        self.assertEqual((heard.calls, heard.finish), ([("clock", '{"z":1}')] * 2, "tool_calls"))

    def test_objects_on_lines_of_their_own_are_frames(self) -> None:
        body = b"".join(
            json.encode(each) + b"\n" for each in (delta(content="y"), delta(content="es"), finish())
        )
        self.assertEqual(hear("OPENAI", body).text, "yes")


class ErrorTests(SynchronousTestCase):
    def test_errors_in_every_shape_are_told_in_the_servers_words(self) -> None:
        for name, body, kind, words in ERRORS:
            error = self.assertRaises(ModelError, hear, "OPENAI", body)
            self.assertIs(type(error), kind, name)
            self.assertIn(words, str(error), name)

    def test_answer_that_the_server_gave_up_is_an_error(self) -> None:
        for reason in (
            "abort",
            "error",
            "Cancelled",
            "function_call_filter: MALFORMED_FUNCTION_CALL",
            "insufficient_system_resource",
            "network_error",
        ):
            error = self.assertRaises(
                ModelError, hear, "OPENAI", sse(delta(content="so"), finish(reason)), DONE
            )
            self.assertIn(f"gave its reply up before the end: its server says '{reason.lower()}'", str(error))

    def test_ends_have_their_meaning(self) -> None:
        meanings = {
            "stop": ("stop", "eos", "end_turn", "", "7"),
            "length": ("length", "max_tokens", "MAX_TOKENS", "model_length"),
            "content_filter": (
                "content_filter",
                "sensitive",
                "SAFETY",
                "PROHIBITED_CONTENT",
                "content_filter: OTHER",
                "guardrail",
                "ERROR_TOXIC",
            ),
            "refusal": ("refusal",),
            "pause_turn": ("pause_turn",),
            "tool_calls": ("tool_calls", "tool_use", "function_call"),
        }
        for meaning, reasons in meanings.items():
            for reason in reasons:
                heard = hear("OPENAI", sse(delta(content="so"), finish(reason)), DONE)
                self.assertEqual((heard.text, heard.finish), ("so", meaning), reason)
