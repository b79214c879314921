"""Profiles that are made for who comes by a link."""

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home, load_settings
from llamaproxy.config.callers import digest_of
from llamaproxy.config.newcomer import add_profile, plain_name, remove_profile


class NewcomerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()

    def add(self, name: str, key: str = "k") -> str:
        return add_profile(self.home, name, key, {"commands": "safe"})

    def test_file_gets_the_digest_and_a_server_would_start_with_it(self) -> None:
        self.assertEqual(self.add("phone", "secret"), "phone")
        profile = load_settings(self.home).front_door.callers["phone"]
        self.assertEqual((profile.key, profile.commands), (digest_of("secret"), "safe"))
        self.assertNotIn("secret", self.home.plugins_file.read_text().replace("sha256", ""))

    def test_names_become_what_a_profile_may_be_called(self) -> None:
        for wish, name in (
            ("Anna's phone", "Annas-phone"),
            ("Größe ÄÖ", "Groe-AO"),
            ("  ", "phone"),
            ("../../etc/passwd", "etc-passwd"),
            ("x" * 500, "x" * 40),
            ("\u202e\x1b[31m電話", "31m"),
            ("!reset", "reset"),
        ):
            self.assertEqual(plain_name(wish), name)

    def test_no_two_are_called_alike_whoever_they_are(self) -> None:
        content = json.loads(self.home.plugins_file.read_text())
        content["plugin_config"]["plugin_proxy_llama"] |= {
            "api_keys": {"phone": "abc"},
            "key_commands": {"phone-2": "safe"},
        }
        self.home.plugins_file.write_text(json.dumps(content))
        self.assertEqual([self.add("phone", "x"), self.add("phone", "y")], ["phone-3", "phone-4"])

    def test_table_that_stands_with_the_plugin_is_taken(self) -> None:
        content = json.loads(self.home.plugins_file.read_text())
        content["plugin_config"]["plugin_proxy_llama"]["callers"] = {"tablet": {"key": "t"}}
        self.home.plugins_file.write_text(json.dumps(content))
        self.add("phone")
        self.assertEqual(list(load_settings(self.home).front_door.callers), ["tablet", "phone"])

    def test_profile_is_taken_out_again_unless_it_has_another_key_now(self) -> None:
        self.add("phone", "x")
        before = self.home.plugins_file.read_text()
        self.add("tablet", "y")
        for name, key in (("tablet", "x"), ("nobody", "y"), ("phone", "y")):
            remove_profile(self.home, name, key)
            self.assertEqual(
                list(load_settings(self.home).front_door.callers), ["phone", "tablet"], (name, key)
            )
        remove_profile(self.home, "tablet", "y")
        self.assertEqual(self.home.plugins_file.read_text(), before)

    def test_file_with_a_mistake_is_left_as_it_is(self) -> None:
        content = json.loads(self.home.plugins_file.read_text())
        content["callers"] = {"tablet": {"key": ""}}
        self.home.plugins_file.write_text(json.dumps(content))
        before = self.home.plugins_file.read_text()
        self.assertRaises(ConfigError, self.add, "phone")
        self.assertEqual(self.home.plugins_file.read_text(), before)
