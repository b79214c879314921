from typing import Any

from zope.interface import implementer

from llamaproxy.agent.calls.outbound import Outbound
from llamaproxy.seams.errors import ModelUnavailable
from llamaproxy.seams.interfaces import IKeepsHistory
from llamaproxy.seams.types import Caller
from tests.support import Listener, ScriptedCall, ScriptedModel, ScriptedTool

from ..turns.test_turns import OPERATOR, PHONE, TurnCase


@implementer(IKeepsHistory)
class ScriptedAgent(ScriptedModel):
    """A remote agent whose turns the test answers."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.forgotten: list[str] = []

    def forget(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    def rewind(self, session_id: str) -> None:
        self.forgotten.append(f"the end of {session_id}")


def task(agent: str, message: str = "look it up") -> tuple[str, str]:
    return "agent_call", f'{{"agent": "{agent}", "message": "{message}"}}'


class AgentCallTests(TurnCase):
    def setUp(self) -> None:
        self.scout, self.clerk = ScriptedAgent("scout"), ScriptedAgent("clerk")
        gates = {"tools": {"agent_call": {"write": True}}}
        self.house = self.make(ScriptedModel("main"), self.scout, self.clerk, gates=gates)
        self.listen("!llm_call scout true\n!llm_call clerk true", OPERATOR)

    def delegate(self, *calls: tuple[str, str], **caller: Any) -> Listener:
        """A turn in which the model makes these calls."""
        listener = self.listen("do it", Caller(session_id=PHONE.session_id, address=PHONE.address, **caller))
        self.house.calls[-1].call_tools(*(calls or (task("scout"),)))
        return listener

    def results(self) -> list[str]:
        """What the model was told last."""
        return [content for role, content in self.house.calls[-1].prompt() if role == "tool"]

    def test_agent_is_asked_and_its_answer_goes_to_the_model_and_into_the_history(self) -> None:
        listener = self.delegate()
        call: ScriptedCall = self.scout.calls[0]
        self.assertEqual((call.prompt(), call.request.depth), ([("user", "look it up")], 1))
        call.say("It is ", "noon.")
        call.finish()
        self.assertEqual(self.results(), ["It is noon."])
        self.house.calls[-1].answer("Noon, says the scout.")
        self.assertEqual(listener.text, "Noon, says the scout.")
        self.assertEqual([role for role, _ in self.stored()], ["user", "assistant", "tool", "assistant"])

    def test_words_of_the_agent_are_shown_as_it_says_them(self) -> None:
        listener = self.delegate()
        self.scout.calls[0].say("It is ")
        self.assertTrue(listener.thoughts.endswith("]\nscout: It is "))
        self.scout.calls[0].answer("noon.")
        self.assertTrue(
            listener.thoughts.endswith("]\nscout: It is noon.\n[agent_call: scout has answered]\n")
        )

    def test_words_of_one_agent_at_a_time_are_shown(self) -> None:
        listener = self.delegate(task("scout"), task("clerk"))
        self.scout.calls[0].say("from the scout")
        self.clerk.calls[0].say("from the clerk")
        self.scout.calls[0].finish()
        self.clerk.calls[0].finish()
        self.assertTrue(
            listener.thoughts.endswith(
                "scout: from the scout\n[agent_call: scout has answered]\n[agent_call: clerk: from the clerk]\n"
            )
        )

    def test_words_of_the_agent_can_be_shown_at_their_end_or_not_at_all(self) -> None:
        for command, shown in (("!stream false", "[agent_call: scout: noon]\n"), ("!tool_suppress true", "")):
            self.listen(command)
            listener = self.delegate()
            self.scout.calls[-1].answer("noon")
            self.assertEqual(listener.thoughts.partition("}]\n")[2], shown)
            self.house.calls[-1].answer("Noon.")

    def test_agents_are_for_agent_call_and_models_for_llm_call(self) -> None:
        self.listen("!llm_call main true", OPERATOR)
        self.listen("hello")
        tools = {tool["name"]: tool["parameters"] for tool in self.house.calls[-1].request.tools}
        self.assertEqual(tools["agent_call"]["properties"]["agent"]["enum"], ["scout", "clerk"])
        self.assertEqual(tools["llm_call"]["properties"]["model"]["enum"], ["main"])

    def test_agent_that_may_not_be_asked_is_not_on_offer(self) -> None:
        self.listen("!llm_call clerk false", OPERATOR)
        self.delegate(task("clerk"))
        self.assertIn("'clerk' is not one of ['scout']", self.results()[0])
        self.assertEqual(self.clerk.calls, [])
        self.listen("!llm_call false", OPERATOR)
        self.assertIsNone(self.house.toolbox.get("agent_call"))

    def test_call_needs_leave_and_counts_in_its_category(self) -> None:
        self.listen("!autogate agent_call false\n!limit_set agent_call 1/60", OPERATOR)
        self.delegate()
        self.assertIn("!autogate agent_call write true", self.results()[0])
        self.house.calls[-1].answer("No.")
        self.delegate()
        self.assertIn("limit of the category agent_call", self.results()[-1])
        self.assertEqual(self.scout.calls, [])

    def test_who_was_called_by_an_agent_calls_no_other_one(self) -> None:
        self.delegate(depth=1)
        self.assertIn("to a depth of 1 (max_agent_call_depth)", self.results()[0])
        self.house.calls[-1].answer("Then I know nothing.")
        self.listen("!limit_set max_agent_call_depth 2", OPERATOR)
        self.delegate(depth=1)
        self.assertEqual(self.scout.calls[0].request.depth, 2)

    def test_own_model_hears_of_the_depth(self) -> None:
        self.delegate(depth=1)
        self.assertEqual([call.request.depth for call in self.house.calls], [1, 1])

    def test_depth_of_0_turns_calls_off(self) -> None:
        self.listen("!limit_set max_agent_call_depth 0", OPERATOR)
        self.delegate()
        self.assertIn("max_agent_call_depth is 0", self.results()[0])

    def test_agent_hears_one_conversation_for_each_session(self) -> None:
        for _ in range(2):
            self.delegate()
            self.scout.calls[-1].answer("ready")
            self.house.calls[-1].answer("Done.")
        self.listen("do it", Caller(session_id="llama-10.0.0.9", address="10.0.0.9"))
        self.house.calls[-1].call_tools(task("scout"))
        first, again, other = [call.request.session_id for call in self.scout.calls]
        self.assertRegex(first, "^swarm-[0-9a-f]{16}$")
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_calls_of_one_round_run_at_the_same_time_each_in_a_conversation_of_its_own(self) -> None:
        self.delegate(task("scout"), task("scout", "and this"), task("clerk"))
        first, second = self.scout.calls
        third = self.clerk.calls[0]
        self.assertEqual(len({each.request.session_id for each in (first, second, third)}), 3)
        for number, call in enumerate((third, second, first)):
            call.answer(f"answer {number}")
        self.assertEqual(self.results(), ["answer 2", "answer 1", "answer 0"])
        self.assertEqual(self.scout.forgotten, [second.request.session_id])

    def test_reset_reaches_the_agents_that_were_called(self) -> None:
        self.delegate()
        self.scout.calls[0].answer("ready")
        self.house.calls[-1].answer("Done.")
        self.listen("!reset")
        self.assertIn(self.scout.calls[0].request.session_id, self.scout.forgotten)

    def test_user_who_stops_or_leaves_stops_the_agent(self) -> None:
        listener = self.delegate()
        self.listen("!stop")
        self.assertTrue(self.scout.calls[0].cancelled)
        self.assertEqual(listener.text, "[stopped]")
        self.assertEqual(self.stored()[2], ("tool", "[interrupted before it had a result]"))

    def test_agent_that_fails_or_is_too_slow_is_a_result(self) -> None:
        self.listen("!llm_timeout clerk 7", OPERATOR)
        self.delegate(task("scout"), task("clerk"))
        self.scout.calls[0].fail(ModelUnavailable("Model 'scout' cannot be reached: refused"))
        self.house.clock.advance(7)
        self.assertEqual(
            self.results(),
            [
                "The tool failed: Model 'scout' cannot be reached: refused",
                "The tool failed: 'clerk' had no answer within 7 seconds.",
            ],
        )
        self.assertTrue(self.clerk.calls[0].cancelled)

    def test_long_answer_is_cut_for_the_model_and_the_user(self) -> None:
        listener = self.delegate()
        for _ in range(80):
            self.scout.calls[0].say("x" * 1024)
        self.scout.calls[0].finish()
        self.assertEqual(len(self.results()[0]), 64 * 1024)
        self.assertLess(len(listener.thoughts), 70 * 1024)

    def test_depth_of_a_turn_that_waits_for_leave_is_not_forgotten(self) -> None:
        self.house.limits.gate_mode = "ask"
        clock = ScriptedTool("clock")
        self.house.toolbox.add(clock)
        self.listen("!autogate agent_call false", OPERATOR)
        listener = self.delegate(("clock", "{}"), task("scout"), depth=1)
        code = listener.text.partition("!yes ")[2][:4]
        self.assertEqual(clock.contexts[0].depth, 1)
        self.listen(f"!yes {code}")
        self.assertIn("to a depth of 1", self.results()[1])
        self.assertEqual(self.scout.calls, [])

    def test_operators_filter_is_told_to_the_model(self) -> None:
        self.house.agent.parts.delegation.outbound = Outbound(blocked=["!db"])
        self.delegate(task("scout", "!db drop table users"))
        self.assertIn("begins like '!db'", self.results()[0])
        self.assertEqual(self.scout.calls, [])
