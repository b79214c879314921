"""Every answer in Ollama's dialect, read as strictly as each client reads it, and the CLI's commands call by call."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.doctor.ollama import CLIENTS, check, check_stream
from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.types import ModelInfo, Reasoning, Text
from tests.support import USAGE, CountingEmbedder, Front, House, Response, ScriptedModel

HELLO: dict[str, Any] = {"model": "main", "messages": [{"role": "user", "content": "hello"}]}
CLI = "ollama/0.33.0 (amd64 linux) Go/go1.24"


class LocalModel(ScriptedModel):
    """A model with weights of its own."""

    def info(self) -> ModelInfo:
        return ModelInfo(
            key="small:135m",
            model_id="smollm2",
            kind="LOCAL",
            vision=True,
            context_length=2048,
            embedding_length=576,
            size=100_000_000,
            family="llama",
            parameter_size="135M",
            quantization="Q4_1",
            modified_at=1_700_000_000.5,
        )


class ClientCase(SynchronousTestCase):
    def setUp(self) -> None:
        models = ScriptedModel("main"), LocalModel()
        self.house = House(*models, folder=Path(self.mktemp()), embedders=[CountingEmbedder()])
        self.addCleanup(self.house.close)
        self.front = Front(self.house)

    def converse(self, path: str, body: dict[str, Any], **headers: str) -> Response:
        """A whole exchange in which the model thinks and then says everything that is hard to send."""
        wire = self.front.connect().send("POST", path, body, **headers)
        call = self.house.calls[-1]
        call.send([Reasoning("hm\u2028"), Text("Hi\u0085 "), Text("\U0001f600\n\n")])
        call.finish(usage=USAGE)
        return wire.response()


class EveryClientTests(ClientCase):
    def test_lists_and_cards_suit_every_client(self) -> None:
        answers = {
            "tags": self.front.ask("GET", "/api/tags"),
            "ps": self.front.ask("GET", "/api/ps"),
            "version": self.front.ask("GET", "/api/version"),
            "status": self.front.ask("GET", "/api/status"),
            "experimental/model-recommendations": self.front.ask(
                "GET", "/api/experimental/model-recommendations"
            ),
            "embed": self.front.ask("POST", "/api/embed", {"model": "vectors", "input": ["a", "b"]}),
            "embeddings": self.front.ask("POST", "/api/embeddings", {"model": "vectors", "prompt": "a"}),
            "error": self.front.ask("POST", "/api/show", {"model": "x"}),
        }
        for client, endpoints in CLIENTS.items():
            for endpoint in endpoints.keys() & answers.keys():
                check(client, endpoint, answers[endpoint].body)
            if "show" in endpoints:
                for name in ("main", "small:135m", "vectors"):
                    asked = {"model": "", "name": name, "verbose": True}
                    check(client, "show", self.front.ask("POST", "/api/show", asked).body)

    def test_replies_suit_every_client(self) -> None:
        asked: dict[str, dict[str, Any]] = {"chat": HELLO, "generate": {"model": "main", "prompt": "hello"}}
        for client, endpoints in CLIENTS.items():
            for endpoint in endpoints.keys() & asked.keys():
                streamed = self.converse(f"/api/{endpoint}", asked[endpoint])
                check_stream(client, endpoint, streamed.body)
                whole = self.converse(f"/api/{endpoint}", {**asked[endpoint], "stream": False})
                check(client, endpoint, whole.body)

    def test_a_reply_that_breaks_off_suits_every_client(self) -> None:
        for client, endpoints in CLIENTS.items():
            if "chat" in endpoints:
                wire = self.front.connect().send("POST", "/api/chat", HELLO)
                self.house.calls[-1].say("Hi")
                self.house.calls[-1].fail(ModelError("the model broke off"))
                check_stream(client, "chat", wire.response().body)

    def test_signs_of_life_suit_every_client(self) -> None:
        for client, endpoints in CLIENTS.items():
            if "chat" in endpoints:
                wire = self.front.connect().send("POST", "/api/chat", HELLO)
                self.house.clock.advance(60)
                self.house.calls[-1].say("Hi")
                self.house.calls[-1].finish()
                check_stream(client, "chat", wire.response().body)

    def test_a_pull_suits_every_client(self) -> None:
        for client, endpoints in CLIENTS.items():
            for name in ("main", "small:135m") if "pull" in endpoints else ():
                check_stream(client, "pull", self.front.ask("POST", "/api/pull", {"name": name}).body)
                whole = self.front.ask("POST", "/api/pull", {"name": name, "stream": False})
                check(client, "pull", whole.body)


class CommandLineTests(ClientCase):
    """The calls of `ollama COMMAND` in the order in which it makes them."""

    def setUp(self) -> None:
        super().setUp()
        beat = self.front.ask("HEAD", "/", user_agent=CLI)
        self.assertEqual((beat.code, beat.body), (200, b""))

    def call(self, method: str, path: str, body: Any = b"") -> Response:
        return self.front.ask(method, f"/api/{path}", body, user_agent=CLI)

    def show(self, name: str) -> Any:
        asked = {
            "model": "",
            "system": "",
            "template": "",
            "verbose": False,
            "options": None,
            "name": name,
        }
        return check("ollama-cli", "show", self.call("POST", "show", asked).body)

    def assert_untouched(self) -> None:
        self.assertEqual((self.house.calls, len(self.house.agent.parts.sessions)), ([], 0))

    def test_list(self) -> None:
        listed = check("ollama-cli", "tags", self.call("GET", "tags").body)
        self.assertEqual([model.name for model in listed.models], ["main:latest", "small:135m"])
        self.assertEqual(listed.models[1].size, 100_000_000)

    def test_ps(self) -> None:
        running = check("ollama-cli", "ps", self.call("GET", "ps").body).models[1]
        self.assertEqual((running.name, running.context_length, running.size_vram), ("small:135m", 2048, 0))
        # Over twenty years ahead is printed as "Forever".
        self.assertGreater(running.expires_at.year, 2100)

    def test_show(self) -> None:
        card = self.show("small:135m")
        self.assertEqual((card.details.parameter_size, card.details.quantization_level), ("135M", "Q4_1"))
        self.assertEqual(card.model_info["general.architecture"], "llama")
        self.assertEqual(card.model_info["llama.context_length"], 2048)
        self.assertEqual(card.model_info["llama.embedding_length"], 576)
        self.assertEqual(card.capabilities, ["completion", "vision"])

    def test_run_with_a_prompt(self) -> None:
        self.show("main")
        asked = {"model": "main", "prompt": "hello", "format": "", "options": {}, "images": [], "context": []}
        lines = check_stream(
            "ollama-cli", "generate", self.converse("/api/generate", asked, user_agent=CLI).body
        )
        self.assertEqual("".join(line.response for line in lines), "Hi\u0085 \U0001f600\n\n")
        self.assertEqual((lines[-1].done_reason, lines[-1].eval_count), ("stop", 5))

    def test_run_as_a_conversation(self) -> None:
        self.call("POST", "show", {"model": "main"})
        self.show("main")
        load = self.call("POST", "generate", {"model": "main", "prompt": "", "options": None})
        self.assertEqual(check("ollama-cli", "generate", load.body).done_reason, "load")
        self.assert_untouched()
        history: list[dict[str, Any]] = []
        for text in ("hello", "and again"):
            history.append({"role": "user", "content": text})
            asked = {"model": "main", "messages": history, "options": {}, "think": True}
            lines = check_stream("ollama-cli", "chat", self.converse("/api/chat", asked, user_agent=CLI).body)
            said = "".join(line.message.content for line in lines)
            history.append({"role": "assistant", "content": said})
        self.assertEqual(len(self.house.store.messages["llama-192.168.1.20"]), 4)

    def test_run_with_a_name_that_is_not_there(self) -> None:
        response = self.call("POST", "show", {"model": "llama3"})
        self.assertEqual(response.code, 404)
        check("ollama-cli", "error", response.body)
        first, last = self.call("POST", "pull", {"name": "llama3"}).lines()
        self.assertEqual(first, {"status": "pulling manifest"})
        self.assertIn("try main, small:135m", last["error"])

    def test_stop(self) -> None:
        self.show("main")
        response = self.call("POST", "generate", {"model": "main", "prompt": "", "keep_alive": "0s"})
        self.assertEqual(check("ollama-cli", "generate", response.body).done_reason, "unload")
        self.assert_untouched()

    def test_pull(self) -> None:
        lines = check_stream("ollama-cli", "pull", self.call("POST", "pull", {"name": "small:135m"}).body)
        (bar,) = [line for line in lines if isinstance(line.digest, str)]
        self.assertEqual((bar.completed, bar.total), (100_000_000, 100_000_000))
        self.assertEqual(lines[-1].status, "success")

    def test_rm_cp_push_and_create_are_refused_in_words(self) -> None:
        self.show("main")
        self.call("POST", "generate", {"model": "main", "prompt": "", "keep_alive": "0s"})
        for method, path, body in [
            ("DELETE", "delete", {"model": "", "name": "main"}),
            ("POST", "copy", {"source": "main", "destination": "mine"}),
            ("POST", "push", {"name": "main"}),
            ("POST", "create", {"model": "mine", "from": "main"}),
        ]:
            response = self.call(method, path, body)
            self.assertEqual(response.code, 403)
            self.assertIn("agentctl", check("ollama-cli", "error", response.body).error)

    def test_the_menu(self) -> None:
        check("ollama-cli", "status", self.call("GET", "status").body)
        self.assertEqual(self.call("POST", "me").code, 404)
        recommended = self.call("GET", "experimental/model-recommendations").body
        check("ollama-cli", "experimental/model-recommendations", recommended)
