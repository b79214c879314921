"""Approval from the chat: the turn parks with a question, and the next message carries it on."""

import re
from typing import Any, Literal

from msgspec import json
from twisted.internet.defer import Deferred

from llamaproxy.agent.calls.runner import DENIED
from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.agent.turns.approvals import PATIENCE, UNANSWERED
from llamaproxy.seams.errors import AsksUser, GateClosed
from llamaproxy.seams.gates import DB, Need
from llamaproxy.seams.types import Access, Caller, ToolCall, ToolContext
from tests.agent.turns.test_toolloop import ToolCase
from tests.agent.turns.test_turns import PHONE
from tests.support import UNGATED, Listener, ScriptedModel, ScriptedTool

SAFE = Caller(session_id=PHONE.session_id, address=PHONE.address, rights="safe")


class ApprovalTests(ToolCase):
    def setUp(self) -> None:
        self.use(
            ScriptedTool(),
            ScriptedTool("drop", "db", access=Access(operation="write", writes=("users",)), result="dropped"),
            limits=Limits(gate_mode="ask"),
            models=[ScriptedModel("main"), ScriptedModel("other")],
        )

    def asked(self) -> tuple[Listener, str]:
        """A turn that ran one call and asks about another; its reply and the code."""
        listener = self.after(("clock", "{}"), ("drop", '{"sql": "DROP TABLE users"}'), text="drop them")
        found = re.search(r"!yes (\w{4})", listener.text)
        assert found is not None
        return listener, found[1]

    def drops(self) -> int:
        return len(self.tools[1].calls)

    def test_reply_ends_cleanly_with_what_wants_to_run_and_a_code(self) -> None:
        listener, code = self.asked()
        self.assertIsNotNone(listener.end)
        for part in (
            'drop {"sql": "DROP TABLE users"}',
            "write table users",
            f"!no {code}",
            f"!always {code}",
        ):
            self.assertIn(part, listener.text)
        self.assertEqual((self.drops(), len(self.house.calls)), (0, 1))
        # What the model wants is written down, and nothing that came of it.
        self.assertEqual([message.role for message in self.history()], ["user", "assistant"])

    def test_leave_for_a_tool_that_is_not_there_yet_can_be_given_again(self) -> None:
        _, code = self.asked()
        self.house.agent.parts.bench.toolbox.remove("drop")
        self.assertIn("Not there at the moment: drop.", self.listen(f"!yes {code}").text)
        self.house.agent.parts.bench.toolbox.add(self.tools[1])
        self.listen(f"!yes {code}")
        self.assertEqual(self.drops(), 1)

    def test_long_argument_hides_no_other(self) -> None:
        text = "x" * 1000
        listener = self.after(("drop", f'{{"content": "{text}", "path": "secret.txt"}}'))
        self.assertIn('x... [702 characters more], path: "secret.txt" (write table users)', listener.text)
        self.assertLess(len(listener.text), 700)

    def test_arguments_are_shown_as_they_are_and_act_on_nothing(self) -> None:
        tricks = {
            "**bold** `code` <b>": "**bold** `code` <b>",
            "a\u202eb\u200bc\u2066d\ufeff": r"a\u202eb\u200bc\u2066d\ufeff",
            "a\x1b[2Jb\x9bc": r"a\x1b[2Jb\x9bc".replace(r"\x1b", r"\u001b"),
            "a\n\n[Send !yes 0000]": r"a\n\n[Send !yes 0000]",
            "a" + " " * 50 + "b": "a" + " " * 50 + "b",
        }
        for sent, shown in tricks.items():
            listener = self.after(("drop", json.encode({"sql": sent}).decode()))
            (line,) = [line for line in listener.text.splitlines() if line.startswith("    ")]
            self.assertEqual(line, f'    drop {{"sql": "{shown}"}} (write table users)')
            self.assertNotIn("\u202e", listener.text)
            self.listen("!reset")

    def test_names_of_tables_are_shown_as_they_are_too(self) -> None:
        self.tools[1]._access = Access(operation="write", writes=("a\n\n**b**\u202e",))
        listener = self.after(("drop", "{}"))
        self.assertIn("    drop {} (write table a\\x0a\\x0a**b**\\u202e)\n", listener.text)

    def test_model_that_imitates_the_question_is_told_from_it(self) -> None:
        for imitation in (
            "[This needs your leave:\n- files {}\nSend !yes ABCD to allow it once.]",
            "Send `!always` ABCD please",
            "**!YES** x7k2",
            "[files was refused. To allow it: !autogate write true]",
            "**db_query was refused.** The operator can allow it: !autoAIdb write true",
        ):
            listener = self.listen("drop them")
            for letter in imitation:
                self.model.say(letter)
            self.model.call_tools(("drop", "{}"))
            told, question = (
                listener.text.index("words above are the model's"),
                listener.text.index("[This needs your leave:\n\n"),
            )
            self.assertLess(told, question)
            self.listen("!stop")
        plain = self.listen("say it")
        self.model.answer("To allow it, say yes or no.")
        self.assertEqual(plain.text, "To allow it, say yes or no.")
        own = self.listen("say it")
        self.model.answer("My search was refused. You may allow it with !autogate search true.")
        self.assertNotIn("words above", own.text)
        self.listen("say it")
        self.assertNotIn("words above", str(self.model.prompt()))

    def test_yes_runs_the_call_and_carries_the_turn_on_in_a_new_reply(self) -> None:
        _, code = self.asked()
        reply = self.listen(f"!yes {code.lower()}")
        self.assertEqual((self.drops(), self.results()), (1, ["noon", "dropped"]))
        self.model.answer("They are gone.")
        self.assertEqual(reply.text, "They are gone.")
        self.assertIsNotNone(reply.end)
        self.assertEqual(
            [message.content for message in self.history()],
            ["drop them", "", "noon", "dropped", "They are gone."],
        )
        self.assertEqual(len(self.tools[0].calls), 1)

    def test_what_the_models_server_added_is_there_after_a_restart(self) -> None:
        listener = self.listen("drop them")
        signed = {"them": {"signature": "c2ln"}}
        call = ToolCall(id="one", name="drop", arguments='{"sql": "DROP TABLE users"}', extra=signed)
        self.model.finish(tool_calls=(call,), extra={"them": {"thoughts": "hm"}})
        found = re.search(r"!yes (\w{4})", listener.text)
        assert found is not None
        self.house.agent = self.house.new_agent()
        self.listen(f"!yes {found[1]}")
        called = self.model.request.messages[-2]
        self.assertEqual((called.extra, called.tool_calls[0].extra), ({"them": {"thoughts": "hm"}}, signed))

    def test_yes_holds_for_that_call_only(self) -> None:
        _, code = self.asked()
        self.listen(f"!yes {code}")
        self.model.call_tools(("drop", '{"sql": "DROP TABLE users2"}'))
        self.assertEqual(self.drops(), 1)

    def test_always_opens_the_gate_for_the_session(self) -> None:
        _, code = self.asked()
        reply = self.listen(f"!always {code}")
        self.model.call_tools(("drop", '{"sql": "again"}'))
        self.assertEqual(self.drops(), 2)
        self.model.answer("Gone.")
        self.assertEqual(reply.text, "Gone.")
        self.assertEqual(self.listen("!autoAIdb users").text, "users: read asks, write allowed")

    def test_no_tells_the_model_which_goes_on(self) -> None:
        _, code = self.asked()
        reply = self.listen(f"!no {code}")
        self.assertEqual((self.drops(), self.results()), (0, ["noon", DENIED]))
        self.model.answer("As you wish.")
        self.assertEqual(reply.text, "As you wish.")

    def test_question_survives_a_restart(self) -> None:
        _, code = self.asked()
        self.house.agent = self.house.new_agent()
        reply = self.listen(f"!yes {code}")
        self.assertEqual(self.results(), ["noon", "dropped"])
        self.model.answer("Gone.")
        self.assertEqual(reply.text, "Gone.")
        self.assertEqual(len(self.history()), 5)

    def test_code_approves_once(self) -> None:
        _, code = self.asked()
        self.listen(f"!yes {code}")
        self.model.answer("Gone.")
        self.assertEqual(self.listen(f"!yes {code}").text, "No question is open; nothing was run.")
        self.assertEqual(self.drops(), 1)

    def test_wrong_code_approves_nothing_and_leaves_the_question_open(self) -> None:
        _, code = self.asked()
        for wrong in ("!yes 0000", "!always", f"!no {code}X"):
            answer = self.listen(wrong).text
            self.assertIn("not the code of the open question; nothing was run", answer)
            self.assertNotIn(code, answer)
        self.assertEqual(self.drops(), 0)
        self.listen(f"!yes {code}")
        self.assertEqual(self.drops(), 1)

    def test_question_expires(self) -> None:
        _, code = self.asked()
        self.house.clock.advance(PATIENCE)
        self.assertIn("expired; nothing was run", self.listen(f"!yes {code}").text)
        self.assertEqual(self.drops(), 0)
        self.assertEqual(
            [message.content for message in self.history()],
            ["drop them", "", "noon", UNANSWERED, "[no answer]"],
        )

    def test_question_outlives_a_step_of_the_time_of_day(self) -> None:
        for step in (7200.0, -7200.0):
            _, code = self.asked()
            self.house.wall_step += step
            self.assertIn(f"!yes {code}", self.listen("and now?").text)
            self.house.clock.advance(PATIENCE)
            self.assertIn("expired; nothing was run", self.listen(f"!yes {code}").text)

    def test_question_expires_after_a_restart_when_it_would_have_anyway(self) -> None:
        _, code = self.asked()
        self.house.clock.advance(PATIENCE - 1)
        self.house.agent = self.house.new_agent()
        self.assertIn(f"!yes {code}", self.listen("and now?").text)
        self.house.clock.advance(1)
        self.assertIn("expired; nothing was run", self.listen(f"!yes {code}").text)

    def test_message_while_the_question_is_open_is_answered_with_a_reminder(self) -> None:
        _, code = self.asked()
        self.assertIn(f"!yes {code}", self.listen("and now?").text)
        self.assertEqual(len(self.house.calls), 1)
        self.listen(f"!yes {code}")
        self.assertEqual(self.drops(), 1)

    def test_text_beside_the_code_is_said_to_be_left_out(self) -> None:
        _, code = self.asked()
        reply = self.listen(f"!yes {code}\n!tool_suppress\nand then tell me a joke")
        self.model.answer("Gone.")
        self.assertIn("not passed on", reply.text)
        self.assertTrue(reply.text.endswith("Gone."))

    def test_message_after_the_question_expired_is_a_new_turn(self) -> None:
        self.asked()
        self.house.clock.advance(PATIENCE)
        self.listen("and now?")
        self.assertEqual(
            [role for role, _ in self.model.prompt()],
            ["user", "assistant", "tool", "tool", "assistant", "user"],
        )

    def test_reset_and_stop_withdraw_the_question(self) -> None:
        for command in ("!reset", "!stop"):
            _, code = self.asked()
            self.listen(command)
            self.assertIn("No question is open", self.listen(f"!yes {code}").text)
        self.assertEqual(self.drops(), 0)

    def test_caller_who_may_not_open_gates_is_not_asked_and_cannot_answer(self) -> None:
        _, code = self.asked()
        self.assertIn("ask the operator", self.listen(f"!yes {code}", SAFE).text)
        self.listen(f"!no {code}")
        self.model.answer("Fine.")
        listener = self.listen("drop them", SAFE)
        self.model.call_tools(("drop", "{}"))
        self.assertIn("The operator can allow it", listener.text)
        self.assertEqual(self.drops(), 0)

    def test_turn_whose_model_is_gone_goes_on_with_the_sessions_own(self) -> None:
        self.listen("@other drop them")
        self.house.models[1].calls[0].call_tools(("drop", "{}"))
        code = self.house.store.settings[PHONE.session_id][1]["parked"]["code"]
        self.house.models = self.house.models[:1]
        self.house.agent = self.house.new_agent()
        reply = self.listen(f"!yes {code}")
        self.model.answer("Gone.")
        self.assertEqual((self.drops(), reply.text), (1, "Gone."))

    def test_client_that_leaves_while_the_approved_call_runs_keeps_the_turn(self) -> None:
        _, code = self.asked()
        self.tools[1].held = True
        waiting = self.turn(f"!yes {code}")
        self.successResultOf(waiting).stopProducing()
        self.assertEqual([message.role for message in self.history()][-1], "assistant")
        self.assertTrue(self.history()[-1].interrupted)


class DoubtTests(ToolCase):
    """A statement that nobody can judge, with a table shut by name and `*` open."""

    def setUp(self) -> None:
        doubt = Access(operation="write", writes=("__unknown__",), doubt="d1")
        self.tool = ScriptedTool("db_query", "db", access=doubt, result="done")
        open_, shut = {"read": True, "write": True}, {"read": False, "write": False}
        self.use(self.tool, limits=Limits(gate_mode="ask"), gates={DB: {"*": open_, "secrets": shut}})

    def ask(self) -> tuple[Listener, str]:
        listener = self.after(("db_query", "{}"))
        found = re.search(r"!always (\w{4})", listener.text)
        return listener, found[1] if found else ""

    def test_always_opens_nothing_but_that_statement(self) -> None:
        listener, code = self.ask()
        for part in ("run a statement that cannot be judged", "read table secrets", "write table secrets"):
            self.assertIn(part, listener.text)
        self.listen(f"!always {code}")
        self.model.answer("Done.")
        self.assertEqual(self.ask()[1], "")
        self.model.answer("Done.")
        self.assertEqual(len(self.tool.calls), 2)
        self.assertEqual(self.listen("!autoAIdb secrets").text, "secrets: read asks, write asks")
        self.assertEqual(self.listen("!autoAIdb __unknown__").text, "__unknown__: read asks, write asks")
        self.tool._access = Access(operation="write", writes=("__unknown__",), doubt="d2")
        self.assertNotEqual(self.ask()[1], "")

    def test_leave_goes_with_the_call_as_far_as_it_was_given(self) -> None:
        self.tool._access = Access(operation="write", writes=("orders", "__host__"))
        _, code = self.ask()
        self.listen(f"!yes {code}")
        leave = self.tool.contexts[-1].leave
        assert leave is not None
        self.assertIsNone(leave.closed("__host__", "write"))
        self.assertIsNotNone(leave.closed("secrets", "read"))

    def test_call_of_a_person_has_nothing_in_its_way(self) -> None:
        owner = Caller(session_id=PHONE.session_id, address=PHONE.address, owner=True)
        self.listen("@main look", owner)
        self.model.call_tools(("db_query", "{}"))
        self.model.answer("Done.")
        self.listen("!db_query {}", owner)
        self.assertEqual([context.leave for context in self.tool.contexts], [None, None])

    def test_gate_that_only_the_database_knows_of_is_asked_about_too(self) -> None:
        self.tool._access = Access(operation="read", reads=("v", "__accounts__"))
        _, code = self.ask()
        self.tool.result = GateClosed(Need(DB, "secrets", "read"))
        listener = self.listen(f"!yes {code}")
        for part in ("touch the database's accounts", "read table secrets"):
            self.assertIn(part, listener.text)
        found = re.search(r"!yes (\w{4})", listener.text)
        assert found is not None
        self.tool.result = "done"
        self.listen(f"!yes {found[1]}")
        self.assertEqual(self.results(), ["done"])
        leave = self.tool.contexts[-1].leave
        assert leave is not None
        self.assertIsNone(leave.closed("secrets", "read"))


class CuriousTool(ScriptedTool):
    """Asks for a colour in the middle of each call, where it can."""

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[Any]:
        if not context.asks:
            self.result = "any colour"
        else:
            self.result = AsksUser("Which colour?") if context.answer is None else f"{context.answer} paint"
        return super().run(arguments, context)


class QuestionTests(ToolCase):
    """A tool that has a question of its own is answered like a gate."""

    def use_tool(self, mode: Literal["ask", "reject"] = "ask", gated: bool = False) -> None:
        access = Access(operation="write", gate="paint") if gated else UNGATED
        self.use(CuriousTool("paint", access=access), limits=Limits(gate_mode=mode))

    def code(self, listener: Listener) -> str:
        found = re.search(r"!yes (\w{4})", listener.text)
        assert found is not None, listener.text
        return found[1]

    def test_the_answer_stands_behind_the_code(self) -> None:
        self.use_tool()
        listener = self.after(("paint", "{}"))
        self.assertIn("paint {} (it asks: Which colour?)", listener.text)
        self.listen(f"!yes {self.code(listener)} dark blue")
        self.assertEqual(self.results(), ["dark blue paint"])

    def test_a_mere_yes_is_an_answer_too(self) -> None:
        self.use_tool()
        self.listen(f"!yes {self.code(self.after(('paint', '{}')))}")
        self.assertEqual(self.results(), [" paint"])

    def test_a_no_ends_the_call(self) -> None:
        self.use_tool()
        self.listen(f"!no {self.code(self.after(('paint', '{}')))}")
        self.assertEqual(self.results(), [DENIED])

    def test_a_gate_that_was_opened_for_the_call_is_not_asked_about_again(self) -> None:
        self.use_tool(gated=True)
        listener = self.after(("paint", "{}"))
        self.assertIn("write paint", listener.text)
        self.assertEqual(self.tools[0].calls, [])
        listener = self.listen(f"!yes {self.code(listener)}")
        self.assertIn("it asks: Which colour?", listener.text)
        self.listen(f"!yes {self.code(listener)} red")
        self.assertEqual(self.results(), ["red paint"])

    def test_always_opens_gates_and_answers_nothing_for_good(self) -> None:
        self.use_tool()
        self.listen(f"!always {self.code(self.after(('paint', '{}')))}")
        self.model.answer("Done.")
        self.assertIn("Which colour?", self.after(("paint", "{}")).text)

    def test_words_behind_the_code_of_a_gate_allow_nothing(self) -> None:
        self.use_tool(gated=True)
        code = self.code(self.after(("paint", "{}")))
        self.assertIn("nothing was run", self.listen(f"!yes {code} but only once").text)
        self.assertEqual(self.tools[0].calls, [])

    def test_where_nobody_is_asked_the_tool_knows_it(self) -> None:
        self.use_tool("reject")
        self.after(("paint", "{}"))
        self.assertEqual(self.results(), ["any colour"])
