"""What is told of files that are in order and yet odd."""

from pathlib import Path
from typing import Any

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import PLUGIN, ConfigError, Home, load_registry, load_settings
from llamaproxy.config.advice import advice


class AdviceCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()

    def write(self, file: Path, content: Any) -> None:
        file.write_bytes(json.encode(content))

    def entry(self, **fields: Any) -> None:
        content = json.decode(self.home.models_file.read_bytes())
        content["models"]["x"] = {"type": "OPENAI", "model_id": "m", "host": "http://h/v1", **fields}
        self.write(self.home.models_file, content)

    def told(self, **environ: str) -> str:
        return "\n".join(advice(self.home, environ))


class AdviceTests(AdviceCase):
    def test_first_files_are_without_fault(self) -> None:
        self.assertEqual(self.told(), "")

    def test_mistyped_keys_are_told_with_the_nearest(self) -> None:
        block = {"llama_prot": 1, "alow_from": []}
        self.write(self.home.plugins_file, {"max_user": 3, "plugin_config": {PLUGIN: block}, "else": {}})
        self.entry(max_token=3)
        told = self.told()
        for wrong, right in (
            (f"plugin_config.{PLUGIN}.llama_prot", "llama_port"),
            (f"plugin_config.{PLUGIN}.alow_from", "allow_from"),
            ("max_user", "max_users"),
            ("models.x.max_token", "max_tokens"),
        ):
            self.assertIn(f"{wrong}: nobody reads this key; did you mean {right}?", told)
        self.assertNotIn("else", told)

    def test_what_may_be_a_key_is_not_shown_where_it_is_missing(self) -> None:
        for typed in ("AIzaSySECRETSECRET", "SECRETKEYWITHNOLOWER0123456789ABCDEF"):
            self.entry(env_key=typed)
            told = self.told()
            self.assertIn("models.x.env_key: there is no key in", told)
            self.assertNotIn("SECRET", told)

    def test_missing_key_and_missing_v1_are_told(self) -> None:
        self.entry(host="http://h:1234/", env_key="MY_KEY")
        told = self.told()
        self.assertIn("there is no key in MY_KEY", told)
        self.assertIn("want http://h:1234/v1", told)
        self.entry(env_key="MY_KEY")
        self.assertEqual(self.told(MY_KEY="k"), "")

    def test_lines_of_env_that_assign_nothing_are_told_by_number_alone(self) -> None:
        self.home.env_file.write_text("# keys\n\nA=b\nsk-secret\nB='c\n")
        told = self.told()
        self.assertIn("line 4 is no NAME=VALUE", told)
        self.assertIn("line 5 opens a quotation mark", told)
        self.assertNotIn("secret", told)


class PastedTests(AdviceCase):
    def test_block_at_the_top_is_understood(self) -> None:
        self.write(self.home.plugins_file, {PLUGIN: {"enabled": True, "llama_port": 8080}})
        door = load_settings(self.home).front_door
        self.assertEqual((door.enabled, door.llama_port), (True, 8080))

    def test_block_in_its_place_beats_it(self) -> None:
        content = {
            PLUGIN: {"llama_port": 1, "llama_host": "::"},
            "plugin_config": {PLUGIN: {"llama_port": 2}},
        }
        self.write(self.home.plugins_file, content)
        door = load_settings(self.home).front_door
        self.assertEqual((door.llama_port, door.llama_host), (2, "::"))


class KeyTests(AdviceCase):
    def test_key_in_place_of_its_name_is_refused_and_not_shown(self) -> None:
        for key in ("sk-abcdefghijklmnop", "AIzaSyD3adB33fD3adB33fD3adB33f", "gsk_a1B2c3D4e5F6g7H8i9J0"):
            self.entry(env_key=key)
            (problem,) = load_registry(self.home).broken.values()
            self.assertIn("expected the NAME", problem)
            self.assertNotIn(key, problem)
        for name in ("OPENAI_API_KEY", "my_key_2", "KEY2"):
            self.entry(env_key=name)
            self.assertEqual(load_registry(self.home).broken, {})

    def test_error_is_one_of_configuration(self) -> None:
        content = json.decode(self.home.models_file.read_bytes())
        content["models"]["smollm2"]["env_key"] = "sk-abcdefghijklmnop"
        self.write(self.home.models_file, content)
        self.assertRaises(ConfigError, load_registry, self.home)
