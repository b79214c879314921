"""Plugins: signs in their order, what is missing, on and off, ports."""

import json
import os
from typing import Any

from llamaproxy.agentctl import manifest
from llamaproxy.config import PLUGIN, load_settings
from llamaproxy.tools import registry
from llamaproxy.tools.system_info import SystemInfoTool

from .helpers import AgentctlCase


class PluginCase(AgentctlCase):
    def manifest(self, **plugins: Any) -> None:
        self.home.manifest_file.write_text(json.dumps({"plugins": plugins}))

    def sign_of(self, name: str) -> str:
        for line in self.met("list").splitlines():
            if f" {name}" in line:
                return line.split()[0]
        return "not shown"


class SignTests(PluginCase):
    def listed(self, name: str, **block: Any) -> None:
        content = self.plugins()
        content["enabled_plugins"].append(name)
        content["plugin_config"][name] = block
        self.home.plugins_file.write_text(json.dumps(content))

    def test_not_in_the_manifest(self) -> None:
        self.listed("stranger", enabled=False)
        self.assertEqual(self.sign_of("stranger"), "?")

    def test_listed_and_switched_off_whatever_it_lacks(self) -> None:
        self.manifest(db={"env_vars": ["DB_HOST"]})
        self.listed("db", enabled=False)
        self.assertEqual(self.sign_of("db"), "–")  # noqa: RUF001

    def test_listed_without_issues(self) -> None:
        self.assertEqual(self.sign_of(PLUGIN), "✓")

    def test_listed_with_issues(self) -> None:
        self.manifest(db={"env_vars": ["DB_HOST"]})
        self.listed("db")
        self.assertEqual(self.sign_of("db"), "✗")

    def test_missing_file_counts_although_not_listed(self) -> None:
        self.manifest(db={"file": "db.py"})
        self.assertEqual(self.sign_of("db"), "✗")

    def test_not_listed_with_issues(self) -> None:
        self.manifest(db={"env_vars": ["DB_HOST"]})
        self.assertEqual(self.sign_of("db"), "⊗")

    def test_not_listed_without_issues(self) -> None:
        self.manifest(db={})
        self.assertEqual(self.sign_of("db"), "○")


class IssueTests(PluginCase):
    def test_each_kind_is_named_with_its_remedy(self) -> None:
        needs = {
            "file": "db.py",
            "env_vars": ["DB_HOST"],
            "config_files": ["db.ini"],
            "dependencies": ["no-such>=1"],
        }
        self.manifest(db=needs)
        output = self.met("info", "db")
        for words in ("file db.py", "add DB_HOST=... to", "config file db.ini", "pip install 'no-such>=1'"):
            self.assertIn(words, output)
        self.assertEqual(self.refused("enable", "db").count("missing"), 4)

    def test_nothing_is_missing_once_it_is_there(self) -> None:
        needs = {
            "file": "db.py",
            "env_vars": ["A", "B"],
            "config_files": ["db.ini"],
            "dependencies": ["msgspec>=0.1"],
        }
        self.manifest(db=needs)
        for name in ("db.py", "db.ini"):
            (self.home.path / name).touch()
        self.home.env_file.write_text("A=1")
        os.environ["B"] = "1"
        self.assertNotIn("missing", self.met("info", "db"))

    def test_a_package_may_be_called_otherwise_than_its_module(self) -> None:
        self.manifest(db={"dependencies": ["service-identity", "zope.interface", "PyOpenSSL"]})
        self.assertNotIn("missing", self.met("info", "db"))

    def test_the_homes_manifest_is_laid_over_ours(self) -> None:
        self.manifest(**{PLUGIN: {"description": "my door"}})
        output = self.met("info", PLUGIN)
        self.assertIn("my door", output)
        self.assertIn("11434 (llama_port)", output)

    def test_a_bad_manifest_is_refused_with_its_key(self) -> None:
        self.manifest(db={"env_vars": "DB_HOST"})
        self.assertIn("plugin-manifest.json: plugins.db.env_vars: expected a list", self.refused("list"))


class SwitchTests(PluginCase):
    def test_disable_keeps_it_listed_with_its_settings(self) -> None:
        self.assertIn("restart", self.met("disable", PLUGIN))
        self.assertEqual(self.plugins()["enabled_plugins"], [PLUGIN])
        self.assertEqual(self.plugins()["plugin_config"][PLUGIN]["llama_port"], 11434)
        self.assertFalse(load_settings(self.home).front_door.enabled)

    def test_enable_opens_the_door_again(self) -> None:
        self.met("disable", PLUGIN)
        self.assertIn(f"✓ {PLUGIN} enabled", self.met("enable", PLUGIN))
        self.assertTrue(load_settings(self.home).front_door.enabled)

    def test_enable_lists_what_was_not_listed(self) -> None:
        self.home.plugins_file.write_text('{"theirs": 1}')
        self.met("enable", PLUGIN)
        expected = {"theirs": 1, "enabled_plugins": [PLUGIN], "plugin_config": {PLUGIN: {"enabled": True}}}
        self.assertEqual(self.plugins(), expected)

    def test_a_tool_that_was_dropped_in_needs_no_manifest(self) -> None:
        tool = SystemInfoTool()
        self.patch(registry, "plugin_tools", lambda: registry.Theirs({"weather": tool}))
        self.met("enable", "plugin_weather")
        self.assertEqual(self.sign_of("plugin_weather"), "✓")
        self.assertIn(tool.description, self.met("info", "plugin_weather"))

    def test_a_tool_of_ours_says_what_it_lacks(self) -> None:
        self.patch(manifest, "is_installed", lambda requirement: False)
        self.assertIn("missing Python package sqlglot", self.refused("enable", "plugin_db_query"))

    def test_a_tool_whose_settings_the_server_would_refuse_is_not_enabled(self) -> None:
        content = self.plugins()
        content["plugin_config"]["plugin_files"] = {"max_read_bytes": 0}
        self.home.plugins_file.write_text(json.dumps(content))
        self.assertIn(
            "plugin_config.plugin_files.max_read_bytes: expected", self.refused("enable", "plugin_files")
        )
        self.assertEqual(self.sign_of("plugin_files"), "⊗")
        self.assertIn("correct it in", self.met("info", "plugin_files"))

    def test_info_says_what_a_tool_needs(self) -> None:
        self.assertRegex(self.met("info", "plugin_search_tavily"), "needs +TAVILY_API_KEY")

    def test_doing_it_twice_is_nothing_to_do(self) -> None:
        self.assertIn("nothing to do", self.met("enable", PLUGIN))
        self.met("disable", PLUGIN)
        self.assertIn("nothing to do", self.met("disable", PLUGIN))

    def test_unknown_plugins_are_refused(self) -> None:
        for subcommand in ("info", "enable", "disable"):
            self.assertIn(f"no plugin nope; there is {PLUGIN}", self.refused(subcommand, "nope"))

    def test_a_listed_stranger_can_be_disabled(self) -> None:
        self.home.plugins_file.write_text('{"enabled_plugins": ["stranger"]}')
        self.met("disable", "stranger")
        self.assertEqual(self.plugins()["plugin_config"]["stranger"], {"enabled": False})


class PortTests(PluginCase):
    def test_list_shows_clients_with_their_port(self) -> None:
        self.manifest(
            db={"port_config_key": "db_port"}, api={"type": "client_interface", "port_config_key": "api_port"}
        )
        output = self.met("port-list")
        self.assertIn(f"{PLUGIN}  11434  (llama_port)", output)
        self.assertIn("api_port", output)
        self.assertNotIn("db_port", output)

    def test_set_shows_old_and_new(self) -> None:
        self.assertIn("11434 → 8080", self.met("port-set", PLUGIN, "8080"))
        self.assertEqual(load_settings(self.home).front_door.llama_port, 8080)

    def test_same_port_is_nothing_to_do(self) -> None:
        self.assertIn("nothing to do", self.met("port-set", PLUGIN, "11434"))

    def test_no_port_is_refused(self) -> None:
        for port in ("0", "65536", "-1", "http", "1.5"):
            self.assertIn("port", self.refused("port-set", PLUGIN, port))

    def test_plugins_without_a_port_are_refused(self) -> None:
        self.manifest(db={})
        self.assertIn("has no port", self.refused("port-set", "db", "8080"))

    def test_a_port_that_another_plugin_has_is_set_with_a_warning(self) -> None:
        self.manifest(api={"type": "client_interface", "port_config_key": "api_port", "default_port": 8767})
        output = self.met("port-set", PLUGIN, "8767")
        self.assertIn("also that of api", output)
        self.assertIn("→ 8767", output)

    def test_a_listen_string_that_beats_the_port_is_pointed_out(self) -> None:
        content = self.plugins()
        content["plugin_config"][PLUGIN]["listen"] = "tcp:1"
        self.home.plugins_file.write_text(json.dumps(content))
        self.assertIn("tcp:1, which beats its port", self.met("port-set", PLUGIN, "8080"))
