"""What a running server takes over of files that have changed, and that a mistake in them changes nothing."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

from msgspec import json
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase

from llamaproxy.config import Home, load_configuration
from llamaproxy.server.assembly import Plan, assemble

MODEL = {"type": "OPENAI", "model_id": "m", "host": "http://127.0.0.1:9/v1"}


class ReloadTests(TestCase):
    def setUp(self) -> None:
        environ = mock.patch.dict(os.environ, {"PATH": os.environ["PATH"]}, clear=True)
        environ.start()
        self.addCleanup(environ.stop)
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        self.models(x=MODEL, y=MODEL)
        config = load_configuration(self.home)
        plan = Plan(config=config, home=str(self.home.path), default_model="x")
        self.server = assemble(plan, mock.Mock(), MemoryReactorClock())
        self.parts = self.server.agent.parts

    def models(self, default: str = "x", limits: Any = None, **models: Any) -> None:
        content = {"default_model": default, "models": models, "limits": limits or {}}
        self.home.models_file.write_bytes(json.encode(content))

    def plugins(self, **content: Any) -> None:
        before = json.decode(self.home.plugins_file.read_bytes())
        self.home.plugins_file.write_bytes(json.encode({**before, **content}))

    async def test_models_come_go_and_change_while_others_stay_as_they_are(self) -> None:
        x, y = self.parts.backends["x"], self.parts.backends["y"]
        self.models("z", x=MODEL, y={**MODEL, "model_id": "n"}, z=MODEL)
        await self.server.reload()
        self.assertEqual((list(self.parts.backends), self.parts.backends.default), (["x", "y", "z"], "z"))
        self.assertIs(self.parts.backends["x"], x)
        self.assertEqual(self.parts.backends["y"].info().model_id, "n")
        # A turn that runs on it goes on; it ends with the server.
        self.assertIn(y, self.server.back_ends.values())
        self.models(x=MODEL)
        await self.server.reload()
        self.assertEqual(list(self.parts.backends), ["x"])

    async def test_gates_limits_and_tools_take_effect(self) -> None:
        self.home.gate_defaults_file.write_bytes(json.encode({"tools": {"search": {"read": True}}}))
        self.models(limits={"max_tool_iterations": 3}, x={**MODEL, "llm_call_available": True})
        self.plugins(
            max_users=7, enabled_plugins=["plugin_proxy_llama", "plugin_files", "plugin_get_system_info"]
        )
        await self.server.reload()
        bench = self.parts.bench
        self.assertEqual(bench.gate_defaults["tools"]["search"]["read"], True)
        self.assertEqual((bench.limits.max_users, bench.limits.depths["max_tool_iterations"]), (7, 3))
        offered = bench.toolbox.offered("x")
        self.assertTrue({"files", "get_system_info", "llm_call"} <= set(offered))
        self.plugins(enabled_plugins=["plugin_proxy_llama", "plugin_get_system_info"])
        await self.server.reload()
        self.assertNotIn("files", bench.toolbox.offered("x"))
        self.assertIs(bench.toolbox.get("get_system_info"), offered["get_system_info"])

    async def test_mistake_keeps_what_was(self) -> None:
        self.plugins(max_users=7)
        for wrong in (b"{", json.encode({"default_model": "x", "models": {"x": {"type": "OPENAI"}}})):
            self.home.models_file.write_bytes(wrong)
            await self.server.reload()
            self.assertEqual((list(self.parts.backends), self.parts.bench.limits.max_users), (["x", "y"], 50))

    async def test_key_of_a_new_model_is_found_in_env(self) -> None:
        self.home.env_file.write_text("NEW_KEY=k\n")
        self.models(x=MODEL, y={**MODEL, "env_key": "NEW_KEY"})
        await self.server.reload()
        self.assertEqual(list(self.parts.backends), ["x", "y"])
