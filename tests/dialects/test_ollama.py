"""Ollama's answers, read by the strict models of ollama-python and against the fields that other clients require."""

import json
from typing import Any

from ollama import ChatResponse, GenerateResponse
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects import ollama
from llamaproxy.dialects.base import Encoder, WireDialect
from llamaproxy.seams.errors import Busy, ModelError
from llamaproxy.seams.types import AgentEvent, Reasoning, ReplyEnd, Text, Usage

NOW = 1_700_000_000.25
START = b'{"model":"M:latest","created_at":"2023-11-14T22:13:20.250000Z",'
END = ReplyEnd(
    usage=Usage(7, 3), total_duration=100, load_duration=10, prompt_eval_duration=20, eval_duration=30
)
METRICS = (
    b'"total_duration":100,"load_duration":10,"prompt_eval_count":7,"prompt_eval_duration":20,'
    b'"eval_count":3,"eval_duration":30}\n'
)
NASTY = 'a "quote"\\\n\r\t\0\x7f \x85\u2028\u2029 é 漢 😀 \ud83d'


def lines(wire: bytes) -> list[dict[str, Any]]:
    """NDJSON as a reader that forgives nothing sees it."""
    assert wire.endswith(b"\n"), wire
    wire.decode("ascii")
    return [json.loads(line) for line in wire[:-1].split(b"\n")]


class EncoderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.chat: Encoder = ollama.ChatEncoder("M:latest", NOW)
        self.generate: Encoder = ollama.GenerateEncoder("M:latest", NOW)

    def test_golden_chat(self) -> None:
        self.assertEqual(self.chat.content_type, b"application/x-ndjson")
        self.assertEqual(self.chat.start(), b"")
        self.assertEqual(
            self.chat.events([Text("Hi"), Text(" \u2028"), Reasoning("hm")]),
            START + b'"message":{"role":"assistant","content":"Hi"},"done":false}\n'
            + START + b'"message":{"role":"assistant","content":" \\u2028"},"done":false}\n'
            + START + b'"message":{"role":"assistant","content":"","thinking":"hm"},"done":false}\n',
        )  # fmt: skip
        empty = START + b'"message":{"role":"assistant","content":""},"done":'
        self.assertEqual(self.chat.heartbeat(), empty + b"false}\n")
        self.assertEqual(self.chat.finish(END), empty + b'true,"done_reason":"stop",' + METRICS)

    def test_golden_generate(self) -> None:
        self.assertEqual(
            self.generate.events([Text("Hi"), Reasoning("hm")]),
            START + b'"response":"Hi","done":false}\n'
            + START + b'"response":"","thinking":"hm","done":false}\n',
        )  # fmt: skip
        empty = START + b'"response":"","done":'
        self.assertEqual(self.generate.heartbeat(), empty + b"false}\n")
        self.assertEqual(self.generate.finish(END), empty + b'true,"done_reason":"stop",' + METRICS)

    def test_no_events_are_no_bytes(self) -> None:
        self.assertEqual(self.chat.events([]), b"")

    def test_any_text_survives(self) -> None:
        events: list[AgentEvent] = [Text(NASTY), Reasoning(NASTY), Text("")]
        chat = lines(self.chat.events(events))
        self.assertEqual([line["message"]["content"] for line in chat], [NASTY, "", ""])
        self.assertEqual(chat[1]["message"]["thinking"], NASTY)
        generate = lines(self.generate.events(events))
        self.assertEqual([line["response"] for line in generate], [NASTY, "", ""])

    def test_any_model_name_survives(self) -> None:
        for name in (NASTY, "%s {model} }", ""):
            encoder = ollama.ChatEncoder(name, NOW)
            wire = encoder.events([Text("x")]) + encoder.heartbeat() + encoder.finish(END)
            self.assertEqual([line["model"] for line in lines(wire)], [name] * 3)

    def test_ollama_python_reads_every_line(self) -> None:
        events: list[AgentEvent] = [Text("Hi"), Reasoning("hm")]
        for line in lines(self.chat.events(events) + self.chat.heartbeat() + self.chat.finish(END)):
            chat = ChatResponse.model_validate(line, strict=True)
            self.assertEqual(chat.message.role, "assistant")
            self.assertIsInstance(chat.message.content, str)
        self.assertEqual((chat.done, chat.prompt_eval_count, chat.eval_count), (True, 7, 3))
        for line in lines(
            self.generate.events(events) + self.generate.heartbeat() + self.generate.finish(END)
        ):
            generate = GenerateResponse.model_validate(line, strict=True)
        self.assertEqual((generate.done, generate.total_duration), (True, 100))

    def test_a_failure_in_the_middle_is_text_and_then_a_proper_end(self) -> None:
        first, last = lines(self.chat.fail(ModelError("gemini25: it\nbroke")))
        self.assertEqual(first["message"]["content"], "\n\n[error: gemini25: it\nbroke]")
        self.assertIs(first["done"], False)
        self.assertEqual((last["done"], last["done_reason"]), (True, "stop"))
        self.assertNotIn("error", {*first, *last})
        first, last = lines(self.generate.fail(Busy()))
        self.assertEqual((first["response"], last["done"]), ("\n\n[error: queue full]", True))

    def test_whole(self) -> None:
        (line,) = lines(self.chat.whole(NASTY, "", END))
        self.assertEqual(line["message"], {"role": "assistant", "content": NASTY})
        self.assertEqual((line["done"], line["eval_count"]), (True, 3))
        (line,) = lines(self.chat.whole("Hi", "hm", ReplyEnd(finish_reason="length")))
        self.assertEqual(line["message"], {"role": "assistant", "content": "Hi", "thinking": "hm"})
        self.assertEqual(line["done_reason"], "length")
        ChatResponse.model_validate(line, strict=True)
        (line,) = lines(self.generate.whole("Hi", "hm", END))
        self.assertEqual((line["response"], line["thinking"]), ("Hi", "hm"))
        GenerateResponse.model_validate(line, strict=True)

    def test_a_load_is_answered_without_a_reply(self) -> None:
        for kind, body in (("chat", b'{"model":"m","messages":[]}'), ("generate", b'{"model":"m"}')):
            request = ollama.parse_chat(body) if kind == "chat" else ollama.parse_generate(body)
            answer = json.loads(ollama.lifecycle(request, "chat" if kind == "chat" else "generate", NOW))
            text = {"message": {"role": "assistant", "content": ""}} if kind == "chat" else {"response": ""}
            created = {"created_at": "2023-11-14T22:13:20.250000Z"}
            self.assertEqual(answer, {"model": "m", **created, **text, "done": True, "done_reason": "load"})

    def test_errors_are_one_line_and_never_empty(self) -> None:
        dialect: WireDialect = ollama
        self.assertEqual(dialect.error(Busy("wait\na bit")), b'{"error":"wait\\na bit"}')
        self.assertEqual(dialect.error(Busy()), b'{"error":"queue full"}')
        self.assertTrue(dialect.JSON_TYPE.startswith(b"application/json"))
