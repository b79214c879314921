"""What people get wrong by hand: each is told with its file, its whole key or line, and what was probably meant."""

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import PLUGIN, ConfigError, Home, load_gates, load_registry, load_settings
from llamaproxy.config.variables import is_secret

SECRETS = (
    "sk-proj-abcdefghijklmnop1234567890",
    "sk-ant-api03-AbCdEfGhIjKlMnOp",
    "AIzaSyA1234567890abcdefghijklmnop",
    "gsk_A1b2C3d4E5f6G7h8I9j0K1l2",
    "xai-A1b2C3d4E5f6G7h8I9j0",
    "hf_AbCdEfGhIjKlMn0pQrStUvWx",
    "Bearer sk-proj-abcdefghijklmnop1234567890",
    "A1b2C3d4E5f6G7h8I9j0K1l2M3n4",
)
MODEL = {"type": "OPENAI", "model_id": "m", "host": "http://127.0.0.1:9/v1"}


class MistakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()

    def told(self, load: Any) -> str:
        return str(self.assertRaises(ConfigError, load, self.home))

    def door(self, block: Any, **others: Any) -> str:
        content = {"enabled_plugins": [PLUGIN], "plugin_config": {PLUGIN: block}, **others}
        self.home.plugins_file.write_text(json.dumps(content))
        return self.told(load_settings).replace(f"plugin_config.{PLUGIN}.", "")

    def models(self, default: Any = "x", **models: Any) -> str:
        content = {"models": models} | ({} if default is None else {"default_model": default})
        self.home.models_file.write_text(json.dumps(content))
        return self.told(load_registry)

    def gates(self, content: Any) -> str:
        self.home.gate_defaults_file.write_text(json.dumps(content))
        return self.told(load_gates)

    def test_whole_key_and_the_nearest_right_one_are_named(self) -> None:
        for block, others, where, meant in (
            ({"commands": "sfae"}, {}, "commands: expected all or safe or none, got 'sfae'", "safe"),
            ({"turn_log": "lines"}, {}, "turn_log: expected line or json or off, got 'lines'", "line"),
            ({"key_commands": {"me": "saef"}, "api_keys": {"me": "k"}}, {}, "key_commands.me: ", "safe"),
            (
                {},
                {"rate_limits": {"a": {"calls": 1, "window_seconds": 1}, "b": {"calls": "5"}}},
                "rate_limits.b.calls: ",
                "",
            ),
            (
                {},
                {"callers": {"anna": {"key": "k", "comands": "safe"}}},
                "callers.anna.comands: ",
                "commands",
            ),
            ({}, {"callers": {"anna": {"key": "k", "commands": "al"}}}, "callers.anna.commands: ", "all"),
            (
                {},
                {"callers": {"anna": {"key": "k", "budget": {"tokens_per_hours": 5}}}},
                "callers.anna.budget.tokens_per_hours: is not known; expected one of tokens_per_hour, ",
                "tokens_per_hour",
            ),
            (
                {},
                {"callers": {"anna": {"key": "k", "gates": {"tools": {"files": {"raed": True}}}}}},
                "callers.anna.gates.tools.files: expected read or write, got 'raed'",
                "read",
            ),
            (
                {},
                {"callers": {"anna": {"key": "k", "gates": {"tools": {"search": {}, "files": {"read": 1}}}}}},
                "callers.anna.gates.tools.files.read: expected true or false, got a whole number",
                "",
            ),
        ):
            said = self.door(block, **others)
            self.assertIn(f"{self.home.plugins_file}: ", said)
            self.assertIn(where, said)
            self.assertEqual(f"(did you mean {meant}?)" in said, bool(meant), said)
        said = self.gates({"tools": {"search": {"read": True}, "files": {"write": "yes"}}})
        self.assertIn("gate-defaults.json: tools.files.write: expected true or false, got text", said)
        self.assertIn("db.people: expected an object", self.gates({"db": {"people": True}}))

    def test_default_and_fields_of_a_model_are_named_with_what_was_meant(self) -> None:
        said = self.models("mian", main=MODEL)
        self.assertIn("default_model: expected one of main; got 'mian' (did you mean main?)", said)
        self.assertIn("default_model: is missing; expected one of x", self.models(None, x=MODEL))
        wrong = {"type": "OPENAI", "model": "m", "host": MODEL["host"]}
        self.assertIn("models.x.model_id: is missing. model stands there", self.models(x=wrong))

    def test_key_where_a_name_belongs_is_refused_and_not_repeated(self) -> None:
        for secret in SECRETS:
            for said in (
                self.models(x={**MODEL, "model_id": secret}),
                self.models(x={**MODEL, "env_key": secret}),
                self.models(x={**MODEL, "host": secret}),
                self.models(secret, **{secret.split()[-1]: MODEL}),
                self.models(secret, x=MODEL),
                self.door({"api_keys": {secret: "me"}}),
                self.door({"key_commands": {secret: "safe"}}),
                self.door({"store_password_env": secret, "store": "postgresql://u@h/d"}),
                self.door({}, callers={secret: {"key": "k"}}),
                self.door({}, callers={"anna": {"env_key": secret}}),
            ):
                self.assertNotIn(secret, said)

    def test_names_of_models_hosts_and_people_are_no_keys(self) -> None:
        for name in (
            "gpt-4o-2024-11-20",
            "claude-3-5-sonnet-20241022",
            "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
            "meta-llama/Llama-3.3-70B-Instruct-Turbo",
            "hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M",
            "ft:gpt-4o-mini-2024-07-18:org::AbCd1234",
            "http://my-llm-server-01.example.org:8080/v1",
            "Annas-iPhone-15-Pro-Max",
            "OPENAI_API_KEY",
            "sk-learn",
            "hf_token_for_models",
            "deepseek-r1-distill-qwen-32b",
            "0af7651916cd43dd8448eb211c80319c",
        ):
            self.assertFalse(is_secret(name), name)
        for secret in SECRETS:
            self.assertTrue(is_secret(secret), secret)

    def test_what_is_no_json_is_told_in_the_words_of_who_wrote_it(self) -> None:
        for text, where, why in (
            ('{"a": 1,}', "line 1, column 9", "a comma before the closing }"),
            ('{\n "a": [1, 2,]\n}', "line 2, column 13", "a comma before the closing ]"),
            ('{\n // mine\n "a": 1}', "line 2, column 2", "it has no comments"),
            ('{"a": 1} # mine', "line 1, column 10", "it has no comments"),
            ('{"a": /* b */ 1}', "line 1, column 7", "it has no comments"),
            ("{'a': 1}", "line 1, column 2", "straight double quotes"),
            ("{“a”: 1}", "line 1, column 2", "straight double quotes"),
            ('{"a": 1 "b": 2}', "line 1, column 9", "a comma is missing"),
            ('{"a": True}', "line 1, column 7", "in small letters"),
            ('{"a": [1, 2', "line 1", "ends too early"),
            ("", "line 1", "the file is empty"),
            (" \n", "", "the file is empty"),
            ('{\r\n"a": 1,\r\n"b": 2,\r\n"a": 3}', "line 4", "a stands twice in the same object"),
            ('{"m": {"x": 1},\n "n": {"x": 2,\n "x": 3}}', "line 2", "x stands twice"),
        ):
            for load, file in (
                (load_registry, self.home.models_file),
                (load_settings, self.home.plugins_file),
            ):
                file.write_bytes(text.encode())
                said = self.told(load)
                for part in (str(file), where, why):
                    self.assertIn(part, said, text)

    def test_what_editors_of_other_systems_add_is_forgiven_or_told(self) -> None:
        text = json.dumps({"default_model": "x", "models": {"x": MODEL}}, indent=1).replace("\n", "\r\n")
        self.home.models_file.write_bytes(b"\xef\xbb\xbf" + text.encode())
        self.assertEqual(list(load_registry(self.home).models), ["x"])
        self.home.models_file.write_text(text, "utf-16")
        self.assertIn("Save it as UTF-8", self.told(load_registry))
        self.home.env_file.write_bytes(b"\xef\xbb\xbfA_KEY=k\r\nexport B='two words'\r\n")
        self.assertEqual(self.home.read_env(), {"A_KEY": "k", "B": "two words"})
