"""Commands: read out of a message, answered by the agent, never seen by a model or the history."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.commands.script import Invocation, Script, read
from tests.agent.test_turns import PHONE, TABLET, TurnCase
from tests.support import ScriptedModel


class ReadTests(SynchronousTestCase):
    def test_messages_are_taken_apart(self) -> None:
        table = {
            "hello": Script(prompt="hello"),
            "  !Help  ": Script(commands=(Invocation("help", ""),)),
            "!model gpt": Script(commands=(Invocation("model", "gpt"),)),
            "!note a\nb": Script(commands=(Invocation("note", "a\nb"),)),
            "hello\n!help": Script(prompt="hello\n!help"),
            "!model a\n!reset": Script(commands=(Invocation("model", "a"), Invocation("reset", ""))),
            "!model a\nhello\n!reset\nyou": Script(
                commands=(Invocation("model", "a"), Invocation("reset", "")), prompt="hello\nyou"
            ),
            "@gpt hello you": Script(prompt="hello you", model="gpt"),
            "@gpt\nhello": Script(prompt="hello", model="gpt"),
            "@gpt": Script(prompt="", model="gpt"),
            "@": Script(prompt="", model=""),
            "!": Script(commands=(Invocation("", ""),)),
            "": Script(),
        }
        for text, script in table.items():
            self.assertEqual(read(text), script, text)


class CommandTests(TurnCase):
    def setUp(self) -> None:
        self.house = self.make(ScriptedModel("main"), ScriptedModel("other"))

    def say(self, text: str) -> str:
        listener = self.listen(text)
        self.assertIsNotNone(listener.end)
        return listener.text

    def test_commands_reach_neither_model_nor_history(self) -> None:
        for text in ("!help", "!model", "!nonsense", "!model other\n!session", "!", "!!!"):
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

    def test_stop_ends_the_running_reply_well(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].say("half")
        self.assertEqual(self.say("!stop"), "Stopped.")
        self.assertEqual(listener.text, "half\n\n[stopped]")
        self.assertIsNotNone(listener.end)
        self.assertEqual(self.stored(), [("user", "hello"), ("assistant", "half")])

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
        self.assertIn("At least 1", self.say("!maxctx 0"))

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
