"""What the console writes into the operator's files."""

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from llamaproxy.config import Home, load_configuration
from llamaproxy.config.callers import digest_of
from llamaproxy.seams.errors import AgentError, BadRequest
from llamaproxy.server.files import OperatorFiles

MODEL = {"type": "OPENAI", "model_id": "m", "host": "http://127.0.0.1:9/v1"}


class OperatorFilesTests(TestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        self.write(x=MODEL, y={**MODEL, "enabled": False}, v={**MODEL, "embedding": True})
        self.files = OperatorFiles(self.home, lambda: load_configuration(self.home))

    def write(self, **models: Any) -> None:
        self.home.models_file.write_text(json.dumps({"default_model": "x", "models": models}))

    async def test_models_are_switched_and_one_is_the_default(self) -> None:
        await self.files.set_model("y", "default")
        self.assertEqual((self.files.written().default, self.files.written().off), ("y", ()))
        await self.files.set_model("x", "off")
        self.assertEqual(self.files.written().off, ("x",))
        await self.files.set_model("x", "on")
        self.assertEqual(self.files.written().off, ())

    async def test_what_cannot_be_is_told(self) -> None:
        for key, to, word in (
            ("nobody", "on", "no model"),
            ("x", "off", "start with"),
            ("v", "default", "embeddings"),
        ):
            what: Any = to
            setting: Deferred[Any] = self.files.set_model(key, what)
            error = await self.assertFailure(setting, BadRequest)
            self.assertIn(word, str(error))
        self.assertEqual(self.files.written().default, "x")

    async def test_newcomer_is_a_profile_and_nobody_hears_where_a_mistake_is(self) -> None:
        self.assertEqual(await self.files.add_caller("Anna", "k", None), "Anna")
        profile = load_configuration(self.home).settings.front_door.callers["Anna"]
        self.assertEqual((profile.key, profile.commands), (digest_of("k"), None))
        self.assertEqual([person.name for person in self.files.written().people], ["Anna"])
        self.home.models_file.write_text("{")
        error = await self.assertFailure(self.files.add_caller("Bob", "k", "safe"), AgentError)
        self.assertNotIn(str(self.home.path), str(error))
        self.assertNotIn("Bob", self.home.plugins_file.read_text())

    async def test_gate_is_kept_beside_the_others(self) -> None:
        self.home.gate_defaults_file.write_text('{"tools": {"files": {"read": true}}}')
        await self.files.keep_gate("tools", "files", "write", True)
        self.assertEqual(
            json.loads(self.home.gate_defaults_file.read_text()),
            {"tools": {"files": {"read": True, "write": True}}},
        )

    async def test_keys_of_the_short_form_are_people_too(self) -> None:
        content = json.loads(self.home.plugins_file.read_text())
        content["plugin_config"]["plugin_proxy_llama"] |= {
            "api_keys": {"me": "k"},
            "key_commands": {"me": "all"},
        }
        self.home.plugins_file.write_text(json.dumps(content))
        (me,) = self.files.written().people
        self.assertEqual((me.name, me.by, me.operator), ("me", "key", True))
