"""`agentctl setup` and `model-test`, against stand-ins for the four servers that people run at home."""

import http.server
import sys
import threading
from typing import Any, ClassVar
from unittest import mock

from msgspec import json

from llamaproxy.agentctl import cli, finding
from llamaproxy.agentctl.finding import Place
from llamaproxy.agentctl.printer import Printer
from llamaproxy.agentctl.setup import is_free
from llamaproxy.agentctl.tryout import red
from llamaproxy.config import PLUGIN, Occupancy

from .helpers import AgentctlCase, Terminal

KEY = "right-key"


class Stub(http.server.BaseHTTPRequestHandler):
    """Speaks as Ollama under /api and as the others under /v1; of a server with a `key` nothing without it."""

    key: ClassVar[str] = ""
    models: ClassVar[tuple[str, ...]] = ("qwen3:8b", "nomic-embed-text")

    def do_GET(self) -> None:
        if self.path == "/api/tags":
            self.answer({"models": [{"name": name} for name in self.models]})
        elif self.path == "/v1/models":
            self.answer({"data": [{"id": name} for name in self.models]})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        asked = json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        said: list[str] = ["The answer", " is", " 5", "."]
        calls = [{"function": {"name": "get_time", "arguments": {}}}] if "tools" in asked else []
        whole = {"role": "assistant", "content": "red", "tool_calls": calls}
        if not asked["stream"]:
            self.answer({"message": whole, "choices": [{"message": whole}]})
        elif self.path == "/api/chat":
            self.answer(*[{"message": {"role": "assistant", "content": text}} for text in said])
        else:
            self.answer(*[{"choices": [{"delta": {"content": text}}]} for text in said], mark=b"data: ")

    def answer(self, *frames: Any, mark: bytes = b"") -> None:
        if self.key and self.headers["Authorization"] != f"Bearer {self.key}":
            self.send_error(401)
            return
        self.send_response(200)
        self.end_headers()
        for frame in frames:
            self.wfile.write(mark + json.encode(frame) + b"\n\n")

    def log_message(self, *args: Any) -> None:
        """Keeps quiet."""


class StubCase(AgentctlCase):
    def serve(self, kind: type[Stub] = Stub) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"


class SetupTests(StubCase):
    def setUp(self) -> None:
        super().setUp()
        ollama, lm_studio, llama_cpp, vllm = (self.serve() for _ in range(4))
        self.host = ollama
        self.places = (
            Place("Ollama", "OLLAMA", ollama),
            Place("LM Studio", "OPENAI", f"{lm_studio}/v1"),
            Place("llama.cpp", "OPENAI", f"{llama_cpp}/v1"),
            Place("vLLM", "OPENAI", f"{vllm}/v1"),
        )
        self.patch(finding, "ON_THIS_MACHINE", self.places)
        self.patch(finding, "BY_KEY", ())

    def answered(self, typed: str, *words: str) -> str:
        terminal, keyboard = Terminal(), Terminal(typed)
        self.patch(sys, "stdin", keyboard)
        status = cli.run(self.home, ["setup", *words], Printer(terminal, terminal))
        self.assertEqual(status, 0, terminal.getvalue())
        return terminal.getvalue()

    def test_all_four_are_found_and_the_chosen_one_answers_a_question(self) -> None:
        said = self.answered("3\nn\n")
        for place in self.places:
            self.assertIn(f"qwen3:8b  ({place.name})", said)
        self.assertNotIn("nomic", said)
        self.assertIn("qwen3:8b answers: 'The answer is 5.'", said)
        self.assertEqual(said.count("?"), 2)
        written = self.registry()
        self.assertEqual(written["default_model"], "qwen3:8b")
        self.assertEqual(written["models"]["qwen3:8b"]["host"], self.places[2].host)

    def test_several_are_added_and_the_first_one_answers(self) -> None:
        self.patch(Stub, "models", ("qwen3:8b", "llama3.2:3b", "nomic-embed-text"))
        said = self.answered("qwen4\n99\n4, llama3.2:3b\nn\n")
        self.assertEqual(said.count("numbers from 0 to 8, or names"), 2)
        written = self.registry()
        self.assertEqual(written["default_model"], "llama3.2:3b")
        hosts = [written["models"][key]["host"] for key in ("llama3.2:3b", "llama3.2:3b-2")]
        self.assertEqual(hosts, [self.places[1].host, self.host])
        self.assertIn("also added: llama3.2:3b-2", said)
        self.met("setup", "--model", "qwen3:8b", "--model", "llama3.2:3b")
        self.assertEqual(self.registry()["default_model"], "qwen3:8b")

    def test_one_that_does_not_answer_is_told_and_another_may_be_chosen(self) -> None:
        broken = self.serve(
            type("Broken", (Stub,), {"do_POST": lambda stub: stub.send_error(500, "no memory")})
        )
        self.patch(finding, "ON_THIS_MACHINE", (Place("Ollama", "OLLAMA", broken), self.places[1]))
        said = self.answered("1\n2\nn\n")
        self.assertIn("does not answer", said)
        self.assertEqual(self.registry()["models"]["qwen3:8b"]["host"], self.places[1].host)

    def test_closed_input_changes_nothing(self) -> None:
        before = self.plugins(), self.registry()
        terminal, keyboard = Terminal(), Terminal("")
        self.patch(sys, "stdin", keyboard)
        self.assertEqual(cli.run(self.home, ["setup"], Printer(terminal, terminal)), 1)
        self.assertIn("left as it is", terminal.getvalue())
        self.assertEqual((self.plugins(), self.registry()), before)
        self.assertFalse((self.home.path / ".setup").exists())

    def test_done_again_it_suggests_what_was_chosen_and_asks_for_no_second_key(self) -> None:
        self.answered("3\ny\n")
        said = self.answered("\n")
        self.assertIn("[3]", said)
        self.assertEqual(said.count("?"), 1)
        self.assertEqual(self.registry()["models"]["qwen3:8b"]["host"], self.places[2].host)
        self.answered("0\n")
        self.assertEqual(self.registry()["default_model"], "smollm2")
        self.assertIn("[0]", self.answered("\n"))
        self.assertEqual(self.registry()["default_model"], "smollm2")

    def test_what_is_there_without_a_model_is_told(self) -> None:
        class Empty(Stub):
            models = ("nomic-embed-text",)

        class Locked(Stub):
            key = KEY

        class Other(Stub):
            def do_GET(self) -> None:
                self.answer({"hello": "world"})

        places = (
            Place("Ollama", "OLLAMA", self.serve(Empty)),
            Place("vLLM", "OPENAI", f"{self.serve(Locked)}/v1"),
            Place("llama.cpp", "OPENAI", f"{self.serve(Other)}/v1"),
            Place("LM Studio", "OPENAI", "http://127.0.0.1:9/v1"),
        )
        self.patch(finding, "ON_THIS_MACHINE", places)
        self.patch(
            finding,
            "BY_KEY",
            (
                Place("OpenAI", "OPENAI", f"{self.serve(Locked)}/v1", "OPENAI_API_KEY"),
                Place("Groq", "OPENAI", "http://127.0.0.1:9/v1", "GROQ_API_KEY"),
                Place("xAI", "OPENAI", "http://127.0.0.1:9/v1", "XAI_API_KEY"),
            ),
        )
        self.home.env_file.write_text("OPENAI_API_KEY=wrong\nGROQ_API_KEY=any\n")
        said = self.met("setup", "--yes")
        for told in (
            "Ollama is there, and has no model to talk to yet; ollama pull",
            "vLLM wants a key: agentctl model-add",
            "OpenAI does not take the key in OPENAI_API_KEY (status 401)",
            "Groq, whose key is in GROQ_API_KEY: nothing listens",
            "none found",
        ):
            self.assertIn(told, said)
        for silent in ("llama.cpp", "LM Studio", "xAI", "wrong"):
            self.assertNotIn(silent, said)

    def test_next_step_is_told_where_no_server_runs(self) -> None:
        self.assertIn("llamaproxy run", self.met("setup", "--yes"))
        self.assertNotIn("llamaproxy run", self.answered("0\nn\n", "--once"))

    def test_key_for_beyond_the_house_is_made_on_demand(self) -> None:
        said = self.answered("0\ny\n")
        key = self.plugins()["plugin_config"][PLUGIN]["api_keys"]["away"]
        self.assertIn(key, said)
        self.assertEqual(self.registry()["default_model"], "smollm2")

    def test_taken_port_gives_way_to_the_next_free_one(self) -> None:
        taken = int(self.host.rpartition(":")[2])
        self.met("port-set", PLUGIN, str(taken))
        said = self.met("setup", "--model", "qwen3:8b")
        port = self.plugins()["plugin_config"][PLUGIN]["llama_port"]
        self.assertNotEqual(port, taken)
        self.assertTrue(is_free(port))
        self.assertIn(f"http://127.0.0.1:{port}", said)

    def test_port_stays_while_our_own_server_has_it(self) -> None:
        taken = int(self.host.rpartition(":")[2])
        self.met("port-set", PLUGIN, str(taken))
        server = Occupancy(self.home.lock_file)
        server.take()
        self.addCleanup(server.release)
        server.sign(f"http://127.0.0.1:{taken}")
        self.patch(cli, "tell_server", lambda home: "The running server goes by it now.")
        for words in ((), ("--port", str(taken))):
            self.assertIn("goes by it now", self.met("setup", "--model", "none", *words))
            self.assertEqual(self.plugins()["plugin_config"][PLUGIN]["llama_port"], taken)

    def test_port_that_another_has_is_refused_before_anything_is_written(self) -> None:
        before = self.plugins(), self.registry()
        taken = self.host.rpartition(":")[2]
        self.assertIn(f"port {taken} is taken", self.refused("setup", "--yes", "--port", taken))
        self.assertEqual((self.plugins(), self.registry()), before)

    def test_every_question_can_be_answered_by_a_flag(self) -> None:
        self.met("setup", "--yes", "--with-key", "--port", "23456")
        door = self.plugins()["plugin_config"][PLUGIN]
        self.assertEqual((door["llama_port"], list(door["api_keys"])), (23456, ["away"]))
        self.assertEqual(self.registry()["models"]["qwen3:8b"]["type"], "OLLAMA")
        for port in ("0", "65536", "-1", "http"):
            self.refused("setup", "--yes", "--port", port)

    def test_pipe_is_asked_nothing(self) -> None:
        self.assertIn("--model NAME", self.refused("setup"))
        self.assertEqual(self.met("setup", "--once"), "")

    def test_it_is_asked_once(self) -> None:
        self.answered("0\nn\n", "--once")
        self.assertEqual(self.answered("", "--once"), "")

    def test_our_own_server_is_not_offered_to_itself(self) -> None:
        class Ours(Stub):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self.answer({"llamaproxy_connections": 1})
                else:
                    super().do_GET()

        self.patch(finding, "ON_THIS_MACHINE", (Place("Ollama", "OLLAMA", self.serve(Ours)),))
        self.assertIn("none found", self.met("setup", "--yes"))

    def test_servers_with_metrics_of_their_own_are_found(self) -> None:
        class Measured(Stub):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self.answer({"vllm:num_requests_running": 0})
                else:
                    super().do_GET()

        class Unmeasured(Stub):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self.send_error(501)
                else:
                    super().do_GET()

        for kind in (Measured, Unmeasured):
            places = (Place("vLLM", "OPENAI", f"{self.serve(kind)}/v1"),)
            self.patch(finding, "ON_THIS_MACHINE", places)
            self.met("setup", "--model", "qwen3:8b")

    def test_ollama_is_found_where_its_variable_says(self) -> None:
        host = self.serve()
        self.patch(finding, "ON_THIS_MACHINE", ())
        self.home.env_file.write_text(f"OLLAMA_HOST={host.removeprefix('http://')}\n")
        self.met("setup", "--model", "qwen3:8b")
        self.assertEqual(self.registry()["models"]["qwen3:8b"]["host"], host)

    def test_another_model_of_the_same_name_stays_as_it_is(self) -> None:
        self.met("model-add", "qwen3:8b", "OPENAI", "qwen3:8b", "--host", "http://192.0.2.1/v1")
        before = self.registry()["models"]["qwen3:8b"]
        for _ in range(2):
            self.met("setup", "--model", "qwen3:8b")
            written = self.registry()
            self.assertEqual(
                (list(written["models"]), written["default_model"]),
                (["smollm2", "qwen3:8b", "qwen3:8b-2"], "qwen3:8b-2"),
            )
        self.assertEqual(written["models"]["qwen3:8b"], before)

    def test_a_key_that_phones_have_stays(self) -> None:
        self.met("setup", "--yes", "--with-key")
        before = self.plugins()["plugin_config"]
        self.assertIn("stays", self.met("setup", "--yes", "--with-key"))
        self.assertEqual(self.plugins()["plugin_config"][PLUGIN], before[PLUGIN])

    def test_model_that_does_not_answer_changes_nothing(self) -> None:
        with mock.patch.object(Stub, "do_POST", lambda stub: stub.send_error(500, "out of memory")):
            self.assertIn("nothing was changed", self.refused("setup", "--model", "qwen3:8b"))


class ModelTestTests(StubCase):
    def add(self, kind: str, host: str, name: str = "qwen3:8b", *words: str) -> None:
        self.met("model-add", "x", kind, name, "--host", host, *words)

    def test_what_works_is_ticked(self) -> None:
        for kind, path in (("OLLAMA", ""), ("OPENAI", "/v1")):
            self.add(kind, self.serve() + path)
            said = self.met("model-test", "x")
            for what in ("reachable", "name", "answers", "streams", "speed", "calls tools", "sees"):
                self.assertIn(f"✓ {what}", said)
            self.met("model-remove", "x")

    def test_wrong_key_name_and_address_are_told_apart(self) -> None:
        class Locked(Stub):
            key = KEY

        self.add("OPENAI", self.serve(Locked) + "/v1", "qwen3:8b", "--env-key", "A_KEY")
        self.home.env_file.write_text("A_KEY=wrong-key\n")
        self.assertIn("✗ key: its server refuses it", self.refused("model-test", "x"))
        self.home.env_file.write_text(f"A_KEY={KEY}\n")
        self.assertIn("✓ key", self.met("model-test", "x"))
        self.met("model-remove", "x")
        self.add("OLLAMA", self.serve(), "qwen4")
        self.assertIn("✗ name: there is qwen3:8b", self.refused("model-test", "x"))
        self.met("model-remove", "x")
        self.add("OPENAI", self.serve())
        self.assertIn("/v1", self.refused("model-test", "x"))
        self.met("model-remove", "x")
        self.add("OPENAI", "http://127.0.0.1:9/v1")
        self.assertIn("nothing listens at its address", self.refused("model-test", "x"))

    def test_it_is_there_for_programs(self) -> None:
        self.add("OLLAMA", self.serve())
        checks = json.decode(self.met("model-test", "x", "--json"))
        self.assertEqual({check["what"]: check["holds"] for check in checks}["streams"], True)

    def test_embedded_model_needs_its_weights_only(self) -> None:
        self.assertIn("✗ weights: agentctl model-pull smollm2", self.refused("model-test", "smollm2"))

    def test_picture_is_one(self) -> None:
        self.assertTrue(red().startswith("iVBORw0KGgo"))
