"""Gates: what a tool may do without asking, how that is set, and what a refusal tells whom."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.calls.gates import Gates, SessionLeave
from llamaproxy.seams.errors import GateClosed
from llamaproxy.seams.gates import DB, NEVER_BY_ALL, TOOLS, GateMap, Need
from llamaproxy.seams.types import Access, Caller
from tests.agent.turns.test_toolloop import ToolCase
from tests.agent.turns.test_turns import PHONE, TABLET
from tests.support import ScriptedTool

SAFE = Caller(session_id=PHONE.session_id, address=PHONE.address, rights="safe")
OPEN = {"read": True, "write": True}
SHUT = {"read": False, "write": False}
OWNER = Caller(session_id=PHONE.session_id, address=PHONE.address, owner=True)


class LookUpTests(SynchronousTestCase):
    def test_look_up_goes_from_the_name_over_the_group_to_the_rest_and_ends_closed(self) -> None:
        defaults: GateMap = {TOOLS: {"ddgs": {"read": False}, "search": {"read": True}, "*": {"write": True}}}
        gates = Gates({}, defaults)
        table = {
            ("ddgs", "read"): False,
            ("tavily", "read"): True,
            ("tavily", "write"): True,
            ("DDGS", "read"): False,
        }
        for (name, side), allowed in table.items():
            self.assertEqual(gates.allows(TOOLS, name, side, "search"), allowed, (name, side))  # type: ignore
        self.assertFalse(gates.allows(TOOLS, "other", "read", "files"))
        self.assertFalse(gates.allows(DB, "users", "read"))

    def test_session_lies_over_the_defaults_side_by_side(self) -> None:
        settings: dict[str, Any] = {}
        gates = Gates(settings, {DB: {"users": {"read": True, "write": True}}})
        gates.set(DB, "Users", ("write",), False)
        self.assertTrue(gates.allows(DB, "users", "read"))
        self.assertFalse(gates.allows(DB, "users", "write"))
        self.assertEqual(settings, {"gates": {"db": {"users": {"write": False}}}})

    def test_exact_default_beats_the_sessions_word_for_all(self) -> None:
        gates = Gates({}, {DB: {"secrets": {"read": False}}})
        gates.set(DB, "*", ("read",), True)
        self.assertTrue(gates.allows(DB, "users", "read"))
        self.assertFalse(gates.allows(DB, "secrets", "read"))

    def test_every_table_of_a_call_has_to_be_open_on_its_side(self) -> None:
        tool = ScriptedTool("db_query", "db")
        gates = Gates({}, {DB: {"a": {"read": True}}})
        access = Access(operation="write", reads=("A", "b"), writes=("a",))
        self.assertEqual(
            [need.command for need in gates.closed(tool, access)],
            ["!autoAIdb b read true", "!autoAIdb a write true"],
        )
        nameless = gates.closed(tool, Access(operation="read"))
        self.assertEqual([need.command for need in nameless], ["!autoAIdb __meta__ read true"])

    def needs(self, gates: Gates, **access: Any) -> list[str]:
        access = {"operation": "write", **access}
        return [
            f"{need.side} {need.name}"
            for need in gates.closed(ScriptedTool("db_query", "db"), Access(**access))
        ]

    def test_what_nobody_can_judge_is_never_covered_by_the_word_for_all(self) -> None:
        gates = Gates({}, {DB: {"*": OPEN}})
        for name in NEVER_BY_ALL:
            self.assertEqual(self.needs(gates, writes=(name,)), [f"write {name}"])
            gates.set(DB, name, ("write",), True)
            self.assertEqual(self.needs(gates, writes=(name,)), [])

    def test_every_table_shut_by_name_shuts_what_nobody_can_judge(self) -> None:
        operator: GateMap = {DB: {"*": OPEN, "__unknown__": OPEN, "secrets": SHUT, "logs": {"write": False}}}
        gates = Gates({}, operator)
        doubtful = {"writes": ("__unknown__",), "doubt": "d1"}
        self.assertEqual(self.needs(gates, **doubtful), ["read secrets", "write logs", "write secrets"])
        gates.set(DB, "mine", ("read",), False)
        self.assertIn("read mine", self.needs(gates, **doubtful))
        gates.open_doubt("d1")
        self.assertEqual(self.needs(gates, **doubtful), [])
        self.assertIn("read secrets", self.needs(gates, **{**doubtful, "doubt": "d2"}))

    def test_all_tables_are_open_only_without_one_shut_by_name(self) -> None:
        gates = Gates({}, {DB: {"*": OPEN}})
        self.assertEqual(self.needs(gates, operation="read", reads=("*",)), [])
        gates.set(DB, "secrets", ("read",), False)
        self.assertEqual(self.needs(gates, operation="read", reads=("*",)), ["read secrets"])

    def test_table_shut_with_its_schema_or_without_is_shut(self) -> None:
        for shut, named, schema, closed in (
            ("secrets", "secrets", "shop", True),
            ("secrets", "shop.secrets", "", True),
            ("secrets", "other.secrets", "shop", True),
            ("shop.secrets", "secrets", "shop", True),
            ("main.secrets", "Secrets", "main", True),
            ("other.secrets", "secrets", "shop", False),
            ("other.secrets", "shop.secrets", "", False),
        ):
            gates = Gates({}, {DB: {"*": OPEN, shut: SHUT}})
            found = self.needs(gates, operation="read", reads=(named,), schema=schema)
            self.assertEqual(bool(found), closed, (shut, named, schema))
        gates = Gates({}, {DB: {"secrets": SHUT, "other.secrets": OPEN}})
        self.assertEqual(self.needs(gates, operation="read", reads=("other.secrets",)), [])

    def test_what_a_call_shows_is_in_its_way_only_where_it_is_shut_by_name(self) -> None:
        gates = Gates({}, {DB: {"__meta__": OPEN}})
        self.assertEqual(self.needs(gates, operation="read", shows=("secrets",)), [])
        gates.set(DB, "secrets", ("read",), False)
        self.assertEqual(self.needs(gates, operation="read", shows=("secrets",)), ["read secrets"])

    def test_leave_of_a_running_call_is_that_of_the_moment_it_began(self) -> None:
        gates = Gates({}, {DB: {"*": OPEN, "secrets": SHUT}})
        leave = SessionLeave(gates, "main", [Need(DB, "vault", "write")])
        gates.set(DB, "orders", ("read",), False)
        self.assertIsNone(leave.closed("orders", "read"))
        self.assertEqual(leave.closed("Secrets", "read"), Need(DB, "secrets", "read"))
        self.assertEqual(leave.closed("*", "write"), Need(DB, "secrets", "write"))
        self.assertIsNone(leave.shut("orders", "write"))
        self.assertEqual(leave.closed("__host__", "write"), Need(DB, "__host__", "write"))
        self.assertIsNone(leave.closed("vault", "write"))

    def test_each_kind_of_gate_names_its_own_command(self) -> None:
        for name, category, access, command in (
            ("search_ddgs", "search", Access(operation="read"), "!autogate search_ddgs true"),
            ("files", "files", Access(operation="write"), "!autogate files write true"),
            ("x", "system", Access(operation="read", gate="system_prompt"), "!autoAISysPrompt read true"),
        ):
            (need,) = Gates({}, {}).closed(ScriptedTool(name, category), access)
            self.assertEqual(need.command, command)
        self.assertEqual(Gates({}, {}).closed(ScriptedTool(), Access(operation=None)), [])


class RefusalTests(ToolCase):
    def setUp(self) -> None:
        self.use(ScriptedTool("ddgs", "search", access=Access(operation="read"), result="found"))

    def test_refused_call_is_told_to_the_model_with_alternatives_and_to_the_user_in_a_line(self) -> None:
        listener = self.after(("ddgs", "{}"))
        self.assertEqual(self.tools[0].calls, [])
        for part in ("refused", "Do not try it again", "alternatives", "!autogate ddgs true"):
            self.assertIn(part, self.results()[0])
        self.assertEqual(listener.text, "[ddgs was refused. To allow it: !autogate ddgs true]\n\n")
        self.model.answer("I may not search.")
        self.assertIsNotNone(listener.end)

    def test_gate_that_only_the_database_knows_of_is_told_in_the_same_way(self) -> None:
        closed = GateClosed(Need(DB, "secrets", "read"))
        opened = {"db": {"v": {"read": True}}}
        self.use(
            ScriptedTool("db_query", "db", access=Access(operation="read", reads=("v",)), result=closed),
            gates=opened,
        )
        listener = self.after(("db_query", "{}"))
        self.assertIn("[db_query was refused. To allow it: !autoAIdb secrets read true]", listener.text)
        self.assertIn("the user has not allowed it (read table secrets)", self.results()[0])

    def test_command_of_the_refusal_opens_the_gate(self) -> None:
        self.after(("ddgs", "{}"))
        self.model.answer("I may not.")
        self.listen("!autogate ddgs true")
        self.after(("ddgs", "{}"))
        self.assertEqual(self.results()[-1], "found")

    def test_gate_is_the_sessions_own_and_survives_a_restart(self) -> None:
        self.listen("!autogate search true")
        self.house.agent = self.house.new_agent()
        self.after(("ddgs", "{}"))
        self.assertEqual(self.results(), ["found"])
        self.model.answer("Found.")
        self.listen("search", TABLET)
        self.model.call_tools(("ddgs", "{}"))
        self.assertIn("refused", self.results()[0])

    def test_defaults_of_the_operator_open_it_for_everybody(self) -> None:
        self.use(
            ScriptedTool("ddgs", "search", access=Access(operation="read")),
            gates={TOOLS: {"search": {"read": True}}},
        )
        self.after(("ddgs", "{}"))
        self.assertEqual(self.results(), ["noon"])

    def test_owners_one_turn_switch_opens_all_gates_and_nobody_elses_does(self) -> None:
        for caller, runs in ((OWNER, 1), (PHONE, 1)):
            self.listen("@main search", caller)
            self.model.call_tools(("ddgs", "{}"))
            self.assertEqual(len(self.tools[0].calls), runs)
            self.model.answer("Done.")

    def test_caller_who_may_not_open_gates_is_sent_to_the_operator(self) -> None:
        listener = self.listen("search", SAFE)
        self.model.call_tools(("ddgs", "{}"))
        self.assertIn("The operator can allow it: !autogate", listener.text)

    def test_tool_that_cannot_say_what_it_touches_is_not_run(self) -> None:
        self.tools[0].access = lambda arguments: 1 / 0  # type: ignore
        self.after(("ddgs", "{}"))
        self.assertEqual(self.tools[0].calls, [])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class GateCommandTests(ToolCase):
    def setUp(self) -> None:
        self.use(
            ScriptedTool("ddgs", "search"), ScriptedTool("files", "files"), ScriptedTool("db_query", "db")
        )

    def say(self, text: str, caller: Caller = PHONE) -> str:
        listener = self.listen(text, caller)
        self.assertIsNotNone(listener.end)
        return listener.text

    def test_tool_gates_are_shown_and_set(self) -> None:
        table = {
            "!autogate search": "search: read asks",
            "!autogate search true": "search: read allowed",
            "!autogate ddgs": "ddgs: read allowed",
            "!autogate ddgs false": "ddgs: read asks",
            "!autogate drive true": "drive: read allowed, write allowed",
            "!autogate drive write no": "drive: read allowed, write asks",
            "!autogate FILES read YES": "files: read allowed, write asks",
            "!autogate write 1": "all others: read asks, write allowed",
            "!autogate later true": "later: read allowed, write allowed (no tool has this name now)",
        }
        for text, answer in table.items():
            self.assertEqual(self.say(text), answer, text)

    def test_tool_with_one_side_shows_and_sets_only_that(self) -> None:
        toolbox = self.house.toolbox
        for name, side in (("sends", "write"), ("looks", "read")):
            tool = ScriptedTool(name, "mcp_post")
            tool.sides = (side,)  # type: ignore[attr-defined]
            toolbox.add(tool)
        for command, answer in {
            "!autogate sends": "sends: write asks",
            "!autogate sends true": "sends: write allowed",
            "!autogate looks write true": "'looks' can only read, so it has no sides: !autogate looks true\n",
            "!autogate mcp_post": "mcp_post: read asks, write asks",
        }.items():
            self.assertTrue(self.say(command).startswith(answer), command)
        toolbox.remove("looks")
        self.assertEqual(self.say("!autogate mcp_post"), "mcp_post: write asks")

    def test_status_lists_groups_and_tools_but_no_database(self) -> None:
        text = self.say("!autogate status")
        for line in (
            "all others: read asks, write asks",
            "search: read asks",
            "files: read asks, write asks",
        ):
            self.assertIn(line, text.splitlines())
        self.assertNotIn("db", text)

    def test_side_of_a_group_that_only_reads_is_an_error(self) -> None:
        self.assertIn("can only read", self.say("!autogate search write true"))
        self.assertIn("can only read", self.say("!autogate ddgs write true"))

    def test_table_gates_are_shown_and_set(self) -> None:
        table = {
            "!autoAIdb users true": "users: read allowed, write allowed",
            "!autoAIdb users write false": "users: read allowed, write asks",
            "!autoaidb read true": "all others: read allowed, write asks\nno table: read allowed, write asks",
            "!autoAIdb orders": "orders: read allowed, write asks",
            "!autoAIdb status": "all others: read allowed, write asks\nno table: read allowed, write asks\n"
            "users: read allowed, write asks",
        }
        for text, answer in table.items():
            self.assertEqual(self.say(text), answer, text)

    def test_system_prompt_gate_is_shown_and_set(self) -> None:
        table = {
            "!autoAISysPrompt": "system_prompt: read asks, write asks",
            "!autoAISysPrompt true": "system_prompt: read asks, write allowed",
            "!autoAISysPrompt read true": "system_prompt: read allowed, write allowed",
            "!autoAISysPrompt write false": "system_prompt: read allowed, write asks",
        }
        for text, answer in table.items():
            self.assertEqual(self.say(text), answer, text)

    def test_nonsense_is_answered_with_the_usage(self) -> None:
        for text in (
            "!autogate search maybe",
            "!autoAIdb a b c d",
            "!autoAIdb users maybe",
            "!autoAISysPrompt x",
        ):
            self.assertIn("\nUsage: ", self.say(text))

    def test_caller_with_safe_rights_looks_but_does_not_change(self) -> None:
        self.assertEqual(self.say("!autogate search", SAFE), "search: read asks")
        self.assertIn("ask the operator", self.say("!autogate search true", SAFE))
        self.assertEqual(self.say("!autogate search", SAFE), "search: read asks")
