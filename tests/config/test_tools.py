"""The tools' blocks: typed, with defaults, and complaints that say where."""

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home
from llamaproxy.config.tools import DbQuery, load_tool_settings


class ToolSettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()))
        self.home.ensure()

    def put(self, listed: Any, **blocks: Any) -> None:
        self.home.plugins_file.write_text(json.dumps({"enabled_plugins": listed, "plugin_config": blocks}))

    def explain(self) -> str:
        return str(self.assertRaises(ConfigError, load_tool_settings, self.home))

    def test_a_tool_is_enabled_when_listed_and_not_switched_off(self) -> None:
        self.put(
            ["plugin_files", "other", "plugin_mcp", "plugin_db_query"],
            plugin_db_query={"enabled": True},
            plugin_mcp={"enabled": False},
            plugin_url_extract={"enabled": True},
        )
        self.assertEqual(load_tool_settings(self.home).enabled, ("files", "db_query"))

    def test_a_block_is_read_and_its_gaps_are_filled(self) -> None:
        self.put(["plugin_db_query"], plugin_db_query={"url": "mysql://h/d", "max_rows": None})
        self.assertEqual(load_tool_settings(self.home).db_query, DbQuery(url="mysql://h/d"))

    def test_a_bad_value_is_named_with_its_key(self) -> None:
        for value in (0, "ten", 1.5):
            self.put(["plugin_db_query"], plugin_db_query={"max_rows": value})
            self.assertIn("plugin_config.plugin_db_query.max_rows: expected", self.explain())

    def test_what_is_not_enabled_is_not_checked(self) -> None:
        self.put(["plugin_files"], plugin_db_query={"max_rows": 0})
        load_tool_settings(self.home)

    def test_enabled_plugins_must_be_names(self) -> None:
        self.put([1])
        self.assertIn("enabled_plugins: expected a list of names", self.explain())

    def test_an_mcp_server_is_a_program_or_an_address(self) -> None:
        for server in ({}, {"command": "x", "url": "http://h"}):
            self.put(["plugin_mcp"], plugin_mcp={"servers": {"time": server}})
            self.assertIn("plugin_config.plugin_mcp.servers.time: expected either", self.explain())

    def test_what_is_wrong_about_an_mcp_server_is_told_with_what_was_meant(self) -> None:
        secret = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4"
        for server, place, words in (
            ({"comand": "x"}, "", "comand stands there; did you mean command?"),
            ({"link": "http://h"}, "", "expected either a command or a url."),
            ({"url": "nowhere"}, ".url", "expected an http or https URL, got 'nowhere'"),
            ({"url": "ftp://h/x"}, ".url", "expected an http or https URL"),
            ({"url": "http://h", "token_env": secret}, ".token_env", "expected the NAME of"),
            ({"command": "x", "env": {"A": 3}}, ".env.A", "expected text, got a whole number"),
        ):
            self.put(["plugin_mcp"], plugin_mcp={"servers": {"time": server}})
            said = self.explain()
            self.assertIn(f"plugin_config.plugin_mcp.servers.time{place}: ", said)
            self.assertIn(words, said)
            self.assertNotIn(secret, said)
        self.put(["plugin_db_query"], plugin_db_query={"url": "x.db", "password_env": secret})
        self.assertNotIn(secret, self.explain())
        self.put(["plugin_mcp"], plugin_mcp={"servers": {"My time": {"command": "x"}}})
        self.assertIn("servers.My time: expected a name of small letters", self.explain())

    def test_an_mcp_servers_name_can_begin_a_tools_name(self) -> None:
        for name in ("my time", "Time", "x" * 21):
            self.put(["plugin_mcp"], plugin_mcp={"servers": {name: {"command": "x"}}})
            self.assertIn("plugin_config.plugin_mcp.servers", self.explain())
