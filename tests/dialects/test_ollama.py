"""Ollama's answers, read by the strict models of ollama-python and against the fields that other clients require."""

import json
from datetime import datetime
from typing import Any

from ollama import ChatResponse, GenerateResponse, ListResponse, ProcessResponse, ShowResponse
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.errors import Busy, ModelError, NoSuchModel
from llamaproxy.agent.types import AgentEvent, ModelInfo, Reasoning, ReplyEnd, Text, Usage
from llamaproxy.dialects import ollama
from llamaproxy.dialects.base import Encoder, WireDialect

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

PLAIN = ModelInfo(key="gemini25", model_id="google/gemini-2.5", kind="OPENAI")
SMALL = ModelInfo(
    key="small:135m",
    model_id="smollm2",
    kind="LOCAL",
    vision=True,
    context_length=2048,
    size=100_000_000,
    family="llama",
    parameter_size="135M",
    quantization="Q8_0",
    modified_at=NOW,
)


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


class ListTests(SynchronousTestCase):
    def test_tags_hold_what_strict_clients_require(self) -> None:
        listed = json.loads(ollama.tags([PLAIN, SMALL]))
        ListResponse.model_validate_json(ollama.tags([PLAIN, SMALL]), strict=True)
        self.assertEqual([entry["name"] for entry in listed["models"]], ["gemini25:latest", "small:135m"])
        for entry in listed["models"]:
            self.assertEqual(entry["model"], entry["name"])
            self.assertIs(type(entry["size"]), int)
            self.assertRegex(entry["digest"], "^[0-9a-f]{64}$")
            self.assertIsNotNone(datetime.fromisoformat(entry["modified_at"]).tzinfo)
            for field in ("parent_model", "format", "family", "parameter_size", "quantization_level"):
                self.assertIs(type(entry["details"][field]), str, field)
        self.assertEqual(ollama.tags([]), b'{"models":[]}')

    def test_pictures_are_offered_in_both_places_that_clients_look(self) -> None:
        plain, small = json.loads(ollama.tags([PLAIN, SMALL]))["models"]
        self.assertEqual((plain["capabilities"], plain["details"]["families"]), (["completion"], ["openai"]))
        self.assertEqual(small["capabilities"], ["completion", "vision"])
        self.assertEqual(small["details"]["families"], ["llama", "clip"])

    def test_a_digest_is_unique_stable_and_changes_with_capabilities(self) -> None:
        def digest(**changes: Any) -> str:
            values = {"key": "a", "model_id": "x", "kind": "OPENAI", **changes}
            return str(json.loads(ollama.tags([ModelInfo(**values)]))["models"][0]["digest"])

        self.assertEqual(digest(), digest(modified_at=5.0, loaded=False))
        others = {digest(), digest(key="b"), digest(vision=True), digest(model_id="y")}
        self.assertEqual(len(others), 4)

    def test_ps_holds_what_strict_clients_require(self) -> None:
        self.assertEqual(ollama.ps([]), b'{"models":[]}')
        wire = ollama.ps([SMALL])
        ProcessResponse.model_validate_json(wire, strict=True)
        (entry,) = json.loads(wire)["models"]
        self.assertEqual((entry["model"], entry["context_length"]), ("small:135m", 2048))
        self.assertEqual((entry["size_vram"], len(entry["digest"])), (0, 64))
        self.assertGreater(datetime.fromisoformat(entry["expires_at"]).year, 2100)

    def test_show_holds_what_strict_clients_require(self) -> None:
        for info in (PLAIN, SMALL):
            ShowResponse.model_validate_json(ollama.show(info), strict=True)
            card = json.loads(ollama.show(info))
            for field in ("license", "template", "modelfile", "parameters"):
                self.assertIs(type(card[field]), str, field)
            architecture = card["model_info"]["general.architecture"]
            for key in (
                "general.parameter_count",
                f"{architecture}.context_length",
                f"{architecture}.embedding_length",
            ):
                self.assertIs(type(card["model_info"][key]), int, key)
            self.assertFalse([key for key in card["model_info"] if ".vision." in key])
        self.assertEqual(card["model_info"]["llama.context_length"], 2048)

    def test_a_parameter_count_is_read_from_its_short_form(self) -> None:
        for size, expected in [
            ("135M", 135_000_000),
            ("7.6b", 7_600_000_000),
            ("12", 12),
            ("", 0),
            ("8x7B", 0),
        ]:
            info = ModelInfo(key="k", model_id="x", kind="LOCAL", family="f", parameter_size=size)
            card = json.loads(ollama.show(info))
            self.assertEqual(card["model_info"]["general.parameter_count"], expected, size)

    def test_version_is_dotted_integers(self) -> None:
        for part in json.loads(ollama.version())["version"].split("."):
            int(part)

    def test_errors_are_one_line_and_never_empty(self) -> None:
        dialect: WireDialect = ollama
        self.assertEqual(dialect.error(Busy("wait\na bit")), b'{"error":"wait\\na bit"}')
        self.assertEqual(dialect.error(Busy()), b'{"error":"queue full"}')
        self.assertTrue(dialect.JSON_TYPE.startswith(b"application/json"))


class NameTests(SynchronousTestCase):
    def test_case_and_a_missing_tag_do_not_matter(self) -> None:
        for name, key, expected in [
            ("agent", "agent", True),
            ("agent:latest", "agent", True),
            ("Agent:LATEST", "agent", True),
            ("agent", "agent:latest", True),
            ("agent:7b", "agent:7B", True),
            ("agent", "agent:7b", False),
            ("agent:7b", "agent", False),
            ("agents", "agent", False),
            ("host:5000/agent", "host:5000/agent:latest", True),
            ("", "agent", False),
        ]:
            self.assertIs(ollama.matches(name, key), expected, (name, key))

    def test_find_model(self) -> None:
        self.assertIs(ollama.find_model("SMALL:135m", [PLAIN, SMALL]), SMALL)
        error = self.assertRaises(NoSuchModel, ollama.find_model, "x", [PLAIN, SMALL])
        self.assertEqual(str(error), "model 'x' not found")
