"""Ollama's endpoints beside the conversation: what apps ask about models, and what they are told."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.types import Options
from tests.support import CountingEmbedder, Front, House, Response, ScriptedModel

KNOWN, UNKNOWN = {"model": "", "name": "Main:latest"}, {"name": "llama3"}


class OllamaCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(ScriptedModel("main"), ScriptedModel("other"), folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)

    def ask(self, method: str, path: str, body: Any = b"") -> Response:
        return self.front.ask(method, path, body)

    def error(self, method: str, path: str, body: Any = b"") -> tuple[int, str]:
        """Status and text of an answer that must be an error in one line."""
        response = self.ask(method, path, body)
        self.assertEqual(response.headers["content-type"], "application/json; charset=utf-8")
        self.assertEqual(list(response.json()), ["error"])
        self.assertNotIn(b"\n", response.body)
        return response.code, response.json()["error"]


class ManagementTests(OllamaCase):
    def test_a_known_model_is_pulled_in_the_lines_that_a_client_expects(self) -> None:
        response = self.ask("POST", "/api/pull", KNOWN)
        self.assertEqual((response.code, response.headers["content-type"]), (200, "application/x-ndjson"))
        states = [line["status"] for line in response.lines()]
        self.assertEqual((states[0], states[-1]), ("pulling manifest", "success"))
        self.assertEqual(
            self.ask("POST", "/api/pull", {**KNOWN, "stream": False}).json(), {"status": "success"}
        )

    def test_an_unknown_model_says_what_there_is_in_words_that_the_cli_leaves_alone(self) -> None:
        *_, last = self.ask("POST", "/api/pull", UNKNOWN).lines()
        self.assertIn("model 'llama3' is not served here; try main, other", last["error"])
        self.assertNotIn("pull model manifest", last["error"])
        self.assertEqual(self.error("POST", "/api/pull", {**UNKNOWN, "stream": False}), (404, last["error"]))

    def test_what_only_the_operator_may_do_is_refused_with_the_way_to_do_it(self) -> None:
        copy = {"source": "main", "destination": "mine"}
        for method, path, body in [
            ("POST", "/api/push", KNOWN),
            ("POST", "/api/create", {"model": "mine", "from": "main"}),
            ("POST", "/api/copy", copy),
            ("DELETE", "/api/delete", KNOWN),
            ("POST", "/api/blobs/sha256:00", b"weights"),
            ("DELETE", "/v1/api/delete", {"model": "main"}),
        ]:
            code, text = self.error(method, path, body)
            self.assertEqual(code, 403, path)
            self.assertIn("agentctl", text)
        self.assertEqual(len(self.ask("GET", "/api/tags").json()["models"]), 2)

    def test_what_is_not_there_cannot_be_managed_either(self) -> None:
        for method, path, body in [
            ("POST", "/api/push", UNKNOWN),
            ("POST", "/api/copy", {"source": "llama3", "destination": "x"}),
            ("DELETE", "/api/delete", UNKNOWN),
            ("POST", "/api/show", UNKNOWN),
        ]:
            self.assertEqual(self.error(method, path, body), (404, "model 'llama3' not found"), path)

    def test_a_blob_is_never_there(self) -> None:
        response = self.ask("HEAD", "/api/blobs/sha256:00")
        self.assertEqual((response.code, response.body), (404, b""))

    def test_each_bad_body_is_a_400(self) -> None:
        for path in ("show", "pull", "push", "create", "copy", "embed", "embeddings"):
            for body in (b"", b"nonsense", b"[]", b'{"model":5}', b"[" * 10_000, b'{"name":"\xff"}'):
                self.assertEqual(self.error("POST", f"/api/{path}", body)[0], 400, (path, body))
        self.assertEqual(self.error("DELETE", "/api/delete", b"{}")[0], 400)
        self.assertEqual(self.error("POST", "/api/copy", {"source": "main"})[0], 400)

    def test_wrong_methods_are_405(self) -> None:
        for method, path in (
            ("GET", "pull"),
            ("POST", "delete"),
            ("GET", "me"),
            ("POST", "tags"),
            ("HEAD", "chat"),
        ):
            self.assertEqual(self.ask(method, f"/api/{path}").code, 405, path)
        self.assertEqual(self.ask("GET", "/api/blobs/sha256:00").code, 405)


class ServerTests(OllamaCase):
    def test_nothing_of_ollama_com_is_offered(self) -> None:
        self.assertEqual(
            self.ask("GET", "/api/status").json(), {"cloud": {"disabled": True, "source": "config"}}
        )
        recommended = self.ask("GET", "/api/experimental/model-recommendations").json()["recommendations"]
        self.assertEqual([each["model"] for each in recommended], ["main", "other"])

    def test_there_is_no_account_and_nobody_is_sent_to_sign_in(self) -> None:
        for method, path in (("POST", "me"), ("POST", "signout"), ("DELETE", "user/keys/a%2Fb")):
            code, text = self.error(method, f"/api/{path}")
            self.assertEqual(code, 404)
            self.assertIn("account", text)

    def test_head_is_answered_wherever_an_app_may_ask_it(self) -> None:
        for path in ("/", "/api/version", "/api/tags", "/api/ps", "/v1/", "/v1/api/tags", "/api/status"):
            response = self.ask("HEAD", path)
            self.assertEqual((response.code, response.body), (200, b""), path)


class OptionsTests(OllamaCase):
    def test_what_a_client_asks_of_the_generation_reaches_the_model(self) -> None:
        asked = {"options": {"num_predict": 9, "stop": "\n", "seed": 1}, "format": "json", "think": "low"}
        expected = Options(max_tokens=9, stop=("\n",), json_schema={}, think="low")
        messages = [{"role": "user", "content": "hello"}]
        for path, body in (("chat", {"messages": messages}), ("generate", {"prompt": "hello"})):
            self.front.connect().send("POST", f"/api/{path}", {**body, **asked})
            self.assertEqual(self.house.calls[-1].request.options, expected)
            self.house.calls[-1].finish()

    def test_an_unknown_effort_is_refused_in_words_that_keep_the_cli_alive(self) -> None:
        messages = [{"role": "user", "content": "hello"}]
        code, text = self.error("POST", "/api/chat", {"messages": messages, "think": "hard"})
        self.assertEqual(code, 400)
        self.assertIn("invalid think value", text)


class EmbedTests(OllamaCase):
    def setUp(self) -> None:
        super().setUp()
        self.embedder = CountingEmbedder()
        self.with_embedder = Front(House(folder=Path(self.mktemp()), embedders=[self.embedder]))

    def test_texts_become_vectors(self) -> None:
        body = self.with_embedder.ask("POST", "/api/embed", {"model": "m", "input": ["a", "bb"]}).json()
        self.assertEqual((body["model"], len(body["embeddings"])), ("m", 2))
        self.assertIs(type(body["total_duration"]), int)
        one = self.with_embedder.ask("POST", "/api/embed", {"model": "m", "input": "bb"}).json()
        self.assertEqual(one["embeddings"], body["embeddings"][1:])
        old = self.with_embedder.ask("POST", "/api/embeddings", {"model": "m", "prompt": "bb"}).json()
        self.assertEqual(old, {"embedding": body["embeddings"][1]})

    def test_nothing_makes_no_vectors(self) -> None:
        nothing: list[Any] = [[], "", None]
        for text in nothing:
            body = self.with_embedder.ask("POST", "/api/embed", {"model": "m", "input": text}).json()
            self.assertEqual(body["embeddings"], [])
        self.assertEqual(
            self.with_embedder.ask("POST", "/api/embeddings", {"model": "m"}).json(), {"embedding": []}
        )

    def test_without_an_embedding_model_it_is_said_clearly(self) -> None:
        for path, body in (
            ("embed", {"model": "m", "input": "x"}),
            ("embeddings", {"model": "m", "prompt": "x"}),
        ):
            code, text = self.error("POST", f"/api/{path}", body)
            self.assertEqual(code, 400)
            self.assertIn("No model here makes embeddings", text)

    def test_bad_bodies_are_refused(self) -> None:
        for body in ({"input": 5}, {"input": [5]}, {"input": "x", "dimensions": -1}, {"input": [["x"]]}):
            response = self.with_embedder.ask("POST", "/api/embed", body)
            self.assertEqual((response.code, list(response.json())), (400, ["error"]), body)

    def test_an_embedding_model_has_a_card_that_says_so(self) -> None:
        card = self.with_embedder.ask("POST", "/api/show", {"model": "vectors"}).json()
        self.assertEqual(card["capabilities"], ["embedding"])
