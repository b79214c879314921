"""A key that is typed where its name belongs is shown nowhere."""

from pathlib import Path

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home, load_registry
from llamaproxy.config.variables import is_name, shown_name

KEYS = (
    "sk-proj-4f9aB7",
    "AIzaSyD3x9QkLmN7pR2tUvWxYz",
    "AKIAIOSFODNN7EXAMPLE",
    "gsk_4eC39HqLyjWDarjtT1zdp7dc",
    "9f86d081884c7d659a2feaa0c55ad015",
    "deadbeefdeadbeefdeadbeef",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "key with spaces",
)


class VariableTests(SynchronousTestCase):
    def test_names_are_shown_and_keys_are_not(self) -> None:
        for name in ("OPENAI_API_KEY", "KEY", "_KEY2", "my_key", "GROQ_API_KEY_2"):
            self.assertEqual(shown_name(name), name)
            self.assertTrue(is_name(name))
        for key in KEYS:
            self.assertNotIn(key, shown_name(key))

    def test_entry_with_what_can_be_no_name_is_left_out_without_a_word_of_it(self) -> None:
        home = Home(Path(self.mktemp()))
        home.ensure()
        entry = {"type": "OPENAI", "model_id": "x", "host": "http://127.0.0.1:1/v1"}
        models = {"good": entry, "bad": {**entry, "env_key": KEYS[0]}}
        home.models_file.write_bytes(json.encode({"default_model": "good", "models": models}))
        problem = load_registry(home).broken["bad"]
        self.assertIn("env_key: expected the NAME", problem)
        self.assertNotIn(KEYS[0], problem)
        home.models_file.write_bytes(json.encode({"default_model": "bad", "models": models}))
        self.assertNotIn(KEYS[0], str(self.assertRaises(ConfigError, load_registry, home)))
