"""The agent's turns: what reaches the model, what reaches the history, and what the user hears."""

from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.errors import Busy, ContextTooLong, ModelError, ModelUnavailable, Stopping, StoreError
from llamaproxy.seams.interfaces import IReply
from llamaproxy.seams.types import Caller, ChatTurn, Image, Message, Reasoning, Text, Usage
from tests.support import House, Listener, ScriptedModel

PHONE = Caller(session_id="llama-192.168.1.20", address="192.168.1.20")
TABLET = Caller(session_id="llama-192.168.1.21", address="192.168.1.21")
# The one who runs the server, in the phone's session.
OPERATOR = Caller(session_id=PHONE.session_id, address=PHONE.address, owner=True)


class TurnCase(SynchronousTestCase):
    """Sends messages to an agent over scripted models."""

    def setUp(self) -> None:
        self.house = self.make()

    def make(self, *models: ScriptedModel, **more: Any) -> House:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        house = House(*models, folder=self.folder, **more)
        self.addCleanup(house.close)
        return house

    def turn(self, text: str, caller: Caller = PHONE, images: tuple[Image, ...] = ()) -> Deferred[IReply]:
        return self.house.agent.turn(caller, ChatTurn(text=text, images=images))

    def listen(self, text: str, caller: Caller = PHONE, images: tuple[Image, ...] = ()) -> Listener:
        """Delivers the reply into a listener as soon as there is one."""
        listener = Listener()
        waiting = self.turn(text, caller, images)
        waiting.addCallbacks(
            lambda reply: reply.deliverTo(listener), lambda failure: setattr(listener, "error", failure.value)
        )
        return listener

    def answered(self, text: str, answer: str, caller: Caller = PHONE) -> Listener:
        """A whole turn in which the model gives `answer`."""
        listener = self.listen(text, caller)
        self.house.calls[-1].say(answer)
        self.house.calls[-1].finish()
        return listener

    def stored(self, caller: Caller = PHONE) -> list[tuple[str, str]]:
        return [(m.role, m.content) for m in self.house.store.messages.get(caller.session_id, [])]


class TurnTests(TurnCase):
    def test_reply_is_delivered_token_by_token_and_ends_with_the_models_counts(self) -> None:
        listener = self.listen("hello")
        call = self.house.calls[0]
        call.say("Hi")
        self.assertEqual(listener.text, "Hi")
        call.say(" there")
        call.finish(usage=Usage(7, 2), finish_reason="length")
        assert listener.end is not None
        self.assertEqual(
            (listener.text, listener.end.usage, listener.end.finish_reason),
            ("Hi there", Usage(7, 2), "length"),
        )

    def test_model_gets_the_system_prompt_and_the_sessions_history(self) -> None:
        (self.folder / ".system_prompt").write_text("Be a pirate.")
        self.answered("hello", "ahoy")
        self.listen("again")
        messages = self.house.calls[1].request.messages
        self.assertEqual(messages[0], Message(role="system", content="Be a pirate."))
        self.assertEqual(
            self.house.calls[1].prompt(), [("user", "hello"), ("assistant", "ahoy"), ("user", "again")]
        )

    def test_sessions_do_not_see_each_other(self) -> None:
        self.answered("hello", "ahoy")
        self.listen("who am I", TABLET)
        self.assertEqual(self.house.calls[1].prompt(), [("user", "who am I")])

    def test_history_and_model_survive_a_restart(self) -> None:
        self.house = self.make(ScriptedModel("main"), ScriptedModel("other"))
        self.answered("hello", "ahoy")
        self.listen("!model other")
        self.house.agent = self.house.new_agent()
        self.listen("again")
        call = self.house.models[1].calls[0]
        self.assertEqual(call.prompt(), [("user", "hello"), ("assistant", "ahoy"), ("user", "again")])

    def test_reply_ends_only_after_the_turn_is_committed(self) -> None:
        self.house.store.held = True
        listener = self.answered("hello", "ahoy")
        self.assertIsNone(listener.end)
        self.assertEqual(self.stored(), [])
        self.house.store.release()
        self.assertIsNotNone(listener.end)
        self.assertEqual(self.stored(), [("user", "hello"), ("assistant", "ahoy")])

    def test_turn_that_cannot_be_saved_ends_with_an_error(self) -> None:
        self.house.store.failure = StoreError("the disk is full")
        listener = self.answered("hello", "ahoy")
        self.assertIsNone(listener.end)
        self.assertEqual(str(listener.error), "the disk is full")

    def test_failure_before_the_first_token_fails_the_turn_and_leaves_no_trace(self) -> None:
        waiting = self.turn("hello")
        self.house.calls[0].fail(ModelUnavailable("down"))
        self.failureResultOf(waiting, ModelUnavailable)
        self.assertEqual(self.stored(), [])
        self.listen("again")
        self.assertEqual(self.house.calls[1].prompt(), [("user", "again")])

    def test_failure_in_the_middle_keeps_what_was_said_as_interrupted(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].say("aho")
        self.house.calls[0].fail(ModelError("cut"))
        self.assertEqual((listener.text, str(listener.error)), ("aho", "cut"))
        answer = self.house.store.messages[PHONE.session_id][-1]
        self.assertEqual((answer.content, answer.interrupted), ("aho", True))

    def test_empty_answer_is_explained_and_leaves_no_trace(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].finish()
        self.assertIn("no answer", listener.text)
        self.assertIsNotNone(listener.end)
        self.assertEqual(self.stored(), [])

    def test_reasoning_is_delivered_but_not_remembered(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].send([Reasoning("hmm"), Text("ahoy")])
        self.house.calls[0].finish()
        self.assertEqual(listener.events, [Reasoning("hmm"), Text("ahoy")])
        self.assertEqual(self.stored()[-1], ("assistant", "ahoy"))

    def test_emoji_that_comes_in_halves_is_put_together(self) -> None:
        for pieces, whole in (
            (["a\ud83d", "\ude00b"], ["a", "😀b"]),
            (["\ud83d", "", "\ude00"], ["😀"]),
            (["a\ud83d", "b"], ["a", "\ufffdb"]),
            (["\ude00 \ud83d!"], ["\ufffd \ufffd!"]),
            (["a\ud83d"], ["a", "\ufffd"]),
            (["\ud83d\ud83d", "\ude00"], ["\ufffd", "😀"]),
        ):
            for together in (False, True):
                listener = self.listen("hello")
                deltas = [Text(piece) for piece in pieces]
                for segment in [deltas] if together else [[delta] for delta in deltas]:
                    self.house.calls[-1].send(segment)
                self.house.calls[-1].finish()
                self.assertEqual([event.text for event in listener.events], whole)
                self.assertEqual(self.stored()[-1], ("assistant", "".join(whole)))

    def test_half_of_a_thought_is_not_put_together_with_half_of_a_word(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].send([Reasoning("hm\ud83d"), Text("\ude00 ahoy")])
        self.house.calls[0].finish()
        self.assertEqual(listener.events, [Reasoning("hm"), Reasoning("\ufffd"), Text("\ufffd ahoy")])

    def test_half_of_an_emoji_waits_without_a_frame_and_does_not_outlive_a_failure(self) -> None:
        listener = self.listen("hello")
        self.house.calls[0].say("\ud83d")
        self.assertEqual(listener.events, [])
        self.house.calls[0].fail(ModelError("cut"))
        self.assertEqual((listener.text, str(listener.error)), ("\ufffd", "cut"))

    def test_unforeseen_failure_is_logged_and_told_without_details(self) -> None:
        waiting = self.turn("hello")
        self.house.calls[0].fail(ZeroDivisionError("secret"))
        failure = self.failureResultOf(waiting)
        self.assertNotIn("secret", str(failure.value))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_durations_are_those_of_the_clock(self) -> None:
        listener = self.listen("hello")
        self.house.clock.advance(2)
        self.house.calls[0].say("a")
        self.house.clock.advance(3)
        self.house.calls[0].say("b")
        self.house.calls[0].finish(load_seconds=0.5)
        end = listener.end
        assert end is not None
        self.assertEqual(
            (end.total_duration, end.load_duration, end.prompt_eval_duration, end.eval_duration),
            (5_000_000_000, 500_000_000, 1_500_000_000, 3_000_000_000),
        )

    def test_counts_are_estimated_when_the_provider_reports_none(self) -> None:
        listener = self.answered("hello", "ahoy")
        assert listener.end is not None
        self.assertGreater(listener.end.usage.prompt_tokens, 0)
        self.assertEqual(listener.end.usage.completion_tokens, 1)


class FlowTests(TurnCase):
    def test_paused_consumer_pauses_the_model_and_resumes_it(self) -> None:
        reply = self.successResultOf(self.turn_with_first_token())
        reply.deliverTo(Listener())
        reply.pauseProducing()
        self.assertTrue(self.house.calls[0].paused)
        reply.resumeProducing()
        self.assertFalse(self.house.calls[0].paused)

    def test_model_is_held_until_somebody_takes_the_reply(self) -> None:
        reply = self.successResultOf(self.turn_with_first_token())
        self.assertTrue(self.house.calls[0].paused)
        listener = Listener()
        reply.deliverTo(listener)
        self.assertFalse(self.house.calls[0].paused)
        self.assertEqual(listener.text, "first")

    def test_client_that_leaves_stops_the_model_and_keeps_what_was_said(self) -> None:
        reply = self.successResultOf(self.turn_with_first_token())
        reply.deliverTo(Listener())
        reply.stopProducing()
        self.assertTrue(self.house.calls[0].cancelled)
        answer = self.house.store.messages[PHONE.session_id][-1]
        self.assertEqual((answer.content, answer.interrupted), ("first", True))

    def test_client_that_leaves_before_the_first_token_leaves_no_trace(self) -> None:
        waiting = self.turn("hello")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertTrue(self.house.calls[0].cancelled)
        self.assertEqual(self.stored(), [])

    def test_client_that_leaves_during_the_commit_does_not_undo_it(self) -> None:
        self.house.store.held = True
        reply = self.successResultOf(self.turn_with_first_token())
        reply.deliverTo(Listener())
        self.house.calls[0].finish()
        reply.stopProducing()
        self.house.store.release()
        self.answered("again", "yes")
        self.assertEqual(self.house.calls[1].prompt()[0], ("user", "hello"))
        self.assertFalse(self.house.store.messages[PHONE.session_id][1].interrupted)

    def turn_with_first_token(self) -> Deferred[IReply]:
        waiting = self.turn("hello")
        self.house.calls[0].say("first")
        return waiting


class QueueTests(TurnCase):
    def test_second_message_of_a_session_waits_for_the_first(self) -> None:
        first, second = self.listen("one"), self.listen("two")
        self.assertEqual(len(self.house.calls), 1)
        self.house.calls[0].say("1")
        self.house.calls[0].finish()
        self.assertEqual(self.house.calls[1].prompt(), [("user", "one"), ("assistant", "1"), ("user", "two")])
        self.house.calls[1].say("2")
        self.house.calls[1].finish()
        self.assertEqual((first.text, second.text), ("1", "2"))

    def test_other_sessions_do_not_wait(self) -> None:
        self.listen("one")
        self.listen("two", TABLET)
        self.assertEqual(len(self.house.calls), 2)

    def test_ninth_waiting_message_is_refused(self) -> None:
        waiting = [self.turn(str(number)) for number in range(10)]
        refusal = self.failureResultOf(waiting[9], Busy)
        self.assertEqual((refusal.value.status, refusal.value.retry_after), (429, 5))
        for each in waiting[:9]:
            self.assertNoResult(each)

    def test_client_that_leaves_the_queue_makes_room(self) -> None:
        waiting = [self.turn(str(number)) for number in range(9)]
        waiting[4].cancel()
        self.failureResultOf(waiting[4], CancelledError)
        self.assertNoResult(self.turn("late"))
        self.house.calls[0].say("0")
        self.house.calls[0].finish()
        self.assertEqual(self.house.calls[1].prompt()[-1], ("user", "1"))

    def test_commands_that_only_look_do_not_wait(self) -> None:
        self.listen("one")
        self.assertIn("!reset", self.listen("!help").text)

    def test_reset_waits_for_its_turn(self) -> None:
        self.listen("one")
        reset = self.listen("!reset")
        self.assertEqual(reset.text, "")
        self.house.calls[0].say("1")
        self.house.calls[0].finish()
        self.assertEqual(reset.text, "Forgotten: 2 messages.")

    def test_stopping_agent_ends_running_turns_and_takes_no_new_ones(self) -> None:
        self.listen("one")
        self.turn("waits").addErrback(lambda _: None)
        self.house.calls[0].say("half")
        self.successResultOf(Deferred.fromCoroutine(self.house.agent.stop()))
        self.assertTrue(self.house.store.messages[PHONE.session_id][-1].interrupted)
        self.assertEqual(len(self.house.calls), 1)
        self.failureResultOf(self.turn("two"), Stopping)


class WindowTests(TurnCase):
    def test_window_is_bounded_by_messages(self) -> None:
        self.house = self.make(limits=Limits(history_max_ctx=4))
        for number in range(5):
            self.answered(f"q{number}", f"a{number}")
        self.listen("last")
        self.assertEqual(
            self.house.calls[-1].prompt(), [("user", "q4"), ("assistant", "a4"), ("user", "last")]
        )

    def test_window_is_bounded_by_the_models_context(self) -> None:
        self.house = self.make(ScriptedModel(context_length=400))
        for number in range(5):
            self.answered(f"q{number} " + "x" * 300, f"a{number}")
        self.listen("last")
        prompt = self.house.calls[-1].prompt()
        self.assertLess(len(prompt), 7)
        self.assertEqual((prompt[0][0], prompt[-1]), ("user", ("user", "last")))

    def test_refusal_for_length_trims_and_tries_once_more(self) -> None:
        for number in range(5):
            self.answered(f"q{number}", f"a{number}" * 100)
        listener = self.listen("last")
        self.house.calls[-1].fail(ContextTooLong("too long", prompt_tokens=2000, context_length=1000))
        prompt = self.house.calls[-1].prompt()
        self.assertTrue(1 < len(prompt) < 11)
        self.assertEqual(prompt[-1], ("user", "last"))
        self.house.calls[-1].say("fine")
        self.house.calls[-1].finish()
        self.assertEqual(listener.text, "fine")
        self.assertEqual(len(self.stored()), 12)

    def test_refusal_without_numbers_tries_the_message_alone(self) -> None:
        self.answered("one", "1")
        self.listen("two")
        self.house.calls[-1].fail(ContextTooLong("too long"))
        self.assertEqual(self.house.calls[-1].prompt(), [("user", "two")])

    def test_limit_without_a_count_is_enough_to_trim_by(self) -> None:
        for number in range(5):
            self.answered(f"q{number}", f"a{number}" * 100)
        self.listen("last")
        before = len(self.house.calls[-1].prompt())
        self.house.calls[-1].fail(ContextTooLong("too long", context_length=400))
        prompt = self.house.calls[-1].prompt()
        self.assertLess(1, len(prompt))
        self.assertLess(len(prompt), before)
        self.assertEqual(prompt[-1], ("user", "last"))

    def test_message_that_is_too_long_by_itself_fails_with_the_models_words(self) -> None:
        waiting = self.turn("long")
        self.house.calls[0].fail(ContextTooLong("too long for main"))
        self.assertEqual(str(self.failureResultOf(waiting, ContextTooLong).value), "too long for main")
        self.assertEqual(len(self.house.calls), 1)


class PictureTests(TurnCase):
    def test_picture_goes_to_a_model_that_takes_it(self) -> None:
        self.house = self.make(ScriptedModel(vision=True))
        self.listen("what is this", images=(Image("QUJD"),))
        self.assertEqual(self.house.calls[0].request.messages[-1].images, (Image("QUJD"),))

    def test_picture_is_refused_in_words_by_a_model_that_cannot_see(self) -> None:
        listener = self.listen("what is this", images=(Image("QUJD"),))
        self.assertIn("cannot see pictures", listener.text)
        self.assertEqual(self.house.calls, [])

    def test_only_the_newest_picture_stays_in_the_prompt(self) -> None:
        self.house = self.make(ScriptedModel(vision=True))
        for number in range(2):
            self.listen(f"what is this {number}", images=(Image(f"QUJ{number}"),))
            self.house.calls[-1].say("a cat")
            self.house.calls[-1].finish()
        self.listen("and its colour?")
        messages = self.house.calls[-1].request.messages
        self.assertEqual(
            [message.images for message in messages if message.role == "user"], [(), (Image("QUJ1"),), ()]
        )
        self.assertIn("[picture]", messages[1].content)

    def test_model_that_cannot_see_is_not_shown_what_another_one_saw(self) -> None:
        self.house = self.make(ScriptedModel(vision=True), ScriptedModel("blind"))
        self.listen("what is this", images=(Image("QUJD"),))
        self.house.calls[0].answer("a cat")
        self.listen("!model blind")
        self.listen("and its colour?")
        messages = self.house.models[1].calls[0].request.messages
        self.assertEqual([message.images for message in messages], [()] * len(messages))
        self.assertEqual(messages[1].content, "what is this\n[picture]")


class SessionTests(TurnCase):
    def test_new_session_over_the_limit_gets_an_answer_and_no_session(self) -> None:
        self.house = self.make(limits=Limits(max_users=1))
        # Whoever rests would give way.
        self.listen("hello")
        listener = self.listen("hello", TABLET)
        self.assertIn("as many as the operator allows", listener.text)
        self.assertIsNotNone(listener.end)
        self.assertEqual(len(self.house.agent.parts.sessions), 1)

    def test_idle_session_is_put_away_and_comes_back_with_its_history(self) -> None:
        self.house.agent.start()
        self.answered("hello", "ahoy")
        self.house.clock.pump([60.0] * 62)
        self.assertEqual(len(self.house.agent.parts.sessions), 0)
        self.listen("again")
        self.assertEqual(self.house.calls[-1].prompt()[0], ("user", "hello"))

    def test_idle_sessions_are_put_away_after_a_failure_to_do_so(self) -> None:
        self.house.agent.start()
        self.answered("hello", "ahoy")
        self.house.limits.session_idle_minutes = 10**400
        self.house.clock.pump([60.0] * 2)
        self.assertEqual(len(self.flushLoggedErrors(OverflowError)), 2)
        self.house.limits.session_idle_minutes = 1
        self.house.clock.pump([60.0] * 2)
        self.assertEqual(len(self.house.agent.parts.sessions), 0)

    def test_session_that_only_ran_commands_is_not_put_away_early(self) -> None:
        self.house.agent.start()
        self.answered("hello", "ahoy")
        for _ in range(3):
            self.house.clock.pump([60.0] * 40)
            self.listen("!help")
        self.assertEqual(len(self.house.agent.parts.sessions), 1)

    def test_raised_limit_brings_the_older_messages_back(self) -> None:
        for number in range(4):
            self.answered(f"q{number}", f"a{number}")
        self.listen("!maxctx 4", OPERATOR)
        self.answered("q4", "a4")
        self.listen("!maxctx 200", OPERATOR)
        self.listen("q5")
        texts = [text for number in range(5) for text in (f"q{number}", f"a{number}")]
        self.assertEqual([content for _, content in self.house.calls[-1].prompt()], [*texts, "q5"])

    def test_session_with_a_running_turn_is_not_put_away(self) -> None:
        self.house.agent.start()
        self.listen("hello")
        self.house.clock.pump([60.0] * 100)
        self.assertEqual(len(self.house.agent.parts.sessions), 1)

    def test_model_that_is_gone_falls_back_to_the_default_and_says_so(self) -> None:
        self.house.store.save_settings(PHONE.session_id, "gone", {})
        listener = self.listen("hello")
        self.house.calls[0].say("ahoy")
        self.house.calls[0].finish()
        self.assertIn("model 'gone' is not available", listener.text)
        self.assertEqual(self.stored()[-1], ("assistant", "ahoy"))
