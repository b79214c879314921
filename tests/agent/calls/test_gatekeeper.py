"""Every way to a tool leads past the gatekeeper: a row for each way, caller and state of the gates."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llamaproxy
from llamaproxy.agent.calls.gatekeeper import Way
from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.gates import DB, TOOLS, GateMap
from llamaproxy.seams.limits import Rate
from llamaproxy.seams.types import Access, Caller
from tests.agent.turns.test_toolloop import ToolCase
from tests.agent.turns.test_turns import PHONE
from tests.support import ScriptedModel, ScriptedTool

OPEN: GateMap = {TOOLS: {"*": {"read": True, "write": True}}, DB: {"*": {"read": True, "write": True}}}
SHUT: GateMap = {}

OWNER, ALL, SAFE = "operator", "all", "safe"
# A model of another server speaks for whoever its header names; see `Guard.caller`.
DEEP = "depth"


def _caller(kind: str) -> Caller:
    rights: Any = "all" if kind in (OWNER, ALL) else "safe"
    depth = int(kind == DEEP)
    return Caller(
        session_id=PHONE.session_id, address=PHONE.address, rights=rights, owner=kind == OWNER, depth=depth
    )


class WaysTests(ToolCase):
    """Each way is a function that tries to have a tool run for a caller."""

    def setUp(self) -> None:
        self.open(SHUT)

    def open(self, gates: GateMap, mode: Any = "reject") -> None:
        written = Access(operation="write")
        self.files = ScriptedTool("files", "drive", access=written, parameters=PATH)
        self.database = ScriptedTool("db_query", "db", access=Access(operation="write", writes=("t",)))
        self.prompts = ScriptedTool("update_system_prompt", "system", access=written)
        models = [ScriptedModel("main"), ScriptedModel("other")]
        limits = Limits(gate_mode=mode, rates={"drive": Rate(2, 60)})
        self.use(self.files, self.database, self.prompts, gates=gates, limits=limits, models=models)

    def natively(self, tool: ScriptedTool, caller: Caller) -> None:
        self.listen("do it", caller)
        self.model.call_tools((tool.name, "{}"))

    def in_words(self, tool: ScriptedTool, caller: Caller) -> None:
        self.listen("do it", caller)
        self.model.answer(f'<tool_call>{{"name": "{tool.name}", "arguments": {{}}}}</tool_call>')

    def with_the_switch(self, tool: ScriptedTool, caller: Caller) -> None:
        self.listen("@main do it", caller)
        self.model.call_tools((tool.name, "{}"))

    def by_its_command(self, tool: ScriptedTool, caller: Caller) -> None:
        self.listen(f"!{tool.name} {{}}", caller)

    def lent_to_a_model(self, tool: ScriptedTool, caller: Caller) -> None:
        self.listen(f"!llm_clean_tool other {tool.name} {{}}", caller)

    def through_another_model(self, tool: ScriptedTool, caller: Caller) -> None:
        self.open({TOOLS: {"llm_call": {"write": True}}})
        self.listen("!llm_call other true", _caller(OWNER))
        self.listen("do it", caller)
        self.model.call_tools(("llm_call", '{"model": "other", "prompt": "do it"}'))
        if caller.depth:  # it nests too deep
            self.assertEqual(self.house.models[1].calls, [])
            return
        (call,) = self.house.models[1].calls
        self.assertEqual(list(call.request.tools), [])
        call.call_tools((tool.name, "{}"))

    def ran(self, way: Callable[..., None], tool: str, caller: str, gates: GateMap = SHUT) -> bool:
        self.open(gates)
        way(self, getattr(self, tool), _caller(caller))
        self.house.close()
        return bool(getattr(self, tool).calls)

    def test_each_way_asks_for_what_it_must(self) -> None:
        cls = WaysTests
        everybody = (OWNER, ALL, SAFE, DEEP)
        tools = ("files", "database", "prompts")
        for tool in tools:
            for caller in everybody:
                for way in (cls.natively, cls.in_words):
                    self.assertFalse(self.ran(way, tool, caller), (way, tool, caller))
                    self.assertTrue(self.ran(way, tool, caller, OPEN), (way, tool, caller))
                switched = self.ran(cls.with_the_switch, tool, caller)
                self.assertEqual(switched, caller == OWNER, (tool, caller))
                self.assertFalse(self.ran(cls.lent_to_a_model, tool, caller), (tool, caller))
                self.assertFalse(self.ran(cls.through_another_model, tool, caller), (tool, caller))
        for tool, allowed in (("files", (OWNER, ALL)), ("database", (OWNER,)), ("prompts", ())):
            for caller in everybody:
                commanded = self.ran(cls.by_its_command, tool, caller)
                self.assertEqual(commanded, caller in allowed, (tool, caller))
        for tool, allowed in (("files", (OWNER, ALL)), ("database", (OWNER,)), ("prompts", (OWNER, ALL))):
            for caller in everybody:
                lent = self.ran(cls.lent_to_a_model, tool, caller, OPEN)
                self.assertEqual(lent, caller in allowed, (tool, caller))

    def test_tool_that_is_lent_says_which_gate_is_shut_or_who_may_have_it(self) -> None:
        told = self.listen("!llm_clean_tool other files {}").text
        self.assertIn("!autogate files write true", told)
        self.assertIn("operator only", self.listen("!llm_clean_tool other db_query {}").text)

    def test_tool_that_is_lent_counts_for_the_rate(self) -> None:
        self.open(OPEN)
        for _ in range(3):
            self.lent_to_a_model(self.files, PHONE)
            if (call := self.house.models[1].calls[-1]).result.called is False:
                call.answer("done")
        self.assertEqual(len(self.files.calls), 2)

    def code(self) -> str:
        self.open(SHUT, "ask")
        listener = self.listen("do it")
        self.model.call_tools(("files", "{}"))
        found = re.search(r"!yes (\w{4})", listener.text)
        assert found is not None
        return found[1]

    def test_leave_is_given_by_a_caller_with_all_rights_alone(self) -> None:
        for caller, runs in ((SAFE, 0), (DEEP, 0), (ALL, 1)):
            code = self.code()
            self.listen(f"!yes {code}", _caller(caller))
            self.assertEqual(len(self.files.calls), runs, caller)
            self.house.close()

    def test_leave_is_for_what_was_asked_about(self) -> None:
        code = self.code()
        self.house.toolbox.add(
            ScriptedTool("files", "drive", access=Access(operation="write", gate="system_prompt"))
        )
        again = self.listen(f"!yes {code}")
        self.assertIn("write system prompt", again.text)
        self.assertEqual(self.files.calls, [])
        self.assertIsNotNone(again.end)


class OneWayInTests(ToolCase):
    def test_nothing_but_the_runner_runs_a_tool_and_it_asks_first(self) -> None:
        root = Path(llamaproxy.__file__).parent
        found = [
            file.relative_to(root).as_posix()
            for file in (root / "agent").rglob("*.py")
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Attribute) and node.attr == "run"
            if isinstance(node.value, ast.Name) and node.value.id == "tool"
        ]
        self.assertEqual(found, ["agent/calls/runner.py"])

    def test_every_way_is_known(self) -> None:
        self.assertEqual({way.name for way in Way}, {"MODEL", "APPROVED", "COMMAND", "LENT"})


PATH = {"type": "object", "properties": {"path": {"type": "string"}}}
