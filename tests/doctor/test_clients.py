"""Every client's handshake, against the server in memory and against broken ones, whose fault it names."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.doctor.clients import clients
from llamaproxy.doctor.replay import Answer, Client, examine
from tests.support import Front, House, ScriptedModel

Change = Callable[[bytes], bytes]
CLOCK_STEPS = [0.02] * 400


class HandshakeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(ScriptedModel("main"), ScriptedModel("other"), folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)
        self.seen: list[str] = []

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        self.seen.append(f"{method} {path}")
        wire = self.front.connect().send(method, path, body or b"", **headers)
        self.house.clock.pump(CLOCK_STEPS)
        response = wire.response()
        return Answer(response.code, response.headers.get("content-type", ""), response.body)

    def clients(self) -> dict[str, Client]:
        return {client.key: client for client in clients(["main:latest", "other:latest"])}

    def complaints(self, spoil: Callable[[str, Answer], Answer]) -> dict[str, str]:
        """What the clients say of a server whose answers are spoiled, by client."""

        def ask(method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
            return spoil(path, self.ask(method, path, headers, body))

        found = {key: examine(client, ask) for key, client in self.clients().items()}
        return {key: str(complaint) for key, complaint in found.items() if complaint}


class WholeServerTests(HandshakeCase):
    def test_every_client_gets_to_its_finished_reply(self) -> None:
        self.assertEqual(self.complaints(lambda path, answer: answer), {})
        self.assertEqual(len(self.clients()), 21)

    def test_nothing_reaches_a_model_or_a_history(self) -> None:
        self.complaints(lambda path, answer: answer)
        self.assertEqual((self.house.calls, self.house.store.messages), ([], {}))

    def test_clients_that_look_at_every_card_do(self) -> None:
        examine(self.clients()["reins"], self.ask)
        self.assertEqual(self.seen.count("POST /api/show"), 2)

    def test_key_is_sent_by_those_that_can_send_one(self) -> None:
        sent: dict[str, Any] = {}

        def ask(method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
            sent[path] = headers.get("Authorization")
            return self.ask(method, path, headers, body)

        for key, expected in (("enchanted", "Bearer secret"), ("ollama-cli", None)):
            examine(self.clients()[key], ask, "secret")
            self.assertEqual(sent["/api/tags"], expected)


def replaced(old: bytes, new: bytes) -> Change:
    return lambda body: body.replace(old, new)


def wholly(body: bytes, _: bytes) -> bytes:
    return body


def streamed(stream: bytes) -> Change:
    """Puts this in the place of every event stream."""
    return lambda body: stream if body.startswith(b"data:") else body


class BrokenServerTests(HandshakeCase):
    def spoiled(self, where: str, change: Change, **other: Any) -> dict[str, str]:
        """The complaints about a server that changes the bodies of one path."""

        def spoil(path: str, answer: Answer) -> Answer:
            if not path.endswith(where):
                return answer
            return answer._replace(body=change(answer.body), **other)

        complaints = self.complaints(spoil)
        self.assertNotEqual(complaints, {})
        return complaints

    def listed(self, **fields: Any) -> Change:
        """Changes the fields of every model in a list; None takes one away."""

        def change(body: bytes) -> bytes:
            content = json.loads(body)
            for model in content.get("models") or content.get("data"):
                model.update(fields)
                for name in [name for name, value in fields.items() if value is None]:
                    del model[name]
            return json.dumps(content).encode()

        return change

    def test_missing_digest_is_named(self) -> None:
        said = self.spoiled("/api/tags", self.listed(digest=None))
        self.assertEqual(said["enchanted"], "GET /api/tags: models[0].digest: is missing")
        self.assertLessEqual({"ollama-cli", "reins", "llm-ollama"}, said.keys())
        self.assertNotIn("open-webui-ollama", said)

    def test_equal_digests_are_named_for_llm_only(self) -> None:
        said = self.spoiled("/api/tags", self.listed(digest="0123456789abcdef"))
        self.assertEqual(list(said), ["llm-ollama"])
        self.assertIn("models[1].digest", said["llm-ollama"])

    def test_naive_time_is_named(self) -> None:
        said = self.spoiled("/api/tags", self.listed(modified_at="2026-01-02T03:04:05"))
        for client in ("enchanted", "ollama-cli", "reins"):
            self.assertIn("GET /api/tags: models[0].modified_at", said[client])

    def test_card_without_model_info_is_named(self) -> None:
        said = self.spoiled("/api/show", replaced(b'"model_info"', b'"info"'))
        self.assertEqual(said["ollama-python"], "POST /api/show: model_info: is missing")

    def test_blank_line_in_a_stream_is_named(self) -> None:
        said = self.spoiled("/api/chat", replaced(b"\n", b"\n\n"))
        for client in ("ollama-python", "ollama-cli", "langchain-ollama", "home-assistant"):
            self.assertEqual(said[client], "POST /api/chat: line 2 is blank")

    def test_stream_of_lines_without_an_end_is_named(self) -> None:
        said = self.spoiled("/api/chat", replaced(b'"done":true', b'"done":false'))
        self.assertIn("done: is not there to end the stream", said["enchanted"])

    def test_missing_finish_reason_is_named(self) -> None:
        said = self.spoiled("/chat/completions", replaced(b'"finish_reason":"stop"', b'"x":0'))
        for client in ("ai-sdk-openai", "chatbox"):
            self.assertIn("choices[0].finish_reason", said[client])
        self.assertNotIn("openai-python", said)

    def test_event_line_is_named_for_swift_apps_only(self) -> None:
        said = self.spoiled("/chat/completions", replaced(b"data: ", b"event: x\ndata: "))
        self.assertEqual(list(said), ["openai-apps"])
        self.assertIn("line 1: event: is a field", said["openai-apps"])

    def test_id_line_is_named_for_python(self) -> None:
        said = self.spoiled("/chat/completions", replaced(b"data: ", b"id: 1\ndata: "))
        self.assertEqual(sorted(said), ["langchain-openai", "openai-python", "oterm"])

    def test_json_instead_of_a_stream_is_named(self) -> None:
        whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]}
        said = self.spoiled(
            "/chat/completions",
            streamed(json.dumps(whole).encode()),
            type="application/json",
        )
        self.assertIn("JSON instead of an event stream", said["openai-python"])
        self.assertIn("JSON instead of an event stream", said["lm-studio"])

    def test_last_event_without_a_blank_line_is_named(self) -> None:
        said = self.spoiled("/chat/completions", lambda body: body.rstrip(b"\n") + b"\n")
        self.assertIn("no blank line", said["openai-python"])

    def test_missing_closing_mark_is_named_for_apps(self) -> None:
        said = self.spoiled("/chat/completions", replaced(b"data: [DONE]\n\n", b""))
        self.assertEqual(list(said), ["openai-apps"])

    def test_identity_of_chunks_is_named_for_swift_apps(self) -> None:
        for field in ("id", "object", "created", "model"):
            said = self.spoiled("/chat/completions", replaced(f'"{field}"'.encode(), b'"x"'))
            self.assertIn(f"event 1.{field}: is missing", said["openai-apps"])

    def test_error_in_a_stream_is_named(self) -> None:
        said = self.spoiled("/chat/completions", streamed(b'data: {"error":{"message":"boom"}}\n\n'))
        self.assertIn("event 1.error: ends the reply", said["openai-python"])

    def test_status_is_named_with_what_the_server_said(self) -> None:
        said = self.spoiled("/api/tags", lambda body: b'{"error":"boom"}', status=500)
        self.assertEqual(said["enchanted"], 'GET /api/tags: status: 500 instead of 200 ({"error":"boom"})')

    def test_type_is_named_for_those_who_look_at_it(self) -> None:
        said = self.spoiled("/api/tags", bytes, type="text/html")
        self.assertIn("Content-Type: text/html", said["open-webui-ollama"])
        self.assertNotIn("ollama-python", said)

    def test_bodies_of_no_shape_at_all_are_faults_and_no_crash(self) -> None:
        for body in (
            b"",
            b"[]",
            b"null",
            b"\xff",
            b"data: 1\n\n",
            b'data: {"choices":[null]}\n\n',
            b"<html>",
        ):
            self.assertGreater(len(self.spoiled("", partial(wholly, body))), 18, body)
