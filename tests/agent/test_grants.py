"""What a caller's profile grants of models, tools, gates and work, whatever way they try."""

from typing import Any

from llamaproxy.agent.sessions.ledger import DAY, HOUR, MOST_SOURCES, Ledger
from llamaproxy.agent.sessions.peers import Alone
from llamaproxy.seams.errors import Forbidden, OverLimit
from llamaproxy.seams.grants import Grants
from llamaproxy.seams.limits import Rate, Used
from llamaproxy.seams.types import Access, Caller, ChatTurn, Usage
from tests.agent.turns.test_turns import TurnCase
from tests.support import House, ScriptedModel, ScriptedTool

WRITES = Access(operation="write")


def granted(address: str = "10.0.0.1", **grants: Any) -> Caller:
    return Caller(session_id=f"llama-{address}", address=address, profile="phone", grants=Grants(**grants))


class ModelGrantTests(TurnCase):
    def setUp(self) -> None:
        self.main, self.other, self.third = (ScriptedModel(key) for key in ("main", "other", "third"))
        self.house = self.make(self.main, self.other, self.third)

    def test_sessions_begin_with_the_profiles_model(self) -> None:
        self.listen("hello", granted(model="other"))
        self.assertEqual((len(self.main.calls), len(self.other.calls)), (0, 1))
        self.listen("hello", granted("10.0.0.2", models=("third",)))
        self.assertEqual(len(self.third.calls), 1)
        self.listen("hello", granted("10.0.0.3", models=("main", "other")))
        self.assertEqual(len(self.main.calls), 1)

    def test_other_models_are_not_there_by_any_way(self) -> None:
        who = granted(models=("other",))
        self.assertIn("Unknown model 'main'. There are: other", self.listen("@main hello", who).text)
        self.assertIn("Unknown model 'main'", self.listen("!model main", who).text)
        self.assertNotIn("main", self.listen("!model", who).text)
        self.assertNotIn("main", self.listen("!llm_list", who).text)
        self.assertIn("Unknown model 'main'", self.listen("!llm_clean_text main hello", who).text)
        self.assertEqual(self.main.calls, [])

    def test_session_leaves_a_model_that_its_caller_may_not_use(self) -> None:
        self.answered("hello", "hi", granted())
        listener = self.listen("again", granted(models=("other",)))
        self.assertEqual(len(self.other.calls), 1)
        self.assertIn("using 'other'", listener.text)

    def test_who_may_use_none_is_told_so_and_still_has_commands(self) -> None:
        who = granted(models=("gone",))
        self.assertIsInstance(self.listen("hello", who).error, Forbidden)
        self.assertIn("Profile: phone", self.listen("!whoami", who).text)

    def test_errands_go_to_the_profiles_model(self) -> None:
        asked = self.house.agent.aside(granted(model="other"), ChatTurn(text="a title"))
        self.other.calls[0].answer("Title")
        self.assertEqual(self.successResultOf(asked), "Title")


class ToolGrantTests(TurnCase):
    def setUp(self) -> None:
        self.tool = ScriptedTool("search_web", "search", parameters={"type": "object", "properties": {}})
        self.clock = ScriptedTool("clock")
        self.house = self.make(tools=[self.tool, self.clock])

    def test_model_is_offered_those_that_the_profile_opens_by_name_or_category(self) -> None:
        for number, (tools, offered) in enumerate(
            ((None, 2), ((), 0), (("search",), 1), (("clock",), 1), (("*",), 2), (("x",), 0))
        ):
            self.listen("hello", granted(f"10.0.1.{number}", tools=tools))
            self.assertEqual(len(self.house.calls[-1].request.tools), offered, tools)

    def test_no_way_leads_to_another_tool(self) -> None:
        who = granted(tools=("clock",))
        listener = self.listen("hello", who)
        self.house.calls[-1].call_tools(("search_web", "{}"))
        self.house.calls[-1].answer("no")
        for command in ("!search_web cats", "!llm_clean_tool main search_web {}"):
            self.assertIn("none of the tools that you may use", self.listen(command, who).text)
        self.assertEqual(self.tool.calls, [])
        self.assertIsNotNone(listener.end)


class GateGrantTests(TurnCase):
    def run_tool(self, house: House, tool: ScriptedTool, who: Caller) -> bool:
        before = len(tool.calls)
        self.house = house
        self.listen("hello", who)
        house.calls[-1].call_tools((tool.name, "{}"))
        house.calls[-1].answer("done")
        return len(tool.calls) > before

    def test_starting_gates_lie_between_the_operators_and_the_sessions(self) -> None:
        tool = ScriptedTool("files", "drive", access=WRITES)
        shut, opened = ({"tools": {"files": {"write": word}}} for word in (False, True))
        house = self.make(tools=[tool], gates=shut)
        self.assertTrue(self.run_tool(house, tool, granted(gates=opened)))
        self.assertFalse(self.run_tool(house, tool, granted("10.0.0.2")))
        house = self.make(tools=[tool], gates=opened)
        self.assertFalse(self.run_tool(house, tool, granted(gates=shut)))
        self.listen("!autogate files write true", granted(gates=shut))
        self.assertTrue(self.run_tool(house, tool, granted(gates=shut)))

    def test_status_shows_them(self) -> None:
        gates = {"db": {"notes": {"read": True}}}
        self.assertIn(
            "notes: read allowed, write asks", self.listen("!autoAIdb status", granted(gates=gates)).text
        )


class RateTests(TurnCase):
    def refusal(self, text: str, who: Caller) -> OverLimit | None:
        error = self.listen(text, who).error
        assert error is None or isinstance(error, OverLimit)
        return error

    def test_messages_beyond_the_rate_are_429_until_the_window_has_moved_on(self) -> None:
        who = granted(turns=Rate(2, 60))
        for _ in range(2):
            self.answered("hello", "hi", who)
            self.house.clock.advance(10)
        error = self.refusal("more", who)
        assert error is not None
        self.assertEqual((error.status, error.code, error.retry_after), (429, "rate_limited", 40))
        self.assertEqual(len(self.house.calls), 2)
        self.house.clock.advance(40)
        self.assertIsNone(self.refusal("more", who))

    def test_commands_and_other_addresses_are_not_counted_in(self) -> None:
        who = granted(turns=Rate(1, 60))
        self.answered("hello", "hi", who)
        self.assertIn("Rights", self.listen("!whoami", who).text)
        self.assertIsNone(self.refusal("hello", granted("10.0.0.2", turns=Rate(1, 60))))

    def test_tokens_are_those_that_servers_counted_over_all_rounds_and_errands(self) -> None:
        who = granted(tokens_per_hour=100)
        self.listen("hello", who)
        self.house.calls[-1].finish(usage=Usage(60, 39))
        self.listen("and", who)
        self.house.calls[-1].finish(usage=Usage(1, 0))
        error = self.refusal("more", who)
        assert error is not None
        self.assertLessEqual(error.retry_after or 0, HOUR + 60)
        self.house.clock.advance(error.retry_after or 0)
        self.assertIsNone(self.refusal("more", who))

    def test_errands_use_the_budget_up_as_well(self) -> None:
        who = granted(tokens_per_day=10)
        self.house.agent.aside(who, ChatTurn(text="a title"))
        self.house.calls[-1].finish(usage=Usage(10, 10))
        self.assertIsNotNone(self.refusal("hello", who))
        self.assertRaises(
            OverLimit,
            lambda: self.failureResultOf(
                self.house.agent.aside(who, ChatTurn(text="a title"))
            ).raiseException(),
        )

    def test_who_hangs_up_in_the_middle_has_used_what_was_said(self) -> None:
        ledger = self.house.agent.parts.desk._ledger
        who = granted(tokens_per_hour=3)
        self.listen("hello", who)
        self.house.calls[-1].say("a", "b", "c")
        self.listen("!stop", who)
        self.assertRaises(OverLimit, ledger.admit, who)


class LedgerTests(TurnCase):
    def test_day_is_a_window_of_its_own(self) -> None:
        clock = self.house.clock
        ledger = Ledger(clock.seconds, Alone())
        who = granted(tokens_per_hour=10, tokens_per_day=15)
        ledger.charge(who, Usage(9, 0))
        clock.advance(HOUR + 60)
        ledger.admit(who)
        ledger.charge(who, Usage(9, 0))
        self.assertIn(
            "15 tokens that you may use in a day", str(self.assertRaises(OverLimit, ledger.admit, who))
        )
        clock.advance(DAY)
        ledger.admit(who)

    def test_what_was_used_elsewhere_counts_from_when_it_was(self) -> None:
        clock = self.house.clock
        clock.advance(DAY)
        ledger = Ledger(clock.seconds, Alone())
        who = granted(turns=Rate(2, 60), tokens_per_hour=10)
        source = who.source or who.address
        ledger.count(Used(source, messages=1, ago=50))
        ledger.count(Used(source, tokens=9, ago=HOUR - 120))
        ledger.admit(who)
        self.assertRaises(OverLimit, ledger.admit, who)
        clock.advance(11)
        ledger.admit(who)
        clock.advance(60)
        ledger.charge(who, Usage(1, 0))
        self.assertRaises(OverLimit, ledger.admit, who)
        clock.advance(180)
        ledger.admit(who)

    def test_counting_anew_forgets_what_was_counted(self) -> None:
        ledger = Ledger(self.house.clock.seconds, Alone())
        who = granted(turns=Rate(2, 60))
        for _ in range(2):
            ledger.admit(who)
        ledger.count_anew([Used(who.source or who.address, messages=1)])
        ledger.admit(who)
        self.assertRaises(OverLimit, ledger.admit, who)

    def test_others_hear_what_is_used_here(self) -> None:
        class Told(Alone):
            def tell_used(self, used: Used) -> None:
                told.append(used)

        told: list[Used] = []
        ledger = Ledger(self.house.clock.seconds, Told())
        who = granted(turns=Rate(2, 60), tokens_per_day=10)
        source = who.source or who.address
        ledger.admit(who)
        ledger.charge(who, Usage(3, 4))
        self.assertEqual(told, [Used(source, messages=1), Used(source, tokens=7)])

    def test_accounts_are_bounded(self) -> None:
        ledger = Ledger(self.house.clock.seconds, Alone())
        for number in range(MOST_SOURCES + 5):
            ledger.admit(granted(str(number), turns=Rate(1, 60)))
        ledger.admit(granted("0", turns=Rate(1, 60)))
        self.assertEqual(len(ledger._accounts), MOST_SOURCES)
