"""Profiles of callers: what a table means, and each mistake in one as a line with file, key, expectation and cure."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from llamaproxy.config import PLUGIN, ConfigError, Home, Profile, load_configuration, load_settings
from llamaproxy.config.callers import digest_of, with_keys
from llamaproxy.web.guard import Guard
from llamaproxy.web.naming import Naming

KEY = "a-key-that-nobody-is-to-see"
NETWORK = "192.168.1.0/24"
# A profile that is wrong, where, and what is expected there.
MISTAKES: tuple[tuple[Any, str, str], ...] = (
    ({}, "", "expected a key, the name of a variable that holds it (env_key), or networks (from)"),
    ({"commands": "safe"}, "", "expected a key"),
    ([], "", "expected an object, got a list"),
    ({"key": KEY, "colour": "red"}, ".colour", "is not known; expected one of key, env_key, from"),
    ({"key": KEY, "networks": [NETWORK]}, ".networks", "is not known"),
    ({"key": KEY, "rate": {"turns": 1, "second": 1}}, ".rate.second", "expected one of turns, seconds"),
    (
        {"key": KEY, "budget": {"tokens": 1}},
        ".budget.tokens",
        "expected one of tokens_per_hour, tokens_per_day",
    ),
    ({"key": KEY, "gates": {"tool": {}}}, ".gates.tool", "expected one of db, tools"),
    ({"key": KEY, "commands": "some"}, ".commands", "expected all or safe or none, got 'some'"),
    ({"key": KEY, "commands": "safe", "operator": True}, ".operator", "does not go together"),
    ({"from": [NETWORK], "operator": True}, ".operator", "expected a key beside it"),
    ({"from": [NETWORK, "lan"]}, ".from[1]", "expected a network like 192.168.0.0/16, got 'lan'"),
    ({"from": NETWORK}, ".from", "expected a list, got text"),
    ({"key": ""}, ".key", "expected a key without spaces"),
    ({"key": f"{KEY} {KEY}"}, ".key", "expected a key without spaces"),
    ({"key": 7}, ".key", "expected text"),
    ({"key": "sha256:" + KEY}, ".key", "expected sha256: and 64 hexadecimal digits"),
    ({"key": KEY, "env_key": "PHONE_KEY"}, ".key", "does not go together with env_key"),
    ({"env_key": "phone key"}, ".env_key", "expected the NAME of an environment variable"),
    ({"key": KEY, "rate": {"turns": 0, "seconds": 60}}, ".rate.turns", ">= 1"),
    ({"key": KEY, "rate": {"turns": 3}}, ".rate.seconds", "is missing"),
    ({"key": KEY, "budget": {"tokens_per_day": -1}}, ".budget.tokens_per_day", ">= 1"),
    ({"key": KEY, "heartbeat": -1}, ".heartbeat", ">= 0"),
    ({"key": KEY, "housekeeping": "maybe"}, ".housekeeping", "expected model or local or off"),
    ({"key": KEY, "client_tools": True}, ".client_tools", "got true or false"),
    ({"key": KEY, "client_system": "prepend"}, ".client_system", "expected ignore or append"),
    ({"key": KEY, "on_disconnect": "grace"}, ".on_disconnect", "expected cancel, detach or grace:SECONDS"),
    ({"key": KEY, "notify": "ntfy.sh/me"}, ".notify", "expected an http or https URL"),
    ({"key": KEY, "session_by": ["name"]}, ".session_by[0]", "expected"),
    ({"key": KEY, "model": "a", "models": ["b"]}, ".model", "expected one of models (b), got 'a'"),
)


class CallersCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()))
        self.home.ensure()

    def put(self, callers: Any, inside: bool = False, **block: Any) -> None:
        block = {**block, **({"callers": callers} if inside else {})}
        content = {"enabled_plugins": [PLUGIN], "plugin_config": {PLUGIN: block}}
        self.home.plugins_file.write_text(json.dumps({**content, **({} if inside else {"callers": callers})}))

    def load(self) -> dict[str, Profile]:
        return load_settings(self.home).front_door.callers

    def explain(self, load: Any = None) -> str:
        message = str(self.assertRaises(ConfigError, load or self.load))
        self.assertNotIn("\n", message)
        self.assertNotIn(KEY, message)
        self.assertIn(str(self.home.plugins_file), message)
        return message


class TableTests(CallersCase):
    def test_table_of_the_document_is_read_in_either_place(self) -> None:
        table = {
            "phone": {"key": digest_of(KEY), "commands": "safe", "on_disconnect": "detach"},
            "home-assistant": {
                "env_key": "HA_KEY",
                "client_tools": "on",
                "model": "smollm2",
                "commands": "none",
            },
            "everybody": {"from": [NETWORK], "rate": {"turns": 30, "seconds": 60}},
        }
        for inside in (False, True):
            self.put(table, inside)
            profiles = self.load()
            self.assertEqual(list(profiles), list(table))
            self.assertEqual(profiles["phone"].commands, "safe")
            self.assertEqual(profiles["everybody"].networks, (NETWORK,))

    def test_table_in_both_places_is_refused(self) -> None:
        self.put({"a": {"key": KEY}}, inside=True)
        content = json.loads(self.home.plugins_file.read_text())
        self.home.plugins_file.write_text(json.dumps({**content, "callers": {}}))
        self.assertIn(f"plugin_config.{PLUGIN}.callers: stands at the top", self.explain())

    def test_nothing_and_null_are_no_profiles(self) -> None:
        empty: tuple[Any, ...] = ({}, None)
        for nothing in empty:
            self.put(nothing)
            self.assertEqual(self.load(), {})

    def test_each_mistake_is_told_with_its_place_and_shows_no_key(self) -> None:
        for wrong, place, expected in MISTAKES:
            self.put({"fine": {"from": ["10.0.0.0/8"]}, "phone": wrong})
            message = self.explain()
            self.assertIn(f": callers.phone{place}: ", message, wrong)
            self.assertIn(expected, message, wrong)

    def test_table_that_is_none_and_names_that_are_none_are_refused(self) -> None:
        self.put([])
        self.assertIn("callers: expected profiles by name", self.explain())
        for name in ("", "a b", "-a", "a/b", "x" * 49, "anna\n"):
            self.put({name: {"key": KEY}})
            self.assertIn("expected a name of letters", self.explain())

    def test_null_is_as_for_everybody(self) -> None:
        self.put({"phone": {"key": KEY, "commands": None, "model": None}})
        self.assertEqual(self.load()["phone"].commands, None)

    def test_operator_has_all_commands(self) -> None:
        self.put({"me": {"key": KEY, "operator": True}})
        self.assertEqual(self.load()["me"].commands, "all")

    def test_gates_have_names_in_lower_case(self) -> None:
        self.put({"phone": {"key": KEY, "gates": {"tools": {"Search": {"read": True}}}}})
        gates = self.load()["phone"].gates
        assert gates is not None
        self.assertEqual(gates.tools, {"search": {"read": True}})


class OldFilesTests(CallersCase):
    def test_file_from_before_there_were_profiles_means_what_it_meant(self) -> None:
        old = {
            "api_keys": {"phone": "one", "me": "two"},
            "key_commands": {"me": "all", "gone": "safe"},
            "commands": "safe",
            "session_by": ["api_key"],
            "allow_from": ["10.0.0.0/8", "10.1.0.0/16"],
            "housekeeping": "model",
            "heartbeat": 3,
            "theme": "of another plugin",
        }
        content = {"enabled_plugins": [PLUGIN], "plugin_config": {PLUGIN: old}, "metadata": {"odd": 1}}
        self.home.plugins_file.write_text(json.dumps(content))
        door = load_configuration(self.home).settings.front_door
        self.assertEqual(door.callers, {})
        for key, value in old.items():
            if key != "theme":
                found = getattr(door, key)
                self.assertEqual(list(found) if isinstance(value, list) else found, value, key)
        guard = Guard(door.allow_from, door.api_keys, (), door.commands, door.key_commands, (), Naming(door))
        for key, rights, owner, session in (
            ("one", "safe", False, "llama-10.0.0.9-phone"),
            ("two", "all", True, "llama-10.0.0.9-me"),
            ("", "safe", False, "llama-10.0.0.9"),
        ):
            request: Any = DummyRequest([])
            request.client = IPv4Address("TCP", "10.0.0.9", 1)
            if key:
                request.requestHeaders.setRawHeaders("authorization", [f"Bearer {key}"])
            caller = guard.caller(request)
            self.assertEqual((caller.rights, caller.owner, caller.session_id), (rights, owner, session))


class AgainstOthersTests(CallersCase):
    def test_address_in_the_networks_of_two_is_refused_with_both(self) -> None:
        for first, second in (
            ("192.168.1.0/24", "192.168.1.0/24"),
            ("192.168.0.0/16", "192.168.1.7"),
            ("192.168.1.7", "0.0.0.0/0"),
            ("fd00::/8", "fd00::1/128"),
        ):
            self.put({"one": {"from": ["10.0.0.0/8", first]}, "two": {"from": [second]}})
            message = self.explain()
            self.assertIn("callers.two.from[0]: ", message)
            self.assertIn("of callers.one", message)

    def test_networks_of_one_profile_and_those_beside_a_key_may_overlap(self) -> None:
        self.put(
            {
                "one": {"from": ["10.0.0.0/8", "10.1.0.0/16", "::/0"]},
                "two": {"key": KEY, "from": ["10.1.0.0/16"]},
                "three": {"from": ["192.168.0.0/16"]},
            }
        )
        self.assertEqual(len(self.load()), 3)

    def test_key_of_two_is_refused_in_whatever_form(self) -> None:
        for other in (KEY, digest_of(KEY), digest_of(KEY).upper().replace("SHA", "sha")):
            self.put({"one": {"key": KEY}, "two": {"key": other}})
            self.assertIn("callers.two.key: is also that of callers.one", self.explain())
        self.put({"one": {"key": digest_of(KEY)}}, api_keys={"old": KEY})
        self.assertIn("is also that of api_keys.old", self.explain())

    def test_name_stands_in_one_table_only(self) -> None:
        self.put({"phone": {"key": KEY}}, api_keys={"phone": "other"})
        self.assertIn("callers.phone: stands in api_keys as well", self.explain())
        self.put({"phone": {"key": KEY}}, key_commands={"phone": "all"})
        self.assertIn("callers.phone: stands in key_commands as well", self.explain())

    def test_fields_of_the_body_name_no_sessions_of_several_workers(self) -> None:
        self.put({"phone": {"key": KEY, "session_by": ["body_field"]}}, workers=2)
        self.assertIn("callers.phone.session_by: ", self.explain())

    def test_models_are_those_of_the_registry(self) -> None:
        for field, value, place in (("model", "qwen", "model"), ("models", ["smollm2", "qwen"], "models[1]")):
            self.put({"phone": {"key": KEY, field: value}})
            message = self.explain(lambda: load_configuration(self.home))
            self.assertIn(f"callers.phone.{place}: expected one of smollm2; got 'qwen'", message)
        self.put({"phone": {"key": KEY, "model": "smollm2"}})
        load_configuration(self.home)


class VariableTests(CallersCase):
    def test_key_comes_out_of_a_variable_as_it_is_or_as_a_digest(self) -> None:
        profiles = {"phone": Profile(env_key="PHONE_KEY")}
        for value in (KEY, digest_of(KEY)):
            found = with_keys(profiles, {"PHONE_KEY": value}.get, self.home.plugins_file)
            self.assertEqual(found["phone"].key, value)

    def test_variable_that_holds_no_key_is_named(self) -> None:
        profiles = {"phone": Profile(env_key="PHONE_KEY")}
        for value in (None, "", " ", f"{KEY} x", "sha256:1"):
            environ = {} if value is None else {"PHONE_KEY": value}
            message = self.explain(
                lambda environ=environ: with_keys(profiles, environ.get, self.home.plugins_file)
            )
            self.assertIn("callers.phone.env_key: ", message)
            self.assertIn("PHONE_KEY", message)

    def test_digest_is_that_of_the_key(self) -> None:
        self.assertEqual(digest_of(KEY), "sha256:" + sha256(KEY.encode()).hexdigest())
