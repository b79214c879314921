"""Commands: read out of a message, answered by the agent, never seen by a model or the history."""

from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from llamaproxy.agent.commands import commands
from llamaproxy.agent.commands.script import MAX_COMMANDS, Invocation, Script, TooManyCommands, read
from llamaproxy.seams.errors import Busy, ModelError, ToolError
from llamaproxy.seams.interfaces import IKeepsHistory, IModel
from llamaproxy.seams.names import swarm_id
from llamaproxy.seams.types import Access, Caller
from tests.agent.turns.test_turns import OPERATOR, PHONE, TABLET, TurnCase
from tests.support import ScriptedCall, ScriptedModel, ScriptedTool

# What takes an argument, of the commands in these tests; nothing else is known.
KNOWN = {"help": True, "model": True, "note": True, "reset": False, "stop": False, "whoami": False}


class ReadTests(SynchronousTestCase):
    def test_messages_are_taken_apart(self) -> None:
        help_me, reset, stop = Invocation("help", ""), Invocation("reset", ""), Invocation("stop", "")
        table = {
            "hello": Script(prompt="hello"),
            "  !Help  ": Script(commands=(help_me,)),
            "!model gpt": Script(commands=(Invocation("model", "gpt"),)),
            "!note a\nb": Script(commands=(Invocation("note", "a\nb"),)),
            "!note\n\n  a\n!reset?\n": Script(commands=(Invocation("note", "a\n!reset?"),)),
            "hello\n!help": Script(prompt="hello\n!help"),
            "hello\n!help\n!reset": Script(prompt="hello\n!help\n!reset"),
            "!model a\n!reset": Script(commands=(Invocation("model", "a"), reset)),
            "!model a\n!reset\nhello\n!reset": Script(
                commands=(Invocation("model", "a"), reset), prompt="hello\n!reset"
            ),
            "!stop\nhello": Script(commands=(stop,), prompt="hello"),
            "!stop now\n\n@gpt hello": Script(
                commands=(Invocation("stop", "now"),), prompt="hello", model="gpt"
            ),
            "!model a\r\n  !reset \r\nhello": Script(
                commands=(Invocation("model", "a"), reset), prompt="hello"
            ),
            "!stop\n\n \r\n!reset\n\nhello": Script(commands=(stop, reset), prompt="hello"),
            "@gpt hello you": Script(prompt="hello you", model="gpt"),
            "@gpt\nhello": Script(prompt="hello", model="gpt"),
            "@gpt": Script(prompt="", model="gpt"),
            "@": Script(prompt="", model=""),
            "": Script(),
        }
        for text, script in table.items():
            self.assertEqual(read(text, KNOWN.get), script, text)

    def test_batch_with_one_unknown_command_is_a_prompt_as_it_stands(self) -> None:
        for text in (
            "!pip install x\n!reset",
            "!reset\n!pip install x",
            "!reset\n!model a\n!important\nhello",
            "!pip install x\nprint(1)",
            "!unknown\n\nhello",
        ):
            self.assertEqual(read(text, KNOWN.get), Script(prompt=text), text)

    def test_lone_unknown_word_on_one_line_is_a_command(self) -> None:
        for text, name in (
            ("!rest", "rest"),
            (" !Rest now\n", "rest"),
            ("!忘れて", "忘れて"),
        ):
            self.assertEqual(read(text, KNOWN.get).commands[0].name, name)

    def test_what_only_looks_like_a_command_is_text(self) -> None:
        for text in (
            *(
                "!",
                "!!",
                "!!!",
                "!!reset",
                "! reset",
                "!=",
                "!=reset",
                "![reset](a.png)",
                "!(reset)",
                "!-reset",
            ),
            *(
                "!reset!",
                "!reset;",
                "!reset=1",
                "!reset, please",
                "!1",
                "!reset\u2028!stop",
                "!reset\x85!stop",
            ),
            *(
                "!reset\r!stop",
                "!reset\x0b!stop",
                "!reset\u00a0x",
                "\ufeff!reset",
                "\u200b!reset",
                "!\u200breset",
            ),
            *(
                "\uff01reset",
                "\u00a1reset",
                "\ufe57reset",
                "\u203creset",
                "\u01c3reset",
                "\\!reset",
                "`!reset`",
            ),
            *(
                "> !reset",
                "- !reset",
                "1. !reset",
                "```\n!reset\n!stop\n```",
                '"!reset"',
                '{"text": "!reset"}',
            ),
            *("!rese\u0301t", "!re\u00adset", "!\uff52\uff45\uff53\uff45\uff54x y", "/reset", "#reset"),
        ):
            script = read(text, KNOWN.get)
            self.assertEqual([each for each in script.commands if each.name in KNOWN], [], ascii(text))

    def test_message_has_so_many_commands_at_most(self) -> None:
        self.assertEqual(len(read("!help\n" * MAX_COMMANDS, KNOWN.get).commands), MAX_COMMANDS)
        self.assertRaises(TooManyCommands, read, "!help\n" * (MAX_COMMANDS + 1), KNOWN.get)


class CommandTests(TurnCase):
    def setUp(self) -> None:
        self.house = self.make(ScriptedModel("main"), ScriptedModel("other"))

    def say(self, text: str) -> str:
        listener = self.listen(text, OPERATOR)
        self.assertIsNotNone(listener.end)
        return listener.text

    def test_commands_reach_neither_model_nor_history(self) -> None:
        for text in ("!help", "!model", "!nonsense", "!model other\n!session"):
            self.say(text)
        self.assertEqual([model.calls for model in self.house.models], [[], []])
        self.assertEqual(self.house.store.messages, {})

    def test_help_lists_every_command_and_the_switch(self) -> None:
        text = self.say("!help")
        for name in ("!help", "!model", "!reset", "!stop", "!session", "!sysprompt", "!maxctx", "@<key>"):
            self.assertIn(name, text)

    def test_unknown_command_names_the_nearest(self) -> None:
        self.assertEqual(self.say("!rest"), "Unknown command !rest. Did you mean !reset?")
        self.assertEqual(self.say("!xyzzy"), "Unknown command !xyzzy. !help lists all commands.")

    def test_endless_name_is_not_compared_and_not_repeated(self) -> None:
        self.patch(commands, "get_close_matches", None)
        self.assertEqual(
            self.say("!" + "rest" * 1000), f"Unknown command !{'rest' * 16}.... !help lists all commands."
        )

    def test_pasted_list_of_commands_is_answered_in_a_sentence_and_runs_nothing(self) -> None:
        self.answered("hello", "ahoy")
        self.assertIn("More than 20 lines", self.say("!reset\n" * 40_000))
        self.assertEqual(self.stored(), [("user", "hello"), ("assistant", "ahoy")])

    def test_model_lists_and_sets(self) -> None:
        self.assertIn("* main (main-id)\n- other (other-id)", self.say("!model"))
        self.assertEqual(self.say("!model other"), "Model: other")
        self.listen("hello")
        self.assertEqual(len(self.house.models[1].calls), 1)

    def test_unknown_model_is_answered_with_the_list(self) -> None:
        self.assertIn("Unknown model 'x'. Models:\n* main", self.say("!model x"))

    def test_setting_the_model_stops_the_running_turn(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].say("half")
        self.say("!model other")
        self.assertTrue(self.house.calls[0].cancelled)
        self.assertEqual(listener.text, "half\n\n[stopped]")

    def test_smaller_window_reports_the_messages_that_do_not_fit(self) -> None:
        for number in range(3):
            self.answered(f"q{number}", f"a{number}")
        self.say("!maxctx 2")
        self.assertEqual(self.say("!model main"), "Model: main (4 older messages do not fit its window)")

    def test_several_commands_run_in_order_and_the_rest_is_the_prompt(self) -> None:
        listener = self.listen("!model other\n!maxctx\nhello")
        self.house.models[1].calls[0].say("ahoy")
        self.house.models[1].calls[0].finish()
        self.assertEqual(listener.text, "Model: other\nHistory window: 200 messages\n\nahoy")
        self.assertEqual(self.stored(), [("user", "hello"), ("assistant", "ahoy")])

    def test_reset_forgets_and_says_how_much(self) -> None:
        self.answered("hello", "ahoy")
        self.assertEqual(self.say("!reset"), "Forgotten: 2 messages.")
        self.listen("again")
        self.assertEqual(self.house.calls[-1].prompt(), [("user", "again")])

    def test_reset_and_delete_reach_models_that_keep_a_history_of_their_own(self) -> None:
        forgotten: list[str] = []
        model = self.house.models[0]
        model.forget = forgotten.append  # type: ignore[attr-defined]
        directlyProvides(model, IModel, IKeepsHistory)
        self.answered("hello", "ahoy")
        self.say("!reset")
        self.say("!session 101 delete")
        asked_by_others = swarm_id(PHONE.session_id, "main")
        self.assertEqual(forgotten, [PHONE.session_id, asked_by_others] * 2)

    def test_stop_ends_the_running_reply_well(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].say("half")
        self.assertEqual(self.say("!stop"), "Stopped.")
        self.assertEqual(listener.text, "half\n\n[stopped]")
        self.assertIsNotNone(listener.end)
        self.assertEqual(self.stored(), [("user", "hello"), ("assistant", "half")])

    def test_stop_beside_a_command_that_waits_does_not_wait(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].say("half")
        self.assertEqual(self.say("!stop\n!reset"), "Stopped.\nForgotten: 2 messages.")
        self.assertEqual(listener.text, "half\n\n[stopped]")

    def test_stop_before_a_new_question_ends_the_reply_and_asks_it(self) -> None:
        for text in ("!stop\nagain", "!stop\n!maxctx\nagain"):
            listener = self.listen("hello")
            self.house.calls[-1].say("half")
            second = self.listen(text)
            self.assertEqual(listener.text, "half\n\n[stopped]")
            self.assertEqual(self.house.calls[-1].prompt()[-1], ("user", "again"))
            self.house.calls[-1].answer("ahoy")
            self.assertEqual((second.text[:8], second.text[-6:]), ("Stopped.", "\n\nahoy"))

    def test_full_queue_lets_a_stop_through_with_what_follows_it(self) -> None:
        running = self.listen("hello")
        self.house.calls[0].say("half")
        for number in range(8):
            self.listen(str(number))
        stopping = self.listen("!stop\nagain")
        self.assertEqual((running.text, stopping.text), ("half\n\n[stopped]", "Stopped.\n\n"))
        self.house.store.held = True
        self.house.calls[1].say("0")
        refused = self.listen("!stop\nonce more")
        self.assertEqual((refused.text, type(refused.error)), ("Stopped.\n\n", Busy))
        self.assertTrue(self.house.calls[1].cancelled)

    def test_lines_after_a_command_are_its_argument_if_it_takes_one(self) -> None:
        self.assertIn("Unknown model 'x\ny'", self.say("!model x\ny"))
        self.assertEqual(self.house.calls, [])
        self.assertIn("Session: ", self.listen("!whoami please\nnow").text)
        self.assertEqual(self.house.calls[0].prompt(), [("user", "now")])

    def test_message_with_an_unknown_command_among_its_lines_reaches_the_model_whole(self) -> None:
        for text in (
            "!reset\n!pip install x",
            "Fix my macros:\n!reset\nfoo\n!model nope",
            "![logo](a.png)",
            "!!!",
        ):
            self.listen(text)
            self.assertEqual(self.house.calls[-1].prompt()[-1], ("user", text))
            self.house.calls[-1].answer("Well.")
        self.assertEqual(len(self.stored()), 8)

    def test_stop_with_nothing_to_stop_says_so(self) -> None:
        self.assertEqual(self.say("!stop"), "Nothing is running.")

    def test_stop_does_not_reach_other_sessions(self) -> None:
        self.listen("hello", TABLET)
        self.assertEqual(self.say("!stop"), "Nothing is running.")
        self.assertFalse(self.house.calls[0].cancelled)

    def test_session_lists_all_and_marks_the_own(self) -> None:
        self.answered("hello", "ahoy")
        self.answered("hello", "ahoy", TABLET)
        self.assertEqual(
            self.say("!session"),
            "Sessions:\n"
            "* 101 llama-192.168.1.20: main, 2 messages, 192.168.1.20\n"
            "- 102 llama-192.168.1.21: main, 2 messages, 192.168.1.21",
        )

    def test_session_is_deleted_by_short_or_full_id(self) -> None:
        self.answered("hello", "ahoy", TABLET)
        self.assertEqual(self.say("!session 101 delete"), "Deleted: llama-192.168.1.21")
        self.assertNotIn(TABLET.session_id, self.house.store.messages)
        self.answered("hello", "ahoy", TABLET)
        self.assertEqual(self.say(f"!session {TABLET.session_id} delete"), "Deleted: llama-192.168.1.21")
        self.assertIn("There is no session '999'", self.say("!session 999 delete"))
        self.assertIn("cannot attach", self.say("!session 101 attach"))
        self.assertIn("Usage: !session", self.say("!session nonsense"))

    def test_deleted_session_keeps_its_queue_and_runs_one_turn_at_a_time(self) -> None:
        self.answered("secret", "noted")
        running = self.listen("hello")
        self.house.calls[1].say("half")
        self.listen("second")
        self.house.store.held = True
        deleting = self.listen("!session 101 delete", replace(TABLET, owner=True))
        self.assertIsNone(deleting.end)
        self.house.store.release()
        self.assertEqual(deleting.text, "Deleted: llama-192.168.1.20")
        self.assertEqual(running.text, "half\n\n[stopped]")
        self.assertEqual(self.house.calls[2].prompt(), [("user", "second")])
        self.listen("third")
        self.assertEqual(len(self.house.calls), 3)
        self.house.calls[2].answer("2")
        self.assertEqual(self.stored(), [("user", "second"), ("assistant", "2")])
        self.assertEqual(
            self.house.calls[3].prompt(), [("user", "second"), ("assistant", "2"), ("user", "third")]
        )

    def test_two_deletions_at_once_spare_a_conversation_that_begins_in_between(self) -> None:
        self.answered("hello", "secret")
        laptop = Caller(session_id="llama-192.168.1.22", address="192.168.1.22", owner=True)
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()
        clearings = iter([first])
        self.patch(self.house.store, "clear", lambda _: next(clearings, second))
        deleting = [
            self.listen("!session 101 delete", caller) for caller in (replace(TABLET, owner=True), laptop)
        ]
        first.callback(2)
        self.answered("again", "ahoy")
        second.callback(0)
        self.assertEqual([each.text for each in deleting], ["Deleted: llama-192.168.1.20"] * 2)
        self.assertEqual(self.stored(), [("user", "again"), ("assistant", "ahoy")])
        self.assertIn("llama-192.168.1.20: main, 2 messages", self.say("!session"))

    def test_session_that_deletes_itself_goes_on_as_a_new_one(self) -> None:
        self.answered("secret", "noted")
        self.say("!model other")
        self.listen("!reset\n!session 101 delete\nhello")
        self.assertEqual(self.house.calls[-1].prompt(), [("user", "hello")])
        self.house.calls[-1].answer("ahoy")
        self.assertEqual(self.stored(), [("user", "hello"), ("assistant", "ahoy")])
        self.assertEqual(len(self.house.agent.parts.sessions), 1)

    def test_limits_are_shown_and_set_and_refuse_nonsense(self) -> None:
        for command, setting, shown in (
            ("!maxctx", "50", "50"),
            ("!maxusers", "3", "3"),
            ("!sessiontimeout", "5", "5 minutes"),
            ("!sessiontimeout", "0", "never"),
        ):
            self.assertIn(shown, self.say(f"{command} {setting}"))
            self.assertIn(shown, self.say(command))
            self.assertIn(f"Usage: {command}", self.say(f"{command} many"))
        self.assertIn("from 1 to", self.say("!maxctx 0"))

    def test_numbers_beyond_all_reason_are_answered_with_the_usage(self) -> None:
        for digits in (25, 400, 5000):
            number = "9" * digits
            for command in (
                "maxctx",
                "maxusers",
                "sessiontimeout",
                "sleep",
                "limit_set max_tool_iterations",
                "limit_set search 1/",
                "limits write max_at_llm_depth",
                "llm_timeout",
                "tool_preview_length",
            ):
                answer = self.say(f"!{command} {number}".replace("/ ", "/"))
                self.assertIn("is needed.\nUsage: ", answer, command)
            self.assertIn("There is no session", self.say(f"!session {number} delete"))
            self.assertIn("There is no section", self.say(f"!read_system_prompt {number}"))

    def test_sysprompt_shows_and_reloads(self) -> None:
        (self.folder / ".system_prompt").write_text("Be kind.")
        self.assertEqual(self.say("!sysprompt"), "Be kind.")
        self.assertEqual(self.say("!sysprompt reload"), "System prompt read again: 8 characters.")

    def test_system_info_counts_sessions_and_models(self) -> None:
        self.assertIn("Sessions: 1 of 50\nModel: main (2 enabled)", self.say("!get_system_info"))

    def test_switch_asks_another_model_once_in_the_shared_history(self) -> None:
        self.listen("@other\nhello")
        self.house.models[1].calls[0].say("ahoy")
        self.house.models[1].calls[0].finish()
        self.listen("again")
        self.assertEqual(
            self.house.calls[0].prompt(), [("user", "hello"), ("assistant", "ahoy"), ("user", "again")]
        )

    def test_switch_to_an_unknown_model_runs_nothing(self) -> None:
        self.assertEqual(self.say("@x hello"), "Unknown model 'x'. There are: main, other")

    def test_switch_without_text_answers_with_usage(self) -> None:
        self.assertEqual(self.say("@other"), "Usage: @other <text>")

    def test_every_caller_has_the_sessions_own_model(self) -> None:
        self.say("!model other")
        self.listen("hello", TABLET)
        self.assertEqual((len(self.house.models[0].calls), len(self.house.models[1].calls)), (1, 0))
        self.assertEqual(PHONE.session_id, "llama-192.168.1.20")


class RightsTests(TurnCase):
    """What callers may command, by their rights."""

    FOR_ALL = (
        "!maxusers 3",
        "!maxctx 3",
        "!sessiontimeout 3",
        "!limit_set max_at_llm_depth 2",
        "!limits write max_at_llm_depth 2",
        "!llm_call true",
        "!llm_timeout 3",
        "!sysprompt reload",
        "!session 999 delete",
    )

    def say(self, text: str, **rights: Any) -> str:
        caller = Caller(session_id=PHONE.session_id, address=PHONE.address, **rights)
        return self.listen(text, caller).text

    def test_caller_without_rights_is_refused_every_command_and_may_still_talk(self) -> None:
        for text in ("!help", "!reset", "!model\n!session", "!nonsense"):
            self.assertIn("turned off", self.say(text, rights="none"))
        self.say("hello", rights="none")
        self.assertEqual(len(self.house.calls), 1)

    def test_safe_caller_sees_only_the_own_session(self) -> None:
        self.answered("hello", "ahoy", TABLET)
        listed = self.say("!session", rights="safe")
        self.assertIn(PHONE.session_id, listed)
        self.assertNotIn(TABLET.session_id, listed)

    def test_safe_caller_looks_and_rules_the_own_session_only(self) -> None:
        for text in ("!help", "!model main", "!maxusers", "!limit_list", "!llm_call", "!tool_suppress true"):
            self.assertNotIn("operator", self.say(text, rights="safe"), text)
        for text in (*self.FOR_ALL, "!llm_clean_text main hi"):
            self.assertIn("ask the operator", self.say(text, rights="safe"), text)
        self.assertEqual((self.house.limits.max_users, self.house.calls), (50, []))

    def test_what_holds_for_everybody_takes_the_operator(self) -> None:
        for text in self.FOR_ALL:
            self.assertIn("ask the operator", self.say(text, rights="all"), text)
        for text in self.FOR_ALL:
            self.assertNotIn("ask the operator", self.say(text, rights="all", owner=True), text)


class ToolCommandTests(TurnCase):
    """Commands about tools, and tools as commands."""

    def setUp(self) -> None:
        text = {"type": "string"}
        self.search = ScriptedTool(
            "search_ddgs",
            "search",
            access=Access(operation="read"),
            result="found",
            parameters={
                "type": "object",
                "properties": {"n": {"type": "integer"}, "query": text},
                "required": ["query"],
            },
        )
        self.extract = ScriptedTool(
            "url_extract",
            "extract",
            parameters={"type": "object", "properties": {"query": text, "url": text}, "required": ["url"]},
        )
        self.database = ScriptedTool(
            "db_query", "db", parameters={"type": "object", "properties": {"sql": text}, "required": ["sql"]}
        )
        self.clock = ScriptedTool("clock")
        self.house = self.make(
            ScriptedModel("main"),
            ScriptedModel("other"),
            tools=[self.search, self.extract, self.database, self.clock],
        )

    def say(self, text: str, **more: Any) -> str:
        return self.listen(text, Caller(session_id=PHONE.session_id, address=PHONE.address, **more)).text

    def test_tool_runs_by_command_without_model_or_gate(self) -> None:
        self.assertEqual(self.say("!search_ddgs blue cats"), "found")
        self.assertEqual(self.search.calls, [{"query": "blue cats"}])
        self.say("!url_extract http://a what is it")
        self.say("!url_extract http://a")
        self.say('!search_ddgs {"query": "cats", "n": 3}')
        self.assertEqual(
            self.extract.calls, [{"url": "http://a", "query": "what is it"}, {"url": "http://a"}]
        )
        self.assertEqual(self.search.calls[1], {"query": "cats", "n": 3})
        self.assertEqual(self.house.calls, [])

    def test_database_command_is_the_owners(self) -> None:
        for name in ("db", "db_query"):
            self.assertIn("for the operator only", self.say(f"!{name} SELECT 1"))
            self.assertEqual(self.say(f"!{name} SELECT 1", owner=True), "noon")
        self.assertEqual(self.database.calls, [{"sql": "SELECT 1"}] * 2)

    def test_tool_command_exists_only_for_tools_that_are_installed_and_worth_one(self) -> None:
        self.assertIn("Unknown command", self.say("!search_tavily cats"))
        self.assertIn("Unknown command", self.say("!clock"))

    def test_tool_commands_come_and_go_with_their_tools(self) -> None:
        self.assertIn("!search_ddgs", self.say("!help"))
        self.house.toolbox.remove("search_ddgs")
        self.assertNotIn("search_ddgs", self.say("!help"))
        self.assertIn("Unknown command", self.say("!search_ddgs cats"))
        self.house.toolbox.add(self.search)
        self.assertEqual(self.say("!search_ddgs cats"), "found")

    def test_tool_command_without_its_argument_is_answered_with_the_usage(self) -> None:
        self.assertEqual(
            self.say("!search_ddgs"), "'query' is a required property.\nUsage: !search_ddgs <query>"
        )

    def test_failing_tool_is_told_in_words(self) -> None:
        self.search.result = ToolError("offline")
        self.assertEqual(self.say("!search_ddgs cats"), "The tool failed: offline")

    def test_preview_and_tags_are_set_for_the_session_and_kept(self) -> None:
        self.assertIn("500 characters", self.say("!tool_preview_length"))
        self.say("!tool_preview_length 2")
        self.assertIn("all of it", self.say("!tool_preview_length -1"))
        self.say("!tool_preview_length 2")
        self.house.agent = self.house.new_agent()
        listener = self.listen("time?")
        self.house.calls[-1].call_tools(("clock", "{}"))
        self.assertIn("[clock: no...]", listener.thoughts)
        self.house.calls[-1].answer("Noon.")
        self.assertEqual(self.say("!tool_suppress yes"), "Tool tags are hidden.")
        listener = self.listen("time?")
        self.house.calls[-1].call_tools(("clock", "{}"))
        self.assertEqual(listener.thoughts, "")
        self.assertIn("Usage", self.say("!tool_suppress perhaps") + self.say("!tool_preview_length x"))

    def test_limits_are_listed_and_set_under_all_their_names(self) -> None:
        self.assertIn("max_tool_iterations: 10", self.say("!limit_list").splitlines())
        self.assertIn("search: 5 calls in 10 s", self.say("!limits list", owner=True).splitlines())
        self.assertEqual(self.say("!limit_set max_tool_iterations 1", owner=True), "max_tool_iterations: 1")
        self.assertEqual(self.say("!limits read max_tool_iterations", owner=True), "max_tool_iterations: 1")
        self.assertEqual(self.say("!limits write search 1/60", owner=True), "search: 1 calls in 60 s")
        self.assertEqual(self.say("!limit_depth_set search 0/60", owner=True), "search: no limit")
        self.assertIn("Usage", self.say("!limit_set nonsense 1", owner=True))
        self.listen("time?")
        self.house.calls[-1].call_tools(("clock", "{}"))
        self.assertEqual(self.house.calls[-1].request.tools, [])

    def test_help_begins_with_what_people_need_most(self) -> None:
        groups = [line.partition(":")[0] for line in self.listen("!help").text.splitlines() if ": !" in line]
        self.assertEqual(groups[:5], ["Chat", "Models", "Tools", "Gates", "Server"])
        self.assertTrue(self.listen("!help").text.startswith("Chat: !help !reset"))

    def test_help_fits_a_phone_and_explains_each_command(self) -> None:
        text = self.say("!help", owner=True)
        self.assertLess(sum(1 + len(line) // 40 for line in text.splitlines()), 31)
        self.assertIn("The model's tools: search_ddgs, url_extract, db_query, clock", text)
        for word in text.replace("\n", " ").split():
            if word.startswith("!") and word != "!help":
                self.assertIn(word, self.say(f"!help {word}"))
        self.assertNotIn("!db", self.say("!help"))

    def test_sections_of_the_prompt_are_shown_one_by_one(self) -> None:
        (self.folder / ".system_prompt").write_text("Be kind.\n[SECTIONS]\nstyle: how to write\n")
        (self.folder / ".system_prompt_style").write_text("Short.")
        self.assertEqual(self.say("!read_system_prompt"), "Be kind.\n\n## style: how to write\nShort.")
        for name in ("1", "STYLE"):
            self.assertEqual(self.say(f"!read_system_prompt {name}"), "## style: how to write\nShort.")
        self.assertIn("0 main text\n1 style", self.say("!read_system_prompt nonsense"))

    def test_sleep_waits_and_can_be_stopped(self) -> None:
        listener = self.listen("!sleep 5")
        self.assertIsNone(listener.end)
        self.house.clock.advance(5)
        self.assertEqual(listener.text, "Slept for 5 s.")
        listener = self.listen("!sleep 300")
        self.say("!stop")
        self.assertEqual(listener.text, "[stopped]")
        self.assertIn("Usage", self.say("!sleep 301"))


class DelegationTests(TurnCase):
    def setUp(self) -> None:
        self.clock = ScriptedTool("clock")
        self.house = self.make(ScriptedModel("main"), ScriptedModel("other"), tools=[self.clock])

    @property
    def other(self) -> ScriptedCall:
        return self.house.models[1].calls[-1]

    def test_model_may_ask_another_one_once_that_is_allowed(self) -> None:
        self.listen("hello")
        self.assertEqual([tool["name"] for tool in self.house.calls[0].request.tools], ["clock"])
        self.house.calls[0].answer("Hi.")
        self.assertEqual(
            self.listen("!llm_call other true", OPERATOR).text, "main: may not be asked\nother: may be asked"
        )
        self.listen("!autogate llm_call true", OPERATOR)
        listener = self.listen("ask it")
        self.house.calls[1].call_tools(("llm_call", '{"model": "other", "prompt": "2+2?"}'))
        self.assertEqual(self.other.prompt(), [("user", "2+2?")])
        self.other.answer("4")
        self.assertEqual(self.house.calls[-1].prompt()[-1], ("tool", "4"))
        self.house.calls[-1].answer("It says 4.")
        self.assertEqual(listener.text, "It says 4.")
        self.listen("!llm_call false", OPERATOR)
        self.assertIsNone(self.house.toolbox.get("llm_call"))

    def test_delegation_is_gated_limited_and_can_be_turned_off(self) -> None:
        self.listen("!llm_call other true", OPERATOR)
        self.listen("ask it")
        arguments = '{"model": "other", "prompt": "2+2?"}'
        self.house.calls[-1].call_tools(("llm_call", arguments))
        self.assertIn("refused", self.house.calls[-1].prompt()[-1][1])
        self.house.calls[-1].answer("No.")
        self.listen("!autogate llm_call true\n!limit_set max_at_llm_depth 0", OPERATOR)
        self.listen("ask it")
        self.house.calls[-1].call_tools(("llm_call", arguments))
        self.assertIn("limited to a depth of 0", self.house.calls[-1].prompt()[-1][1])
        self.house.calls[-1].call_tools(("llm_call", '{"model": "main", "prompt": "x"}'))
        self.assertIn("'main' is not one of ['other']", self.house.calls[-1].prompt()[-1][1])

    def test_clean_text_asks_with_nothing_else_and_gives_up_in_time(self) -> None:
        listener = self.listen("!llm_clean_text other say hi", OPERATOR)
        self.assertEqual([m.content for m in self.other.request.messages], ["say hi"])
        self.other.answer("hi")
        self.assertEqual(listener.text, "hi")
        self.assertIn("other: 7 seconds", self.listen("!llm_timeout other 7", OPERATOR).text)
        listener = self.listen("!llm_clean_text other say hi", OPERATOR)
        self.assertEqual((self.other.request.timeout, self.other.request.depth), (7, 1))
        self.house.clock.advance(7)
        self.assertIn("no answer within 7 seconds", listener.text)
        self.assertTrue(self.other.cancelled)
        listener = self.listen("!llm_clean_text other say hi", OPERATOR)
        self.other.fail(ModelError("down"))
        self.assertEqual(listener.text, "down")

    def test_time_limit_holds_for_the_models_own_turns_at_once(self) -> None:
        for seconds in (7, 700):
            self.listen(f"!llm_timeout main {seconds}", OPERATOR)
            self.listen("hello")
            self.assertEqual(self.house.calls[-1].request.timeout, seconds)
            self.house.calls[-1].answer("Hi.")

    def test_clean_tool_puts_a_result_into_words(self) -> None:
        listener = self.listen("!llm_clean_tool other clock UTC", OPERATOR)
        self.assertEqual(self.clock.calls, [{"zone": "UTC"}])
        self.assertIn("noon", self.other.prompt()[0][1])
        self.other.answer("It is noon.")
        self.assertEqual(listener.text, "It is noon.")
        self.assertIn("no tool 'nope'", self.listen("!llm_clean_tool other nope x", OPERATOR).text)

    def test_models_are_listed_in_detail(self) -> None:
        self.assertIn(
            "main: OPENAI, main-id, 1 tools, timeout 120 s", self.listen("!llm_list", OPERATOR).text
        )

    def test_nonsense_is_answered_with_the_usage(self) -> None:
        for text in ("!llm_call nope true", "!llm_call other", "!llm_timeout 0", "!llm_clean_text other"):
            self.assertIn("\nUsage: ", self.listen(text, OPERATOR).text)
