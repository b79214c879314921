"""Turns that outlive their connection: they go on, their answers wait, and no end of the server loses them."""

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.agent.turns.journal import UNKNOWN
from llamaproxy.seams.apps import FOREVER, Allowance
from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.interfaces import IReply
from llamaproxy.seams.types import Caller, ChatTurn
from tests.agent.turns.test_toolloop import ToolCase
from tests.agent.turns.test_turns import PHONE
from tests.support import Listener, ScriptedTool

DETACHED = replace(PHONE, allowance=Allowance(on_disconnect=FOREVER))
GRACE = replace(PHONE, allowance=Allowance(on_disconnect=30.0))


class JobCase(ToolCase):
    def begin(
        self, text: str = "what time is it", caller: Caller = DETACHED
    ) -> tuple[Deferred[IReply], list[IReply]]:
        """A message, and the reply's seat once there is one."""
        seats: list[IReply] = []
        waiting = self.house.agent.turn(caller, ChatTurn(text=text))
        waiting.addCallbacks(seats.append, lambda failure: None)
        return waiting, seats

    def leave(self, text: str = "what time is it", caller: Caller = DETACHED) -> None:
        """A message whose client leaves before it has heard anything."""
        waiting, _ = self.begin(text, caller)
        waiting.cancel()

    def say(self, text: str, caller: Caller = DETACHED) -> Listener:
        return self.listen(text, caller)

    def restart(self) -> None:
        """The process is gone without a word, and another one begins."""
        self.house.agent = self.house.new_agent()
        self.house.agent.start()
        self.addCleanup(self.house.agent._reaper.stop)


class DetachedTests(JobCase):
    def test_turn_goes_on_and_its_answer_is_told_with_the_next_message(self) -> None:
        self.leave()
        self.model.call_tools(("clock", "{}"))
        self.model.answer("It is noon.")
        listener = self.say("thanks")
        self.model.answer("Welcome.")
        self.assertEqual(
            listener.text,
            '[While you were away, your message "what time is it" was answered:]\n\nIt is noon.\n\n'
            "[And now to your message:]\n\nWelcome.",
        )
        self.assertEqual(
            [(m.role, m.content) for m in self.history()][-2:],
            [("user", "thanks"), ("assistant", "Welcome.")],
        )
        again = self.say("and now")
        self.model.answer("Now.")
        self.assertEqual(again.text, "Now.")

    def test_client_that_leaves_in_the_middle_of_the_answer_hears_all_of_it_later(self) -> None:
        listener = Listener()
        _, seats = self.begin()
        self.model.say("It is")
        seats[0].deliverTo(listener)
        seats[0].stopProducing()
        self.assertFalse(self.model.paused)
        self.model.say(" noon.")
        self.model.finish()
        self.assertIn("It is noon.", self.say("thanks").text)

    def test_same_message_once_more_is_given_the_answer(self) -> None:
        self.leave()
        self.model.answer("It is noon.")
        self.assertEqual(self.say("what time is it").text, "It is noon.")
        self.assertEqual(len(self.house.calls), 1)

    def test_next_message_is_told_that_the_turn_still_runs_and_waits_for_it(self) -> None:
        self.leave()
        self.model.call_tools(("clock", "{}"))
        self.house.clock.advance(40)
        listener = self.say("hello")
        self.assertIn('[Job 1 still runs: "what time is it", 1 round of tools in 40 s.', listener.text)
        self.model.answer("It is noon.")
        self.assertIn("It is noon.", listener.text)
        self.model.answer("Hello.")
        self.assertTrue(listener.text.endswith("[And now to your message:]\n\nHello."))

    def test_failure_is_told(self) -> None:
        self.leave()
        self.model.fail(ModelError("the model is gone"))
        self.assertIn("[error: the model is gone]", self.say("hello").text)

    def test_answer_that_was_heard_is_not_told_again(self) -> None:
        self.say("what time is it")
        self.model.answer("It is noon.")
        listener = self.say("thanks")
        self.model.answer("Welcome.")
        self.assertEqual(listener.text, "Welcome.")

    def test_resume_shows_the_reply_from_its_beginning_and_then_live(self) -> None:
        self.leave()
        self.model.say("It is")
        listener = self.say("!resume")
        self.assertEqual(listener.text, "It is")
        self.model.say(" noon.")
        self.model.finish()
        self.assertEqual(listener.text, "It is noon.")
        self.assertIsNotNone(listener.end)
        after = self.say("thanks")
        self.model.answer("Welcome.")
        self.assertEqual(after.text, "Welcome.")

    def test_who_leaves_the_resumed_reply_ends_nothing(self) -> None:
        self.leave()
        self.model.say("It is")
        _, seats = self.begin("!resume")
        seats[0].deliverTo(Listener())
        seats[0].stopProducing()
        self.assertFalse(self.model.cancelled)
        self.model.answer(" noon.")
        self.assertIn("It is noon.", self.say("hello").text)

    def test_stop_ends_it_and_nothing_is_told(self) -> None:
        for command in ("!stop", "!stop 1"):
            self.setUp()
            self.leave()
            self.say(command)
            self.assertTrue(self.model.cancelled)
            listener = self.say("hello")
            self.model.answer("Hello.")
            self.assertEqual(listener.text, "Hello.")

    def test_grace_is_as_long_as_it_says(self) -> None:
        self.leave(caller=GRACE)
        self.house.clock.advance(29)
        self.assertFalse(self.model.cancelled)
        self.house.clock.advance(1)
        self.assertTrue(self.model.cancelled)

    def test_closing_means_stop_unless_the_operator_or_the_user_says_otherwise(self) -> None:
        self.leave(caller=PHONE)
        self.assertTrue(self.model.cancelled)
        self.listen("!detach on")
        self.leave("again", PHONE)
        self.assertFalse(self.model.cancelled)
        self.model.answer("Done.")
        self.listen("!resume")
        self.listen("!detach off")
        self.leave("and again", PHONE)
        self.assertTrue(self.model.cancelled)


class NotifiedTests(JobCase):
    def setUp(self) -> None:
        super().setUp()
        self.told: list[tuple[str, str, bool]] = []
        self.house.agent.parts.desk._meanwhile._notifier = self  # type: ignore[assignment]

    def notify(self, address: str, words: str, asks: bool) -> None:
        self.told.append((address, words, asks))

    def test_owner_is_told_of_what_ended_unheard(self) -> None:
        caller = replace(PHONE, allowance=Allowance(on_disconnect=FOREVER, notify="https://ntfy/mine"))
        self.say("what time is it", caller)
        self.model.answer("Noon.")
        self.assertEqual(self.told, [])
        self.leave("and now", caller)
        self.model.answer("Later.")
        self.assertEqual(self.told, [("https://ntfy/mine", "and now", False)])


class BackgroundTests(JobCase):
    def test_background_turn_begins_at_once_and_has_a_number(self) -> None:
        self.assertIn("Job 1 begins", self.listen("!bg count the stars").text)
        self.assertEqual(self.model.prompt(), [("user", "count the stars")])
        self.assertIn("1 runs, 0 rounds of tools in 0 s: count the stars", self.listen("!jobs").text)
        self.model.answer("Many.")
        self.assertIn("1 has its answer: count the stars", self.listen("!jobs").text)
        self.assertEqual(self.listen("!resume 1").text, "Many.")
        self.assertIn("no jobs", self.listen("!jobs").text)

    def test_jobs_run_one_after_another(self) -> None:
        self.listen("!bg one")
        self.listen("!bg two")
        self.assertIn("2 waits: two", self.listen("!jobs").text)
        self.model.answer("1")
        self.assertEqual(self.model.prompt()[-1], ("user", "two"))

    def test_one_that_is_stopped_while_it_waits_is_forgotten(self) -> None:
        self.listen("!bg one")
        self.listen("!bg two")
        self.assertIn("stopped", self.listen("!stop 2").text)
        self.model.answer("1")
        self.assertNotIn("two", self.listen("!jobs").text)
        self.restart()
        self.assertEqual(len(self.house.calls), 1)

    def test_it_needs_a_message(self) -> None:
        self.assertIn("Usage: !bg", self.listen("!bg").text)

    def test_unknown_number(self) -> None:
        self.assertIn("no such job", self.listen("!resume 7").text)
        self.assertIn("does not run", self.listen("!stop 7").text)


class CrashTests(JobCase):
    def test_detached_turn_goes_on_by_itself_from_its_finished_rounds(self) -> None:
        self.leave()
        self.model.call_tools(("clock", "{}"))
        self.restart()
        self.assertEqual(self.results(), ["noon"])
        self.assertEqual(len(self.tools[0].calls), 1)
        self.model.answer("It is noon.")
        self.assertIn("It is noon.", self.say("hello").text)

    def test_detached_turn_without_a_round_begins_anew(self) -> None:
        self.say("what time is it")
        self.restart()
        self.assertEqual(self.model.prompt(), [("user", "what time is it")])
        self.model.answer("Noon.")
        self.assertIn("Noon.", self.say("hello").text)

    def test_background_job_that_waited_is_not_lost(self) -> None:
        self.listen("!bg one")
        self.listen("!bg two")
        self.restart()
        self.model.answer("1")
        self.model.answer("2")
        told = self.listen("hello").text
        self.assertLess(told.index("\n1\n"), told.index("\n2\n"))

    def test_answer_that_waits_outlives_the_server(self) -> None:
        self.leave()
        self.model.answer("It is noon.")
        self.restart()
        self.assertIn("It is noon.", self.say("hello").text)

    def test_turn_that_an_orderly_end_cut_off_goes_on_as_well(self) -> None:
        self.leave()
        self.model.call_tools(("clock", "{}"))
        self.model.say("It")
        self.house.close()
        self.restart()
        self.assertEqual(self.results(), ["noon"])
        self.assertEqual(len(self.tools[0].calls), 1)

    def test_call_whose_end_nobody_knows_is_not_made_again(self) -> None:
        self.use(ScriptedTool(held=True))
        self.leave()
        self.model.call_tools(("clock", "{}"))
        self.restart()
        self.assertEqual((self.results(), len(self.tools[0].calls)), ([UNKNOWN], 1))

    def test_in_ask_mode_the_user_is_asked_about_it(self) -> None:
        self.use(ScriptedTool(held=True), limits=Limits(gate_mode="ask"))
        self.leave()
        self.model.call_tools(("clock", "{}"))
        self.restart()
        told = self.say("hello").text
        self.assertIn("may be done already", told)
        code = told.split("!yes ")[1][:4]
        self.say(f"!yes {code}")
        self.tools[0].running[-1].callback("noon")
        self.assertEqual((self.results(), len(self.tools[0].calls)), (["noon"], 2))

    def test_message_that_comes_again_takes_over_what_was_done(self) -> None:
        self.listen("what time is it")
        self.model.call_tools(("clock", "{}"))
        self.restart()
        self.listen("what time is it")
        self.assertEqual((self.results(), len(self.tools[0].calls)), (["noon"], 1))
        self.model.answer("It is noon.")
        roles = [message.role for message in self.history()]
        self.assertEqual(roles, ["user", "assistant", "tool", "assistant"])

    def test_another_message_finds_the_turn_closed(self) -> None:
        self.use(ScriptedTool(held=True))
        self.listen("what time is it")
        self.model.call_tools(("clock", "{}"))
        self.restart()
        self.listen("hello")
        self.assertEqual(
            self.model.prompt(),
            [
                ("user", "what time is it"),
                ("assistant", ""),
                ("tool", UNKNOWN),
                ("assistant", "[no answer]"),
                ("user", "hello"),
            ],
        )
