"""The strict decoders refuse what real clients fail over, and name the field."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.doctor.decoders import Fault
from llamaproxy.doctor.ollama import CLIENTS, check, check_stream

MODEL: dict[str, Any] = {
    "name": "m:latest",
    "model": "m:latest",
    "modified_at": "2026-01-02T03:04:05.123456789Z",
    "size": 5,
    "digest": "0123456789abcdef",
    "details": {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": None,
        "parameter_size": "1B",
        "quantization_level": "Q4_0",
    },
}
CARD: dict[str, Any] = {
    "license": "",
    "modelfile": "",
    "parameters": "",
    "template": "",
    "details": MODEL["details"],
    "model_info": {"general.architecture": "llama"},
    "capabilities": ["completion"],
}
LINE: dict[str, Any] = {
    "model": "m",
    "created_at": "2026-01-02T03:04:05+01:00",
    "message": {"role": "assistant", "content": "hi"},
    "done": False,
}
LAST = {**LINE, "done": True, "done_reason": "stop", "total_duration": 1000, "eval_count": 3}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def stream(*values: Any) -> bytes:
    return b"".join(body(value) + b"\n" for value in values)


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: kept for name, kept in value.items() if name != key}


class DecoderTests(SynchronousTestCase):
    def test_what_ollama_sends_suits_every_client(self) -> None:
        for client, endpoints in CLIENTS.items():
            if "tags" in endpoints:
                check(client, "tags", body({"models": [MODEL]}))
            if "show" in endpoints:
                check(client, "show", body(CARD))
            if "chat" in endpoints:
                check_stream(client, "chat", stream(LINE, LAST))

    def test_a_list_that_a_client_fails_over_is_refused_with_the_field(self) -> None:
        cases: list[tuple[str, dict[str, Any], str]] = [
            ("ollama-cli", {"digest": "0123"}, "models[0].digest"),
            ("ollama-cli", {"size": 5.0}, "models[0].size"),
            ("ollama-cli", {"modified_at": "2026-01-02T03:04:05"}, "models[0].modified_at"),
            ("enchanted", {"model": None}, "models[0].model"),
            ("enchanted", {"details": {"format": "gguf"}}, "models[0].details.parent_model"),
            ("enchanted", {"modified_at": "2026-01-02T03:04:05"}, "models[0].modified_at"),
            ("ollamakit", {"details": {"format": "gguf", "family": None}}, "models[0].details.family"),
            ("reins", {"details": None}, "models[0].details"),
            ("open-webui", {"model": None}, "models[0].model"),
        ]
        for client, change, path in cases:
            fault = self.assertRaises(Fault, check, client, "tags", body({"models": [{**MODEL, **change}]}))
            self.assertEqual(fault.path, path, client)
        for client in ("ollama-cli", "enchanted", "ollamakit", "reins"):
            short = without(MODEL, "digest")
            fault = self.assertRaises(Fault, check, client, "tags", body({"models": [short]}))
            self.assertEqual((fault.path, fault.problem), ("models[0].digest", "is missing"))
        for client in ("ollama-python", "open-webui"):
            self.assertEqual(
                self.assertRaises(Fault, check, client, "tags", b'{"models":null}').path, "models"
            )

    def test_two_models_with_one_digest_are_refused_for_llm(self) -> None:
        listed = body({"models": [MODEL, {**MODEL, "model": "n:latest"}]})
        self.assertEqual(
            self.assertRaises(Fault, check, "llm-ollama", "tags", listed).path, "models[1].digest"
        )
        check("ollama-cli", "tags", listed)

    def test_a_card_that_a_client_fails_over_is_refused_with_the_field(self) -> None:
        for client, card, path in [
            ("ollama-python", without(CARD, "model_info"), "model_info"),
            ("ollama-cli", {**CARD, "model_info": None}, "model_info"),
            ("ollama-cli", {**CARD, "remote_host": "https://ollama.com"}, "remote_host"),
            ("ollama-cli", {**CARD, "messages": [{"role": "user", "content": "x"}]}, "messages"),
            ("ollamakit", without(CARD, "license"), "license"),
            ("ollamakit", {**CARD, "template": None}, "template"),
            ("llm-ollama", without(CARD, "capabilities"), "capabilities"),
        ]:
            self.assertEqual(self.assertRaises(Fault, check, client, "show", body(card)).path, path)

    def test_a_stream_that_a_client_fails_over_is_refused_with_line_and_field(self) -> None:
        message = LINE["message"]
        for client, line, path in [
            ("ollama-python", {**LINE, "message": {"content": "x"}}, "line 1.message.role"),
            ("ollama-python", {**LINE, "total_duration": 1000.5}, "line 1.total_duration"),
            ("ollama-cli", {**LINE, "eval_count": 3.0}, "line 1.eval_count"),
            ("ollama-cli", {**LINE, "created_at": "2026-01-02T03:04:05"}, "line 1.created_at"),
            ("enchanted", {**LINE, "message": {**message, "content": None}}, "line 1.message.content"),
            ("enchanted", {**LINE, "message": {**message, "role": "tool"}}, "line 1.message.role"),
            ("reins", without(LINE, "created_at"), "line 1.created_at"),
            ("ai-sdk", without(LINE, "done"), "line 1.done"),
            ("ollama-js", {**LINE, "error": None}, "line 1.error"),
        ]:
            fault = self.assertRaises(Fault, check_stream, client, "chat", stream(line, LAST))
            self.assertEqual(fault.path, path, client)

    def test_the_end_must_be_there_and_nothing_after_it(self) -> None:
        for wire, path in [
            (stream(LINE), "line 1.done"),
            (stream(LAST, LAST), "line 1.done"),
            (stream(LINE, {**LAST, "done_reason": "load"}), "line 2.done_reason"),
        ]:
            self.assertEqual(self.assertRaises(Fault, check_stream, "ollama-python", "chat", wire).path, path)
        pull = stream({"status": "pulling manifest"})
        self.assertEqual(
            self.assertRaises(Fault, check_stream, "ollama-js", "pull", pull).path, "line 1.status"
        )

    def test_lines_are_split_as_the_strictest_reader_does(self) -> None:
        good = stream(LINE, LAST)
        raw = good.replace(b"hi", "hi\u2028there".encode())
        for wire in (
            good + b"\n",
            b"\n" + good,
            good[:-1],
            raw,
            b"",
            b"\xff\n",
            good.replace(b"}\n", b"}\r\n\n"),
        ):
            self.assertEqual(self.assertRaises(Fault, check_stream, "ollama-js", "chat", wire).path, "")

    def test_what_is_no_json_is_refused(self) -> None:
        for wire in (b"", b"<html>", b'{"models":[}', b"\xff"):
            self.assertEqual(self.assertRaises(Fault, check, "ollama-cli", "tags", wire).path, "")

    def test_versions_that_open_webui_cannot_compare_are_refused(self) -> None:
        for version, good in [("0.33.0", True), ("v1.2-rc1", True), ("dev", False), ("1.0+x", False)]:
            answer = body({"version": version})
            if good:
                check("open-webui", "version", answer)
            else:
                self.assertRaises(Fault, check, "open-webui", "version", answer)
