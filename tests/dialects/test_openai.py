"""OpenAI's answers, read by the strict models of openai-python and against the fields that other clients require."""

import json
from typing import Any

from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects import openai
from llamaproxy.dialects.base import Encoder, WireDialect
from llamaproxy.seams.errors import (
    AgentError,
    BadRequest,
    Busy,
    Forbidden,
    ModelError,
    NoSuchModel,
    Stopping,
    TooLarge,
    Unauthorized,
)
from llamaproxy.seams.types import ModelInfo, Reasoning, ReplyEnd, Text, Usage

NOW = 1_700_000_000.75
END = ReplyEnd(usage=Usage(7, 3))
NASTY = 'a "quote"\\\n\r\t\0\x7f \x85\u2028\u2029 é 漢 😀 \ud83d'


def frames(wire: bytes) -> list[Any]:
    """The payloads of an event stream as a strict reader sees it: `data:` lines only, each with its blank line."""
    assert wire.endswith(b"\n\n"), wire
    wire.decode("ascii")
    payloads = []
    for event in wire[:-2].split(b"\n\n"):
        assert event.startswith(b"data: ") and b"\n" not in event, event
        data = event.removeprefix(b"data: ")
        payloads.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return payloads


class EncoderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.encoder: Encoder = openai.ChatEncoder("M:latest", NOW, False)

    def test_golden_stream(self) -> None:
        wire = self.encoder.start()
        wire += self.encoder.events([Reasoning("hm"), Text("Hi"), Text(" \u2028")]) + self.encoder.finish(END)
        identity = json.loads(wire.split(b"\n")[0].removeprefix(b"data: "))["id"].encode()
        self.assertRegex(identity, b"^chatcmpl-[0-9a-f]{24}$")
        head = (
            b'data: {"object":"chat.completion.chunk","id":"' + identity
            + b'","created":1700000000,"model":"M:latest","system_fingerprint":"fp_ollama",'
            + b'"choices":[{"index":0,"delta":'
        )  # fmt: skip
        self.assertEqual(
            wire,
            head + b'{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
            + head + b'{"reasoning_content":"hm"},"finish_reason":null}]}\n\n'
            + head + b'{"content":"Hi"},"finish_reason":null}]}\n\n'
            + head + b'{"content":" \\u2028"},"finish_reason":null}]}\n\n'
            + head + b'{},"finish_reason":"stop"}]}\n\n'
            + b"data: [DONE]\n\n",
        )  # fmt: skip
        self.assertEqual(self.encoder.content_type, b"text/event-stream")

    def test_usage_comes_between_the_finish_reason_and_the_end(self) -> None:
        encoder = openai.ChatEncoder("m", NOW, True)
        reason, usage, done = frames(encoder.finish(ReplyEnd(finish_reason="length", usage=Usage(7, 3))))
        self.assertEqual(reason["choices"], [{"index": 0, "delta": {}, "finish_reason": "length"}])
        self.assertEqual(usage["choices"], [])
        self.assertEqual(usage["usage"], {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
        self.assertEqual(done, "[DONE]")

    def test_openai_python_reads_every_frame(self) -> None:
        encoder = openai.ChatEncoder("m", NOW, True)
        wire = encoder.start() + encoder.events([Reasoning("hm"), Text("Hi"), Text("")]) + encoder.finish(END)
        *chunks, done = frames(wire)
        read = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in chunks]
        self.assertEqual(done, "[DONE]")
        self.assertEqual(
            {(chunk.id, chunk.created, chunk.model) for chunk in read}, {(read[0].id, 1700000000, "m")}
        )
        self.assertEqual([chunk.choices[0].delta.content for chunk in read[:-1]], ["", None, "Hi", "", None])
        self.assertEqual(read[0].choices[0].delta.role, "assistant")
        assert read[-1].usage is not None
        self.assertEqual(read[-1].usage.total_tokens, 10)

    def test_any_text_and_any_model_name_survive(self) -> None:
        for name in (NASTY, "%s {model} }", ""):
            encoder = openai.ChatEncoder(name, NOW, True)
            text, reasoning = frames(encoder.events([Text(NASTY), Reasoning(NASTY)]))
            self.assertEqual(text["choices"][0]["delta"], {"content": NASTY})
            self.assertEqual(reasoning["choices"][0]["delta"], {"reasoning_content": NASTY})
            self.assertEqual({frame["model"] for frame in frames(encoder.finish(END))[:-1]}, {name})

    def test_two_replies_have_different_ids(self) -> None:
        self.assertNotEqual(self.encoder.start(), openai.ChatEncoder("M:latest", NOW, False).start())

    def test_a_heartbeat_is_a_comment(self) -> None:
        self.assertRegex(self.encoder.heartbeat(), rb"\A: [a-z-]+\n\n\Z")

    def test_a_failure_in_the_middle_is_an_error_object_and_then_the_end(self) -> None:
        failure, done = frames(self.encoder.fail(ModelError("gemini25: it\nbroke")))
        error = {"message": "gemini25: it\nbroke", "type": "api_error", "param": None, "code": "model_error"}
        self.assertEqual((failure, done), ({"error": error}, "[DONE]"))

    def test_whole(self) -> None:
        wire = self.encoder.whole("Hi\u2028", "", END)
        read = ChatCompletion.model_validate_json(wire, strict=True)
        self.assertEqual((read.created, read.model, read.object), (1700000000, "M:latest", "chat.completion"))
        (choice,) = json.loads(wire)["choices"]
        message = {"role": "assistant", "content": "Hi\u2028", "refusal": None}
        expected = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        self.assertEqual(choice, expected)
        wire.decode("ascii")
        assert read.usage is not None
        self.assertEqual(read.usage.total_tokens, 10)
        with_reasoning = json.loads(self.encoder.whole(NASTY, "hm", END))["choices"][0]["message"]
        self.assertEqual((with_reasoning["content"], with_reasoning["reasoning_content"]), (NASTY, "hm"))


class ModelTests(SynchronousTestCase):
    def test_lists_and_cards_hold_what_strict_clients_require(self) -> None:
        plain = ModelInfo(key="a/b", model_id="x", kind="OPENAI", modified_at=NOW)
        large = ModelInfo(key="large", model_id="x", kind="OPENAI", context_length=4096)
        listed = json.loads(openai.models([plain, large]))
        self.assertEqual(listed["object"], "list")
        for card, info in zip(listed["data"], (plain, large), strict=True):
            self.assertEqual(card, json.loads(openai.model(info)))
            Model.model_validate(card, strict=True)
        self.assertEqual(listed["data"][0]["created"], 1700000000)
        self.assertEqual((listed["data"][0]["id"], listed["data"][1]["context_length"]), ("a/b", 4096))
        self.assertEqual(openai.models([]), b'{"object":"list","data":[]}')


class ErrorTests(SynchronousTestCase):
    def test_each_status_has_its_type(self) -> None:
        table: list[tuple[AgentError, str, str]] = [
            (BadRequest("no"), "invalid_request_error", "invalid_request"),
            (TooLarge("no"), "invalid_request_error", "request_too_large"),
            (Forbidden("no"), "invalid_request_error", "forbidden"),
            (Unauthorized("no"), "authentication_error", "invalid_api_key"),
            (NoSuchModel("no"), "not_found_error", "model_not_found"),
            (Busy("no"), "rate_limit_error", "queue_full"),
            (Stopping("no"), "api_error", "stopping"),
            (AgentError("no"), "api_error", "internal_error"),
        ]
        dialect: WireDialect = openai
        for reason, kind, code in table:
            expected = {"error": {"message": "no", "type": kind, "param": None, "code": code}}
            self.assertEqual(json.loads(dialect.error(reason)), expected)
        self.assertEqual(json.loads(dialect.error(Busy()))["error"]["message"], "queue full")
