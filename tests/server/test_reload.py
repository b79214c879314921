"""What a running server takes over of files that have changed, and that a mistake in them changes nothing."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

from msgspec import json
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase
from twisted.web.test.requesthelper import DummyRequest

from llamaproxy.config import Home, load_configuration
from llamaproxy.seams.errors import AgentError
from llamaproxy.server.assembly import Plan, assemble

MODEL = {"type": "OPENAI", "model_id": "m", "host": "http://127.0.0.1:9/v1"}


class ReloadCase(TestCase):
    """A server in memory, over files that change."""

    def setUp(self) -> None:
        environ = mock.patch.dict(os.environ, {"PATH": os.environ["PATH"]}, clear=True)
        environ.start()
        self.addCleanup(environ.stop)
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        self.models(x=MODEL, y=MODEL)
        config = load_configuration(self.home)
        plan = Plan(config=config, home=str(self.home.path), default_model="x")
        self.clock: Any = MemoryReactorClock()
        self.server = assemble(plan, mock.Mock(), self.clock)
        self.parts = self.server.agent.parts

    def models(self, default: str = "x", limits: Any = None, **models: Any) -> None:
        content = {"default_model": default, "models": models, "limits": limits or {}}
        self.home.models_file.write_bytes(json.encode(content))

    def plugins(self, **content: Any) -> None:
        before = json.decode(self.home.plugins_file.read_bytes())
        self.home.plugins_file.write_bytes(json.encode({**before, **content}))

    def door(self, **settings: Any) -> None:
        self.plugins(plugin_config={"plugin_proxy_llama": settings})

    def caller(self, key: str, address: str = "203.0.113.9") -> Any:
        """Who somebody is that shows a key, or why they may not come in."""
        request: Any = DummyRequest([])
        request.requestHeaders.setRawHeaders("authorization", [f"Bearer {key}"])
        request.requestHeaders.setRawHeaders("host", ["192.168.1.2:11434"])
        request.client = IPv4Address("TCP", address, 1)
        request.getClientAddress = lambda: request.client
        request.isSecure = lambda: False
        request.getHost = lambda: IPv4Address("TCP", "192.168.1.2", 11434)
        guard = self.server.site.guard
        return guard.refusal(request, False) or guard.caller(request)


class ReloadTests(ReloadCase):
    async def test_models_come_go_and_change_while_others_stay_as_they_are(self) -> None:
        x, y = self.parts.backends["x"], self.parts.backends["y"]
        self.models("z", x=MODEL, y={**MODEL, "model_id": "n"}, z=MODEL)
        await self.server.reloader.reload()
        self.assertEqual((list(self.parts.backends), self.parts.backends.default), (["x", "y", "z"], "z"))
        self.assertIs(self.parts.backends["x"], x)
        self.assertEqual(self.parts.backends["y"].info().model_id, "n")
        # A turn that runs on it goes on; it ends with the server.
        self.assertIn(y, self.server.back_ends.values())
        self.models(x=MODEL)
        await self.server.reloader.reload()
        self.assertEqual(list(self.parts.backends), ["x"])

    async def test_gates_limits_and_tools_take_effect(self) -> None:
        self.home.gate_defaults_file.write_bytes(json.encode({"tools": {"search": {"read": True}}}))
        self.models(limits={"max_tool_iterations": 3}, x={**MODEL, "llm_call_available": True})
        self.plugins(
            max_users=7, enabled_plugins=["plugin_proxy_llama", "plugin_files", "plugin_get_system_info"]
        )
        await self.server.reloader.reload()
        bench = self.parts.bench
        self.assertEqual(bench.gate_defaults["tools"]["search"]["read"], True)
        self.assertEqual((bench.limits.max_users, bench.limits.depths["max_tool_iterations"]), (7, 3))
        offered = bench.toolbox.offered("x")
        self.assertTrue({"files", "get_system_info", "llm_call"} <= set(offered))
        self.plugins(enabled_plugins=["plugin_proxy_llama", "plugin_get_system_info"])
        await self.server.reloader.reload()
        self.assertNotIn("files", bench.toolbox.offered("x"))
        self.assertIs(bench.toolbox.get("get_system_info"), offered["get_system_info"])

    async def test_mistake_keeps_what_was(self) -> None:
        self.plugins(max_users=7)
        for wrong in (b"{", json.encode({"default_model": "x", "models": {"x": {"type": "OPENAI"}}})):
            self.home.models_file.write_bytes(wrong)
            await self.server.reloader.reload()
            self.assertEqual((list(self.parts.backends), self.parts.bench.limits.max_users), (["x", "y"], 50))

    async def test_key_of_a_new_model_is_found_in_env(self) -> None:
        self.home.env_file.write_text("NEW_KEY=k\n")
        self.models(x=MODEL, y={**MODEL, "env_key": "NEW_KEY"})
        await self.server.reloader.reload()
        self.assertEqual(list(self.parts.backends), ["x", "y"])

    async def test_callers_are_known_at_once_and_forgotten_at_once(self) -> None:
        self.assertIsInstance(self.caller("anna-key"), AgentError)
        self.plugins(callers={"anna": {"key": "anna-key", "commands": "safe", "models": ["x"]}})
        await self.server.reloader.reload()
        anna = self.caller("anna-key")
        self.assertEqual((anna.profile, anna.rights, anna.grants.models), ("anna", "safe", ("x",)))
        self.plugins(callers={})
        await self.server.reloader.reload()
        self.assertIsInstance(self.caller("anna-key"), AgentError)

    async def test_door_goes_by_what_needs_no_new_socket_and_the_rest_is_named(self) -> None:
        self.door(
            max_body_bytes=1000, allow_from=["203.0.113.0/24"], turn_log="off", llama_port=1234, workers=2
        )
        outcome = await self.server.reloader.reload()
        self.assertTrue(outcome.taken)
        self.assertIn("waits for the next start of the server: llama_port, workers", outcome.lines)
        self.assertEqual(self.server.site.max_body_bytes, 1000)
        self.assertEqual(self.caller("").address, "203.0.113.9")
        outcome = await self.server.reloader.reload()
        self.assertFalse([line for line in outcome.lines if "next start" in line])

    async def test_mistake_anywhere_is_told_and_changes_nothing(self) -> None:
        self.plugins(max_users=7, callers={"anna": {"env_key": "NOT_SET"}})
        outcome = await self.server.reloader.reload()
        self.assertFalse(outcome.taken)
        self.assertIn("callers.anna.env_key", outcome.lines[0])
        self.assertEqual(self.parts.bench.limits.max_users, 50)
        self.plugins(callers={"anna": {"key": "k", "color": "red"}})
        self.assertIn("color", (await self.server.reloader.reload()).lines[0])

    async def test_tools_that_cannot_be_had_and_unknown_names_of_them_are_told(self) -> None:
        self.home.gate_defaults_file.write_bytes(json.encode({"tools": {"serach": {"read": True}}}))
        self.plugins(enabled_plugins=["plugin_proxy_llama", "plugin_flies"])
        lines = (await self.server.reloader.reload()).lines
        self.assertTrue([line for line in lines if "did you mean plugin_files?" in line], lines)
        self.assertTrue([line for line in lines if "tools.serach" in line and "search" in line], lines)

    async def test_model_whose_entry_is_wrong_now_goes_on_as_it_was(self) -> None:
        y = self.parts.backends["y"]
        self.models(x=MODEL, y={**MODEL, "host": "nowhere"}, z={**MODEL, "type": "OPENAY"})
        outcome = await self.server.reloader.reload()
        self.assertTrue(outcome.taken)
        self.assertIs(self.parts.backends["y"], y)
        self.assertIn("model 'y' goes on as it was", outcome.lines)
        self.assertEqual(list(self.parts.backends), ["x", "y"])
        self.models(x=MODEL, y=MODEL)
        await self.server.reloader.reload()
        self.assertIs(self.parts.backends["y"], y)

    async def test_model_that_is_gone_ends_with_the_last_turn_that_began_with_it(self) -> None:
        y, turn = self.parts.backends["y"], object()
        stopped: list[Any] = []

        def stop(model: Any) -> Deferred[None]:
            stopped.append(model)
            return succeed(None)

        self.patch(type(y), "stop", stop)
        running: Any = self.parts.runs
        running._turns[turn] = None
        self.models(x=MODEL)
        await self.server.reloader.reload()
        self.clock.pump([5.0] * 3)
        self.assertEqual(stopped, [])
        del running._turns[turn]
        self.clock.pump([5.0] * 3)
        self.assertEqual(stopped, [y])
        self.assertEqual(list(self.server.back_ends), ["x"])

    async def test_models_that_are_not_taken_over_are_stopped(self) -> None:
        kind = type(self.parts.backends["x"])
        failing, stopped = {"x", "y"}, []

        def start(model: Any) -> Deferred[None]:
            return (
                fail(AgentError("It cannot be imported.")) if model.info().key in failing else succeed(None)
            )

        def stop(model: Any) -> Deferred[None]:
            stopped.append(model.info().key)
            return succeed(None)

        self.patch(kind, "start", start)
        self.patch(kind, "stop", stop)
        other = {**MODEL, "model_id": "other"}
        self.models(z=MODEL, x=other)
        self.assertFalse((await self.server.reloader.reload()).taken)
        self.assertEqual(stopped, ["z", "x"])
        stopped.clear()
        self.models(x=MODEL, y=other)
        self.assertTrue((await self.server.reloader.reload()).taken)
        self.assertEqual(stopped, ["y"])
        self.assertEqual(list(self.parts.backends), ["x", "y"])

    async def test_tools_for_the_system_prompt_come_and_go(self) -> None:
        enabled = ["plugin_proxy_llama", "plugin_system_prompt"]
        for listed in (enabled, enabled[:1], enabled):
            self.plugins(enabled_plugins=listed)
            await self.server.reloader.reload()
            self.assertEqual("read_system_prompt" in self.parts.bench.toolbox.offered("x"), len(listed) == 2)

    async def test_line_that_is_gone_from_env_is_gone(self) -> None:
        self.home.env_file.write_text("NEW_KEY=k\n")
        await self.server.reloader.reload()
        self.home.env_file.write_text("")
        self.plugins(callers={"anna": {"env_key": "NEW_KEY"}})
        self.assertFalse((await self.server.reloader.reload()).taken)
