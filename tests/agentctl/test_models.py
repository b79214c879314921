"""Models: signs, the default and its protection, adding through the server's own loader."""

import json
import os
from unittest import mock

from llamaproxy.agentctl import registry
from llamaproxy.config import load_registry
from llamaproxy.config.dropins import DropIns
from llamaproxy.models.registry import find_builder

from .helpers import AgentctlCase

GEMINI = ("model-add", "gem", "OPENAI", "gemini-2.5", "--host", "https://example.com/v1")


class AddTests(AgentctlCase):
    def test_added_model_loads_with_its_numbers(self) -> None:
        options = ("--max-context", "40", "--temperature", "0.5", "--vision", "--no-tool-call-available")
        self.assertIn("restart", self.met(*GEMINI, *options))
        entry = load_registry(self.home).models["gem"]
        got = (entry.model_id, entry.max_context, entry.temperature, entry.vision, entry.tool_call_available)
        self.assertEqual(got, ("gemini-2.5", 40, 0.5, True, False))

    def test_only_what_was_given_is_written(self) -> None:
        self.met(*GEMINI)
        expected = {
            "type": "OPENAI",
            "model_id": "gemini-2.5",
            "host": "https://example.com/v1",
            "enabled": True,
        }
        self.assertEqual(self.registry()["models"]["gem"], expected)

    def test_what_the_loader_refuses_is_refused(self) -> None:
        self.assertIn("models.gem.host: expected an http", self.refused("model-add", "gem", "OPENAI", "x"))
        self.assertIn(
            "models.gem.temperature: expected a number", self.refused(*GEMINI, "--temperature", "hot")
        )
        self.assertIn("models.gem.idle_timeout", self.refused(*GEMINI, "--idle-timeout", "0"))
        self.assertIn("without spaces", self.refused("model-add", "my gem", "LOCAL", "x"))

    def test_unknown_option_is_refused_with_the_usage(self) -> None:
        self.assertIn("usage: agentctl model-add", self.refused(*GEMINI, "--heat", "1"))

    def test_a_key_is_added_once(self) -> None:
        self.met(*GEMINI)
        self.assertIn("there is a model gem", self.refused(*GEMINI))

    def test_a_missing_key_is_pointed_out(self) -> None:
        self.assertIn("add GEM_KEY=... to", self.met(*GEMINI, "--env-key", "GEM_KEY"))

    def test_type_that_is_neither_built_in_nor_a_plugins_is_refused(self) -> None:
        said = self.refused("model-add", "oops", "OPENAPI", "gpt", "--host", "https://example.com/v1")
        self.assertRegex(said, "models.oops.type: expected .*OLLAMA or OPENAI.*, got 'OPENAPI'")

    def test_type_of_a_plugin_is_taken(self) -> None:
        shouting = mock.Mock()
        shouting.name = "SHOUTING"
        with mock.patch("llamaproxy.models.registry.drop_ins", return_value=DropIns([shouting], {})):
            self.met("model-add", "loud", "SHOUTING", "x")
            self.assertIn("✓ loud", self.met("models"))

    def test_types_that_need_no_plugin_are_those_of_the_server(self) -> None:
        for kind in registry.BUILT_IN:
            find_builder(kind)
        error = self.assertRaises(LookupError, find_builder, "?")
        self.assertIn(f"expected {' or '.join(sorted(registry.BUILT_IN))}, got", str(error))


class EmbeddingTests(AgentctlCase):
    def test_a_model_that_makes_embeddings_cannot_be_the_default(self) -> None:
        self.met(*GEMINI, "--embedding")
        self.assertIn("cannot be talked to", self.refused("model", "gem"))


class StateTests(AgentctlCase):
    def sign_of(self, key: str) -> str:
        (line,) = (line for line in self.met("models").splitlines() if line[2:].startswith(f"{key} "))
        return line[0]

    def test_missing_weights_come_with_the_command_that_fetches_them(self) -> None:
        self.assertEqual(self.sign_of("smollm2"), "⚠")
        self.assertIn("weights missing: agentctl model-pull smollm2", self.met("models"))
        self.home.weights.mkdir()
        self.home.weights_file("smollm2").write_bytes(b"GGUF...")
        self.assertEqual(self.sign_of("smollm2"), "✓")

    def test_key_counts_from_the_environment_or_the_env_file(self) -> None:
        self.met(*GEMINI, "--env-key", "GEM_KEY")
        self.assertEqual(self.sign_of("gem"), "⚠")
        self.home.env_file.write_text("GEM_KEY=1")
        self.assertEqual(self.sign_of("gem"), "✓")
        self.home.env_file.unlink()
        os.environ["GEM_KEY"] = "1"
        self.assertEqual(self.sign_of("gem"), "✓")

    def test_unknown_type_is_broken_and_cannot_be_the_default(self) -> None:
        self.met(*GEMINI)
        content = self.registry()
        content["models"]["gem"]["type"] = "OPENAPI"
        self.home.models_file.write_text(json.dumps(content))
        self.assertEqual(self.sign_of("gem"), "✗")
        for overview in ("models", "list"):
            self.assertIn("models.gem.type: expected AGENT or", self.met(overview))
        self.assertIn("got 'OPENAPI'", self.refused("model", "gem"))

    def test_python_agent_is_looked_for_and_not_run(self) -> None:
        self.home.path.joinpath("myagents").mkdir()
        self.home.path.joinpath("myagents", "__init__.py").write_text("raise SystemExit('it was run')")
        self.met("model-add", "mine", "PYTHON", "myagents.weather:reply")
        self.assertEqual(self.sign_of("mine"), "✗")
        self.assertIn("there is no module myagents.weather", self.met("models"))
        file = self.home.path / "myagents" / "weather.py"
        file.write_text("import nothing_of_this_name")
        self.assertEqual(self.sign_of("mine"), "✓")
        self.assertIn(f"found {file}; whether it can be imported shows", self.met("models"))

    def test_disabled_and_broken_have_their_signs(self) -> None:
        self.met(*GEMINI, "--no-enabled")
        self.assertEqual(self.sign_of("gem"), "○")
        content = self.registry()
        content["models"]["bad"] = {"type": "LOCAL"}
        self.home.models_file.write_text(json.dumps(content))
        self.assertEqual(self.sign_of("bad"), "✗")
        self.assertIn("models.bad.model_id: is missing", self.met("model-info", "bad"))

    def test_default_is_marked_and_counted_in_the_list(self) -> None:
        self.met(*GEMINI)
        self.assertIn("smollm2 (default)", self.met("models"))
        self.assertIn("default model: smollm2, 1 of 2 ready", self.met("list"))

    def test_info_shows_a_keys_name_and_never_its_value(self) -> None:
        self.home.env_file.write_text("GEM_KEY=s3cret")
        self.met(*GEMINI, "--env-key", "GEM_KEY")
        output = self.met("model-info", "gem")
        self.assertIn("GEM_KEY", output)
        self.assertNotIn("s3cret", output)


class DefaultTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.met(*GEMINI)

    def test_another_model_becomes_the_default(self) -> None:
        self.assertIn("smollm2 → gem", self.met("model", "gem"))
        self.assertEqual(load_registry(self.home).default_model, "gem")
        self.assertIn("nothing to do", self.met("model", "gem"))

    def test_default_is_neither_removed_nor_disabled(self) -> None:
        for subcommand in ("model-remove", "model-disable"):
            self.assertIn("is the default model", self.refused(subcommand, "smollm2"))

    def test_disabled_or_unknown_model_cannot_become_default(self) -> None:
        self.met("model-disable", "gem")
        self.assertIn("agentctl model-enable gem", self.refused("model", "gem"))
        self.assertIn("there is smollm2, gem", self.refused("model", "nope"))

    def test_a_lost_default_can_be_mended(self) -> None:
        content = self.registry()
        del content["default_model"]
        self.home.models_file.write_text(json.dumps(content))
        self.met("model", "gem")
        self.assertEqual(load_registry(self.home).default_model, "gem")


class SwitchTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.met(*GEMINI)

    def test_disable_and_enable_keep_the_settings(self) -> None:
        before = self.registry()
        self.met("model-disable", "gem")
        self.assertFalse(load_registry(self.home).models["gem"].enabled)
        self.assertIn("nothing to do", self.met("model-disable", "gem"))
        self.met("model-enable", "gem")
        self.assertIn("nothing to do", self.met("model-enable", "gem"))
        self.assertEqual(self.registry(), before)

    def test_remove_forgets_the_entry_only(self) -> None:
        self.met("model-remove", "gem")
        self.assertEqual(list(self.registry()["models"]), ["smollm2"])

    def test_unknown_models_are_refused(self) -> None:
        for subcommand in ("model", "model-info", "model-remove", "model-enable", "model-disable"):
            self.assertIn("no model nope", self.refused(subcommand, "nope"))
