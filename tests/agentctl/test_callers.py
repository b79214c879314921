"""What agentctl does about profiles of callers."""

import io
import json
from typing import Any

from llamaproxy.agentctl import cli
from llamaproxy.agentctl.printer import Printer
from llamaproxy.config import PLUGIN, load_settings
from llamaproxy.config.callers import digest_of

from .helpers import AgentctlCase, Terminal


class CallersTests(AgentctlCase):
    def entry(self, name: str = "phone") -> Any:
        return self.plugins()["callers"][name]

    def added(self, *options: str) -> str:
        """The key of a new profile."""
        return self.met("caller-add", "phone", *options).splitlines()[2]

    def test_key_is_shown_once_and_stored_as_a_digest(self) -> None:
        key = self.added()
        self.assertGreater(len(key), 40)
        self.assertEqual(self.entry(), {"key": digest_of(key), "commands": "safe"})
        for words in (("caller-list",), ("caller-info", "phone"), ("caller-info", "phone", "--json")):
            output = self.met(*words)
            self.assertNotIn(key, output)
            self.assertNotIn(digest_of(key), output)
        self.assertEqual(load_settings(self.home).front_door.callers["phone"].commands, "safe")

    def test_terminal_gets_a_qr_code_of_the_key(self) -> None:
        out = Terminal()
        self.assertEqual(cli.run(self.home, ["caller-add", "phone"], Printer(out, out)), 0)
        self.assertIn("\u2580", out.getvalue())
        plain = io.StringIO()
        cli.run(self.home, ["caller-add", "tablet"], Printer(plain, plain))
        self.assertNotIn("\u2580", plain.getvalue())

    def test_options_say_where_from_and_what_for(self) -> None:
        self.added("--from", "10.0.0.0/8,fd00::/8", "--commands", "none")
        self.assertEqual(self.entry()["from"], ["10.0.0.0/8", "fd00::/8"])
        self.assertEqual(self.entry()["commands"], "none")
        self.met("caller-add", "me", "--operator")
        self.assertEqual({**self.entry("me"), "key": ""}, {"key": "", "commands": "all", "operator": True})
        self.met("caller-add", "lan", "--no-key", "--from", "192.168.1.0/24")
        self.assertEqual(self.entry("lan"), {"from": ["192.168.1.0/24"], "commands": "safe"})

    def test_what_a_server_would_not_start_with_is_not_written(self) -> None:
        self.added()
        self.met("caller-add", "lan", "--no-key", "--from", "192.168.1.0/24")
        for words in (
            ("caller-add", "phone"),
            ("caller-add", "a b"),
            ("caller-add", "x", "--no-key"),
            ("caller-add", "x", "--no-key", "--from", "192.168.1.7"),
            ("caller-set", "phone", "commands", "some"),
            ("caller-set", "phone", "colour", "red"),
            ("caller-set", "phone", "model", "qwen"),
            ("caller-set", "phone", "key"),
            ("caller-set", "tablet", "commands", "all"),
            ("caller-remove", "tablet"),
            ("caller-info", "tablet"),
        ):
            self.refused(*words)

    def test_keys_are_set_as_text_json_or_lists_and_taken_out(self) -> None:
        self.added()
        for key, text, value in (
            ("commands", "all", "all"),
            ("model", "smollm2", "smollm2"),
            ("models", "smollm2", ["smollm2"]),
            ("tools", "search, clock", ["search", "clock"]),
            ("tools", "[]", []),
            ("operator", "false", False),
            ("heartbeat", "3", 3),
            ("rate", '{"turns": 30, "seconds": 60}', {"turns": 30, "seconds": 60}),
            ("from", "10.0.0.0/8", ["10.0.0.0/8"]),
        ):
            self.met("caller-set", "phone", key, text)
            self.assertEqual(self.entry()[key], value)
        self.met("caller-set", "phone", "rate")
        self.assertNotIn("rate", self.entry())
        self.assertIn('["10.0.0.0/8"]', self.met("caller-info", "phone"))

    def test_another_key_takes_the_place_of_the_first(self) -> None:
        first = self.added()
        second = self.met("caller-set", "phone", "key", "new").splitlines()[2]
        self.assertNotEqual(first, second)
        self.assertEqual(self.entry()["key"], digest_of(second))
        self.met("caller-set", "phone", "key", "chosen-by-myself")
        self.assertEqual(self.entry()["key"], digest_of("chosen-by-myself"))

    def test_removed_one_is_gone_and_the_table_stays_where_it_was(self) -> None:
        content = self.plugins()
        content["plugin_config"][PLUGIN]["callers"] = {"old": {"key": "k"}}
        self.home.plugins_file.write_text(json.dumps(content))
        self.met("caller-add", "phone")
        self.met("caller-remove", "old")
        self.assertEqual(list(self.plugins()["plugin_config"][PLUGIN]["callers"]), ["phone"])
        self.assertNotIn("callers", self.plugins())

    def test_short_form_is_listed(self) -> None:
        content = self.plugins()
        content["plugin_config"][PLUGIN] |= {"api_keys": {"old": "k3y"}, "key_commands": {"old": "safe"}}
        self.home.plugins_file.write_text(json.dumps(content))
        self.assertIn("old", self.met("caller-list"))
        self.assertNotIn("k3y", self.met("caller-list"))
        self.refused("caller-add", "old")


class EmptyTests(AgentctlCase):
    def test_list_says_how_to_make_the_first(self) -> None:
        self.assertIn("caller-add", self.met("caller-list"))
        self.assertEqual(json.loads(self.met("caller-list", "--json")), {})
