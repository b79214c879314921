"""Loading: good files become structs, each bad one a line with file, key, expectation and cure."""

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import (
    PLUGIN,
    ConfigError,
    FrontDoor,
    GateDefaults,
    Home,
    load_gates,
    load_registry,
    load_settings,
)
from llamaproxy.config.schema import RateLimit


class LoadCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()))
        self.home.ensure()

    def explain(self, load: Any) -> str:
        message = str(self.assertRaises(ConfigError, load, self.home))
        self.assertNotIn("\n", message)
        return message


class SettingsTests(LoadCase):
    def put(self, block: Any, **others: Any) -> None:
        content = {"enabled_plugins": [PLUGIN], "plugin_config": {PLUGIN: block}, **others}
        self.home.plugins_file.write_text(json.dumps(content))

    def door(self, block: Any) -> FrontDoor:
        self.put(block)
        return load_settings(self.home).front_door

    def check_key_is_refused(self, key: str, value: Any, place: str, expected: str) -> None:
        self.put({key: value})
        message = self.explain(load_settings)
        for part in (str(self.home.plugins_file), f"plugin_config.{PLUGIN}.{place}: ", expected):
            self.assertIn(part, message)

    def test_top_level_limits_are_read(self) -> None:
        self.put({}, max_users=3, session_idle_timeout_minutes=0, history_max_ctx=7)
        settings = load_settings(self.home)
        limits = (settings.max_users, settings.session_idle_timeout_minutes, settings.history_max_ctx)
        self.assertEqual(limits, (3, 0.0, 7))

    def test_unknown_keys_are_left_to_others(self) -> None:
        self.put({"theme": "dark"}, metadata={"search": "odd"}, front_door={"llama_port": 1})
        self.assertEqual(load_settings(self.home).front_door, FrontDoor())

    def test_rate_limits_and_what_sessions_begin_with_are_read(self) -> None:
        rate = {"calls": 3, "window_seconds": 20, "auto_disable": True}
        self.put({}, rate_limits={"search": rate}, tool_preview_length=0, tool_suppress=True, gate_mode="ask")
        settings = load_settings(self.home)
        self.assertEqual(
            settings.rate_limits, {"search": RateLimit(calls=3, window_seconds=20, auto_disable=True)}
        )
        self.assertEqual(
            (settings.tool_preview_length, settings.tool_suppress, settings.gate_mode), (0, True, "ask")
        )

    def test_prompt_tools_are_a_plugin_that_is_listed_and_not_switched_off(self) -> None:
        self.put({}, enabled_plugins=[PLUGIN, "plugin_system_prompt"])
        self.assertTrue(load_settings(self.home).prompt_tools)
        self.put({}, prompt_tools=True)
        self.assertFalse(load_settings(self.home).prompt_tools)

    def test_rate_limit_that_is_none_is_refused_with_its_place(self) -> None:
        for rate, problem in (
            ({"calls": -1, "window_seconds": 1}, "rate_limits.search.calls: expected 0 or more"),
            ({"calls": 1}, "rate_limits.search.window_seconds: is missing"),
            ("odd", "rate_limits.search: expected an object"),
        ):
            self.put({}, rate_limits={"search": rate})
            self.assertIn(problem, self.explain(load_settings))

    def test_rights_and_gate_mode_are_words_of_a_few(self) -> None:
        self.check_key_is_refused("commands", "some", "commands", "expected all or safe or none, got 'some'")
        self.check_key_is_refused("gate_mode", "maybe", "gate_mode", "expected reject or ask")
        self.check_key_is_refused(
            "key_commands", {"anna": "x"}, "key_commands.anna", "expected all or safe or none"
        )

    def test_null_means_the_default(self) -> None:
        self.assertEqual(self.door({"llama_port": None, "listen": None, "api_keys": None}), FrontDoor())

    def test_door_is_shut_when_not_listed_or_switched_off(self) -> None:
        self.assertFalse(self.door({"enabled": False}).enabled)
        self.put({"enabled": True}, enabled_plugins=["other"])
        self.assertFalse(load_settings(self.home).front_door.enabled)

    def test_listed_without_a_block_gets_the_defaults(self) -> None:
        self.home.plugins_file.write_text(json.dumps({"enabled_plugins": [PLUGIN]}))
        self.assertEqual(load_settings(self.home).front_door, FrontDoor())

    def test_origins_and_hosts_are_read(self) -> None:
        door = self.door(
            {"llama_origins": ["https://a.example", "app://*", "*"], "llama_hosts": ["*.a.example"]}
        )
        self.assertEqual(door.llama_origins, ("https://a.example", "app://*", "*"))
        self.assertEqual(door.llama_hosts, ("*.a.example",))

    def test_origin_without_a_scheme_and_host_with_a_port_are_refused(self) -> None:
        for origin in ("a.example", "", "https://a.example/path"):
            self.check_key_is_refused(
                "llama_origins", [origin], "llama_origins[0]", "https://chat.example.org"
            )
        for host in ("https://a.example", "a.example:80", "a.*.example", ""):
            self.check_key_is_refused("llama_hosts", ["ok", host], "llama_hosts[1]", "chat.example.org")

    def test_what_tells_sessions_apart_is_a_known_rung_or_a_header(self) -> None:
        self.check_key_is_refused("session_by", ["chat_header", "moon"], "session_by[1]", "user_header")
        for header in ("X Bad", "", "X:"):
            self.check_key_is_refused("chat_headers", [header], "chat_headers[0]", "the name of a header")
            self.check_key_is_refused("client_headers", [header], "client_headers[0]", "the name of a header")
        for field in ("", "metadata.", "a b"):
            self.check_key_is_refused("body_fields", [field], "body_fields[0]", "the name of a field")

    def test_fields_of_the_body_name_no_sessions_of_several_workers(self) -> None:
        self.assertEqual(self.door({"session_by": ["body_field"]}).session_by, ("body_field",))
        self.put({"session_by": ["body_field"], "workers": 2})
        with self.assertRaisesRegex(ConfigError, "several workers"):
            load_settings(self.home)

    def test_api_keys_by_name_or_as_a_list(self) -> None:
        self.assertEqual(self.door({"api_keys": {"phone": "s3"}}).api_keys, {"phone": "s3"})
        self.assertEqual(self.door({"api_keys": ["a", "b"]}).api_keys, {"key1": "a", "key2": "b"})

    def test_a_bad_api_key_is_named_but_never_shown(self) -> None:
        self.check_key_is_refused("api_keys", {"phone": "top secret"}, "api_keys.phone", "without spaces")
        self.assertNotIn("top secret", self.explain(load_settings))
        self.check_key_is_refused("api_keys", ["ok", ""], "api_keys.key2", "without spaces")
        self.check_key_is_refused("api_keys", "abc", "api_keys", "expected names with keys")

    def test_networks_may_have_host_bits(self) -> None:
        networks = ("192.168.1.5/24", "fd00::/8", "10.0.0.1")
        self.assertEqual(self.door({"allow_from": networks}).allow_from, networks)

    def test_bad_network_is_named_with_its_position(self) -> None:
        self.check_key_is_refused("allow_from", ["10.0.0.0/8", "lan"], "allow_from[1]", "'lan'")
        self.check_key_is_refused(
            "trusted_proxies", ["10.0.0.0/40"], "trusted_proxies[0]", "expected a network"
        )

    def test_values_out_of_range(self) -> None:
        self.check_key_is_refused("llama_port", 0, "llama_port", "a port from 1 to 65535, got 0")
        self.check_key_is_refused("llama_port", 65536, "llama_port", "a port from 1 to 65535")
        self.check_key_is_refused("stall_timeout", -1, "stall_timeout", "a number above 0")
        self.check_key_is_refused("request_timeout", float("nan"), "request_timeout", "a number above 0")
        self.check_key_is_refused("queue_limit", -1, "queue_limit", "0 or more")
        self.check_key_is_refused("housekeeping", "on", "housekeeping", "expected model or local or off")

    def test_wrong_types_are_told_in_words(self) -> None:
        self.check_key_is_refused("llama_port", "11434", "llama_port", "expected a whole number, got text")
        self.check_key_is_refused("enabled", "yes", "enabled", "expected true or false, got text")
        self.check_key_is_refused("allow_from", "10.0.0.0/8", "allow_from", "expected a list, got text")

    def test_block_must_be_an_object(self) -> None:
        self.put("on")
        self.assertIn(f"plugin_config.{PLUGIN}: expected an object", self.explain(load_settings))

    def test_top_level_limits_have_ranges(self) -> None:
        self.put({}, max_users=-1)
        self.assertIn(": max_users: expected 0 or more, got -1", self.explain(load_settings))

    def test_enabled_plugins_must_be_a_list(self) -> None:
        self.put({}, enabled_plugins=PLUGIN)
        self.assertIn(": enabled_plugins: expected a list", self.explain(load_settings))


class GateTests(LoadCase):
    def put(self, content: Any) -> None:
        self.home.gate_defaults_file.write_text(json.dumps(content))

    def test_every_gate_is_closed_without_the_file(self) -> None:
        self.assertEqual(load_gates(self.home), GateDefaults())

    def test_gates_are_read_with_names_in_lower_case(self) -> None:
        self.put({"db": {"Users": {"read": True}}, "tools": {"search": {"read": False}}, "more": 1})
        gates = load_gates(self.home)
        self.assertEqual((gates.db, gates.tools), ({"users": {"read": True}}, {"search": {"read": False}}))

    def test_what_is_no_gate_is_refused_with_its_place(self) -> None:
        for content, problem in (
            ({"db": {"users": {"delete": True}}}, "expected read or write, got 'delete'"),
            ({"tools": {"search": True}}, "tools.search: expected an object"),
            ({"tools": {"search": {"read": "yes"}}}, "expected true or false"),
        ):
            self.put(content)
            message = self.explain(load_gates)
            self.assertIn(problem, message)
            self.assertIn("gate-defaults.json", message)


class RegistryTests(LoadCase):
    good = {"type": "LOCAL", "model_id": "good"}

    def put(self, models: Any, default: Any = "good", **others: Any) -> None:
        self.home.models_file.write_text(json.dumps({"default_model": default, "models": models, **others}))

    def check_entry_is_refused(self, raw: Any, *parts: str, key: str = "gem") -> None:
        self.put({"good": self.good, key: raw}, default=key)
        message = self.explain(load_registry)
        self.put({"good": self.good, key: raw})
        registry = load_registry(self.home)
        self.assertEqual((list(registry.models), registry.broken), (["good"], {key: message}))
        for part in (str(self.home.models_file), *parts):
            self.assertIn(part, message)

    def test_entries_keep_the_order_of_the_file(self) -> None:
        self.put({"z": self.good, "good": self.good, "a": self.good})
        self.assertEqual(list(load_registry(self.home).models), ["z", "good", "a"])

    def test_depth_limits_are_read(self) -> None:
        self.put({"good": self.good}, limits={"max_tool_iterations": 3})
        limits = load_registry(self.home).limits
        self.assertEqual((limits.max_tool_iterations, limits.max_agent_call_depth), (3, 1))
        self.put({"good": self.good}, limits={"max_at_llm_depth": -1})
        self.assertIn("limits.max_at_llm_depth: expected 0 or more", self.explain(load_registry))

    def test_types_of_others_and_unknown_fields_pass(self) -> None:
        self.put({"good": {"type": "MYMODEL", "model_id": "x", "llm_tools": [], "host": None}})
        self.assertEqual(load_registry(self.home).models["good"].type, "MYMODEL")

    def test_the_models_key_is_in_the_message(self) -> None:
        self.check_entry_is_refused({"type": "LOCAL"}, "models.gem.model_id: is missing")
        self.check_entry_is_refused(
            {**self.good, "model_id": 5}, "models.gem.model_id: expected text, got a whole"
        )
        self.check_entry_is_refused("gemini", "models.gem: expected an object, got text")

    def test_hosted_types_need_a_web_address(self) -> None:
        for kind in ("OPENAI", "OLLAMA"):
            for host in ("", "localhost:11434", "ftp://h", "http://", "http://h:port"):
                self.check_entry_is_refused(
                    {"type": kind, "model_id": "x", "host": host},
                    "models.gem.host: expected an http or https URL",
                    kind,
                )

    def test_times_must_be_above_zero(self) -> None:
        for name in ("llm_call_timeout", "connect_timeout", "first_token_timeout", "idle_timeout"):
            self.check_entry_is_refused(
                {**self.good, name: 0}, f"models.gem.{name}: expected a number of seconds"
            )

    def test_counts_must_be_at_least_one(self) -> None:
        for name in ("max_context", "context_length", "max_tokens", "parallel"):
            self.check_entry_is_refused(
                {**self.good, name: 0}, f"models.gem.{name}: expected 1 or more, got 0"
            )

    def test_a_choice_lists_its_values(self) -> None:
        self.check_entry_is_refused(
            {**self.good, "start": "now"}, "models.gem.start: expected lazy or eager, got 'now'"
        )

    def test_a_key_has_no_spaces_since_commands_could_not_name_it(self) -> None:
        self.check_entry_is_refused(self.good, "models.my gem: ", key="my gem")
        self.check_entry_is_refused(self.good, "models.a\\nb: ", key="a\nb")

    def test_default_must_exist(self) -> None:
        self.put({"good": self.good, "other": self.good}, default="gone")
        message = self.explain(load_registry)
        self.assertIn("default_model: expected one of good, other; got 'gone'", message)
        self.assertIn("agentctl model KEY", message)

    def test_default_must_be_enabled(self) -> None:
        self.put({"good": {**self.good, "enabled": False}})
        self.assertIn("agentctl model-enable good", self.explain(load_registry))

    def test_default_must_be_one_to_talk_to(self) -> None:
        self.put({"good": {**self.good, "embedding": True}})
        self.assertIn("makes embeddings", self.explain(load_registry))

    def test_a_file_without_models_says_so(self) -> None:
        self.home.models_file.write_text("{}")
        self.assertIn("default_model", self.explain(load_registry))
