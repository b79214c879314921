"""The rounds of a turn: what the model is asked, what runs, what the user sees, and what the history holds."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError

from llamaproxy.agent.calls.runner import RESULT_LIMIT
from llamaproxy.agent.calls.toolbox import Toolbox
from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.agent.turns.exchange import INTERRUPTED
from llamaproxy.agent.turns.toolloop import CALLS_AT_ONCE, CUT, REPEATED, TOO_MANY
from llamaproxy.seams.errors import ContextTooLong, ModelError, ToolError
from llamaproxy.seams.limits import Rate
from llamaproxy.seams.types import Image, Message, ToolAnswer, ToolCall, Usage
from tests.agent.turns.test_turns import PHONE, TurnCase
from tests.support import Listener, ScriptedCall, ScriptedModel, ScriptedTool


class ToolCase(TurnCase):
    """An agent with tools; `clock` answers at once unless a test replaces it."""

    def setUp(self) -> None:
        self.use(ScriptedTool())

    def use(self, *tools: ScriptedTool, **more: Any) -> None:
        self.tools = tools
        self.house = self.make(*more.pop("models", ()), tools=tools, **more)

    @property
    def model(self) -> ScriptedCall:
        """The model's newest call."""
        return self.house.calls[-1]

    def results(self) -> list[str]:
        """The tool results in the model's newest prompt."""
        return [content for role, content in self.model.prompt() if role == "tool"]

    def history(self) -> list[Message]:
        return self.house.store.messages.get(PHONE.session_id, [])

    def after(self, *calls: tuple[str, str], text: str = "what time is it") -> Listener:
        """A turn whose first answer is these calls."""
        listener = self.listen(text)
        self.model.call_tools(*calls)
        return listener


class RoundTests(ToolCase):
    def test_model_is_offered_the_tools_and_gets_their_results(self) -> None:
        listener = self.after(("clock", '{"zone": "UTC"}'))
        self.assertEqual([tool["name"] for tool in self.house.calls[0].request.tools], ["clock"])
        self.assertEqual(self.tools[0].calls, [{"zone": "UTC"}])
        self.assertEqual(
            self.model.prompt(), [("user", "what time is it"), ("assistant", ""), ("tool", "noon")]
        )
        self.model.answer("It is noon.")
        self.assertEqual(listener.text, "It is noon.")
        self.assertIsNotNone(listener.end)

    def test_history_holds_the_whole_round_and_the_next_turn_sees_it(self) -> None:
        self.after(("clock", "{}"))
        self.model.answer("It is noon.")
        roles = [(m.role, m.content, len(m.tool_calls), m.tool_call_id) for m in self.history()]
        self.assertEqual(
            roles,
            [
                ("user", "what time is it", 0, None),
                ("assistant", "", 1, None),
                ("tool", "noon", 0, "call_0"),
                ("assistant", "It is noon.", 0, None),
            ],
        )
        self.listen("thanks")
        self.assertEqual(len(self.model.prompt()), 5)

    def test_calls_of_a_round_run_at_the_same_time(self) -> None:
        self.use(ScriptedTool("one", held=True), ScriptedTool("two", held=True))
        self.after(("one", "{}"), ("two", "{}"))
        one, two = self.tools
        self.assertEqual((len(one.running), len(two.running)), (1, 1))
        two.running[0].callback("2")
        self.assertEqual(len(self.house.calls), 1)
        one.running[0].callback("1")
        self.assertEqual(self.results(), ["1", "2"])

    def test_words_before_a_call_are_shown_and_kept_with_it(self) -> None:
        listener = self.listen("time?")
        self.model.say("Let me look.")
        self.model.call_tools(("clock", "{}"))
        self.model.answer("Noon.")
        self.assertEqual(listener.text, "Let me look.\n\nNoon.")
        self.assertEqual([m.content for m in self.history()], ["time?", "Let me look.", "noon", "Noon."])

    def test_call_written_as_text_is_run_and_not_shown(self) -> None:
        listener = self.listen("time?")
        self.model.answer('<tool_call>{"name": "clock", "arguments": {}}</tool_call>')
        self.assertEqual(self.results(), ["noon"])
        self.model.answer("Noon.")
        self.assertEqual(listener.text, "Noon.")

    def test_values_of_a_call_in_tags_become_what_the_tool_takes(self) -> None:
        number = {"type": "object", "properties": {"offset": {"type": "integer"}, "dry": {"type": "boolean"}}}
        self.use(ScriptedTool(parameters=number))
        self.listen("go")
        self.model.answer(
            "<tool_call><function=clock><parameter=offset>2</parameter>"
            "<parameter=dry>true</parameter></function></tool_call>"
        )
        self.assertEqual(self.tools[0].calls, [{"offset": 2, "dry": True}])

    def test_written_calls_are_text_where_the_server_tells_calls_from_text(self) -> None:
        written = '<tool_call>{"name": "clock", "arguments": {"zone": "x"}}</tool_call>'
        listener = self.listen("time?")
        self.model.say(f"Like {written}")
        self.model.call_tools(("clock", "{}"))
        self.model.answer("Noon.")
        self.assertEqual(len(self.tools[0].calls), 1)
        self.assertIn(written, listener.text)
        self.use(ScriptedTool(), models=[ScriptedModel(tells_calls=True)])
        listener = self.listen("time?")
        self.model.answer(written)
        self.assertEqual((listener.text, self.tools[0].calls), (written, []))

    def test_json_that_calls_no_tool_is_the_answer(self) -> None:
        listener = self.listen("json please")
        self.model.answer('{"name": "Anna"}')
        self.assertEqual(listener.text, '{"name": "Anna"}')
        self.assertEqual(self.stored()[-1], ("assistant", '{"name": "Anna"}'))

    def test_counts_are_summed_over_the_rounds(self) -> None:
        listener = self.listen("time?")
        self.house.clock.advance(1)
        self.model.say("a")
        self.model.call_tools(("clock", "{}"))
        self.house.clock.advance(2)
        self.model.answer("Noon.", usage=Usage(10, 5))
        assert listener.end is not None
        self.assertGreater(listener.end.usage.prompt_tokens, 10)
        self.assertEqual(listener.end.usage.completion_tokens, 6)
        self.assertEqual(listener.end.prompt_eval_duration, 3_000_000_000)

    def test_model_without_tools_is_offered_none(self) -> None:
        self.house.toolbox = Toolbox(self.tools, {"main": ()})
        self.house.agent = self.house.new_agent()
        self.listen("time?")
        self.assertEqual(self.model.request.tools, [])

    def test_model_is_offered_the_tools_that_its_entry_names_by_tool_or_category(self) -> None:
        tools = (
            ScriptedTool("a", "search"),
            ScriptedTool("b", "search"),
            ScriptedTool("c", "db"),
            ScriptedTool("d"),
        )
        offered = Toolbox(tools, {"main": ("search", "d")}).offered("main")
        self.assertEqual(list(offered), ["a", "b", "d"])
        self.assertEqual(list(Toolbox(tools, {"main": ("*",)}).offered("main")), ["a", "b", "c", "d"])

    def test_tool_knows_its_caller(self) -> None:
        self.after(("clock", "{}"))
        context = self.tools[0].contexts[0]
        self.assertEqual(
            (context.session_id, context.address, context.reactor),
            (PHONE.session_id, PHONE.address, self.house.clock),
        )


class EndTests(ToolCase):
    """However the tools fare, there is one last answer."""

    def test_same_call_twice_running_ends_the_use_of_tools(self) -> None:
        listener = self.after(("clock", "{}"))
        self.model.call_tools(("clock", "{}"))
        self.assertEqual(len(self.tools[0].calls), 1)
        self.assertEqual((self.results(), self.model.request.tools), (["noon", REPEATED], []))
        self.model.answer("Noon.")
        self.assertEqual(listener.text, "Noon.")

    def test_same_call_after_another_one_is_run(self) -> None:
        self.after(("clock", "{}"))
        self.model.call_tools(("clock", '{"zone": "UTC"}'))
        self.model.call_tools(("clock", "{}"))
        self.assertEqual(len(self.tools[0].calls), 3)

    def test_tools_end_after_ten_rounds(self) -> None:
        listener = self.listen("time?")
        for number in range(10):
            self.assertNotEqual(self.model.request.tools, [])
            self.model.call_tools(("clock", f'{{"zone": "{number}"}}'))
        self.assertEqual(self.model.request.tools, [])
        self.model.answer("Noon.")
        self.assertEqual((listener.text, len(self.tools[0].calls)), ("Noon.", 10))

    def test_call_in_the_last_answer_is_neither_run_nor_shown(self) -> None:
        listener = self.after(("clock", "{}"))
        self.model.call_tools(("clock", "{}"))
        self.model.answer('{"name": "clock", "arguments": {}}')
        self.assertEqual(len(self.tools[0].calls), 1)
        self.assertIn("no answer", listener.text)
        self.assertIsNotNone(listener.end)
        self.assertEqual([m.role for m in self.history()][-2:], ["tool", "assistant"])

    def test_empty_answer_after_tools_is_asked_for_once_more_without_them(self) -> None:
        listener = self.after(("clock", "{}"))
        self.model.finish()
        self.assertEqual(self.model.request.tools, [])
        self.model.answer("Noon.")
        self.assertEqual(listener.text, "Noon.")

    def test_wrong_arguments_go_back_to_the_model_once(self) -> None:
        self.after(("clock", '{"zone": 7}'))
        self.assertIn("zone: 7 is not of type 'string'", self.results()[0])
        self.assertNotEqual(self.model.request.tools, [])
        self.model.call_tools(("clock", "{not json"))
        self.assertEqual(self.model.request.tools, [])
        self.assertEqual(self.tools[0].calls, [])

    def test_call_that_the_answers_limit_cut_off_is_not_made_and_the_model_hears_why(self) -> None:
        # Of several calls only the last can have been cut before its first argument.
        for cut in ('{"zone": "U', "", '{"zone"'):
            self.use(ScriptedTool())
            self.listen("what time is it")
            calls = (
                ToolCall(id="one", name="clock", arguments="{}"),
                ToolCall(id="two", name="clock", arguments=cut),
            )
            self.model.finish(finish_reason="length", tool_calls=calls)
            self.assertEqual(self.tools[0].calls, [{}])
            self.assertEqual(self.results(), ["noon", CUT])
            self.model.answer("It is noon.")
            self.assertEqual(self.history()[1].tool_calls, calls)

    def test_calls_that_are_cut_off_again_and_again_end_the_use_of_tools(self) -> None:
        self.listen("what time is it")
        for zone in ("U", "R"):
            cut = ToolCall(id="one", name="clock", arguments=f'{{"zone": "{zone}')
            self.model.finish(finish_reason="length", tool_calls=(cut,))
        self.assertEqual(self.model.request.tools, [])

    def test_whole_call_of_an_answer_that_was_cut_off_later_is_made(self) -> None:
        self.listen("what time is it")
        whole = ToolCall(id="one", name="clock", arguments='{"zone": "UTC"}')
        self.model.finish(finish_reason="length", tool_calls=(whole,))
        self.assertEqual(self.results(), ["noon"])

    def test_what_the_models_server_added_is_kept_with_its_message(self) -> None:
        mine = {"them": {"thoughts": "hm"}}
        self.listen("what time is it")
        call = ToolCall(id="one", name="clock", arguments="{}", extra={"them": {"signature": "c2ln"}})
        self.model.finish(finish_reason="tool_calls", tool_calls=(call,), extra=mine)
        self.assertEqual(self.model.request.messages[-2].extra, mine)
        self.model.answer("It is noon.", extra={"them": {"thoughts": "so"}})
        _, called, _, answer = self.history()
        self.assertEqual((called.extra, called.tool_calls[0].extra), (mine, {"them": {"signature": "c2ln"}}))
        self.assertEqual(answer.extra, {"them": {"thoughts": "so"}})

    def test_nothing_is_kept_of_an_answer_without_tools(self) -> None:
        self.listen("hello")
        self.model.answer("hi", extra={"them": {"thoughts": "hm"}})
        self.assertEqual(self.history()[1].extra, {})

    def test_tool_that_does_not_exist_is_an_error_for_the_model(self) -> None:
        self.after(("nope", "{}"))
        self.assertIn("there is no tool 'nope'; there are: clock", self.results()[0])

    def test_calls_beyond_what_runs_at_a_time_are_told_so(self) -> None:
        self.after(*[("clock", "{}")] * (CALLS_AT_ONCE + 1))
        self.assertEqual(self.results(), ["noon"] * CALLS_AT_ONCE + [TOO_MANY])

    def test_calls_without_ids_of_their_own_get_their_own_results(self) -> None:
        self.use(ScriptedTool("one", result="1"), ScriptedTool("two", result="2"))
        self.listen("go")
        calls = tuple(ToolCall(id="0", name=name, arguments="{}") for name in ("one", "two"))
        self.model.finish(finish_reason="tool_calls", tool_calls=calls)
        self.assertEqual(self.results(), ["1", "2"])


class BadToolTests(ToolCase):
    """A tool cannot end a turn, whatever it does."""

    def test_tools_own_error_is_told_to_the_model(self) -> None:
        self.use(ScriptedTool(result=ToolError("no such zone")))
        self.after(("clock", "{}"))
        self.assertEqual(self.results(), ["The tool failed: no such zone"])

    def test_tool_that_raises_is_logged_and_the_turn_goes_on(self) -> None:
        self.use(ScriptedTool(result=ZeroDivisionError("secret")))
        listener = self.after(("clock", "{}"))
        self.assertNotIn("secret", self.results()[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.model.answer("Sorry.")
        self.assertEqual(listener.text, "Sorry.")

    def test_tool_that_fails_for_a_reason_that_can_be_foreseen_says_it(self) -> None:
        for error, reason in (
            (OSError(28, "No space left on device", "/home/someone/secret"), "No space left on device."),
            (TimeoutError(), "something that it needs did not answer in time."),
            (ConnectError(None, "x"), "An error occurred while connecting: x."),
            (UnicodeError("x"), "it met text in a charset that it did not expect."),
            (ModuleNotFoundError("no", name="pandas"), "the Python package pandas is not installed."),
        ):
            self.use(ScriptedTool(result=error))
            self.after(("clock", "{}"))
            self.assertEqual(self.results(), [f"The tool failed: {reason}"])
            self.flushLoggedErrors()
            self.model.answer("Sorry.")

    def test_pictures_of_a_result_reach_a_model_that_sees_and_no_other(self) -> None:
        answer = ToolAnswer("Here:", (Image("aGk=", "image/png"),))
        for vision in (True, False):
            self.use(ScriptedTool(result=answer), models=[ScriptedModel(vision=vision)])
            self.after(("clock", "{}"))
            result = self.model.request.messages[-1]
            self.assertEqual((result.role, result.content), ("tool", "Here:"))
            self.assertEqual(result.images, answer.images if vision else ())
            self.model.answer("I see.")

    def test_half_a_character_of_a_result_is_replaced(self) -> None:
        self.use(ScriptedTool(result="a\ud83db"))
        self.after(("clock", "{}"))
        self.assertEqual(self.results(), ["a\ufffdb"])

    def test_tool_that_gives_no_text_is_logged_and_the_turn_goes_on(self) -> None:
        self.use(ScriptedTool(result=7))
        self.after(("clock", "{}"))
        self.assertIn("failed", self.results()[0])

    def test_tool_that_hangs_is_given_up_even_if_it_does_not_let_itself_be_cancelled(self) -> None:
        self.use(ScriptedTool(held=True))
        listener = self.listen("time?")
        stubborn: Deferred[str] = Deferred(lambda _: None)
        self.tools[0].run = lambda arguments, context: stubborn.addErrback(lambda _: Deferred())  # type: ignore
        self.model.call_tools(("clock", "{}"))
        self.house.clock.advance(30)
        self.assertEqual(self.results(), ["The tool did not answer within 30 seconds and was ended."])
        self.model.answer("Sorry.")
        self.assertEqual(listener.text, "Sorry.")

    def test_result_of_fifty_megabytes_is_cut_and_marked(self) -> None:
        self.use(ScriptedTool(result="é" * 50_000_000))
        self.after(("clock", "{}"))
        (result,) = self.results()
        self.assertLess(len(result.encode()), RESULT_LIMIT + 200)
        self.assertIn("the first 32768 of 50000000 characters", result)

    def test_result_is_cut_to_a_part_of_a_small_context(self) -> None:
        self.use(ScriptedTool(result="x" * 50_000), models=[ScriptedModel(context_length=4096)])
        self.after(("clock", "{}"))
        self.assertLess(len(self.results()[0]), 4096)

    def test_tool_with_a_broken_schema_is_left_out(self) -> None:
        self.assertEqual(list(Toolbox([ScriptedTool(parameters={"type": "nonsense"})])), [])

    def test_schema_is_never_fetched(self) -> None:
        self.use(ScriptedTool(parameters={"$ref": "http://127.0.0.1:1/schema"}))
        self.after(("clock", "{}"))
        self.assertIn("cannot be followed", self.results()[0])


class InterruptionTests(ToolCase):
    def test_failing_model_keeps_the_rounds_and_the_words_so_far(self) -> None:
        listener = self.after(("clock", "{}"))
        self.model.say("It is no")
        self.model.fail(ModelError("cut"))
        self.assertEqual(str(listener.error), "cut")
        self.assertEqual([m.role for m in self.history()], ["user", "assistant", "tool", "assistant"])
        self.assertEqual((self.history()[-1].content, self.history()[-1].interrupted), ("It is no", True))

    def test_client_that_leaves_during_a_tool_ends_it_and_keeps_the_results_so_far(self) -> None:
        self.use(ScriptedTool("one", result="1"), ScriptedTool("two", held=True))
        waiting = self.turn("go")
        self.model.call_tools(("one", "{}"), ("two", "{}"))
        self.successResultOf(waiting).stopProducing()
        self.assertEqual(self.tools[1].cancelled, self.tools[1].running)
        self.assertEqual(len(self.house.calls), 1)
        self.assertEqual([m.content for m in self.history()], ["go", "", "1", INTERRUPTED, "[no answer]"])
        self.assertTrue(self.history()[-1].interrupted)

    def test_stop_during_a_tool_ends_the_reply_well(self) -> None:
        self.use(ScriptedTool(held=True))
        listener = self.after(("clock", "{}"))
        self.listen("!stop")
        self.assertIn("[stopped]", listener.text)
        self.assertIsNotNone(listener.end)

    def test_call_that_was_held_back_when_the_model_failed_is_text(self) -> None:
        listener = self.listen("time?")
        self.model.say("<tool_call>{")
        self.model.fail(ModelError("cut"))
        self.assertEqual(listener.text, "<tool_call>{")


class WindowTests(ToolCase):
    def test_window_never_begins_inside_a_round(self) -> None:
        self.use(ScriptedTool(), limits=Limits(history_max_ctx=4))
        for text in ("one", "two"):
            self.after(("clock", "{}"), text=text)
            self.model.answer(text)
        self.listen("three")
        self.assertEqual(self.model.prompt(), [("user", "three")])

    def test_own_turn_is_kept_whole_however_small_the_window(self) -> None:
        self.use(ScriptedTool(), limits=Limits(history_max_ctx=2))
        self.after(("clock", "{}"))
        self.model.call_tools(("clock", '{"zone": "UTC"}'))
        self.assertEqual(
            [role for role, _ in self.model.prompt()], ["user", "assistant", "tool", "assistant", "tool"]
        )

    def test_prompt_that_results_made_too_long_is_tried_with_short_results(self) -> None:
        self.use(ScriptedTool(result="x" * 9000))
        listener = self.after(("clock", "{}"))
        self.model.fail(ContextTooLong("too long"))
        self.assertIn("left out for length", self.results()[0])
        self.model.answer("Noon.")
        self.assertEqual(listener.text, "Noon.")
        self.assertEqual(len(self.history()[2].content), 9000)

    def test_tools_that_take_the_whole_context_are_fewer_in_the_next_try(self) -> None:
        large = {"type": "object", "properties": {"zone": {"type": "string", "description": "x" * 2400}}}
        for limit, offered in ((4000, 2), (0, 2), (1000, 0)):
            self.use(*(ScriptedTool(f"clock_{at}", parameters=large) for at in range(4)))
            self.listen("what time is it")
            self.model.fail(ContextTooLong("too long", context_length=limit))
            self.assertEqual(len(self.model.request.tools), offered, limit)
            self.model.answer("Noon.")

    def test_oldest_results_give_way_in_a_small_context(self) -> None:
        self.use(ScriptedTool(result="x" * 50_000), models=[ScriptedModel(context_length=4096)])
        self.listen("go")
        for number in range(5):
            self.model.call_tools(("clock", f'{{"zone": "{number}"}}'))
        lengths = [len(result) for result in self.results()]
        self.assertLess(lengths[0], 400)
        self.assertGreater(lengths[-1], 2000)


class DisplayTests(ToolCase):
    def test_tags_say_what_runs_and_what_came_of_it_beside_the_answer(self) -> None:
        listener = self.after(("clock", '{"zone": "UTC"}'))
        self.model.answer("Noon.")
        self.assertEqual(listener.thoughts, '[clock {"zone": "UTC"}]\n[clock: noon]\n')
        self.assertEqual(listener.text, "Noon.")

    def test_preview_is_cut(self) -> None:
        self.use(ScriptedTool(result="x" * 600))
        listener = self.after(("clock", "{}"))
        self.assertIn(f"[clock: {'x' * 500}...]", listener.thoughts)

    def test_nothing_is_shown_when_suppressed(self) -> None:
        self.use(ScriptedTool(), limits=Limits(tool_suppress=True))
        listener = self.after(("clock", "{}"))
        self.model.answer("Noon.")
        self.assertEqual((listener.thoughts, listener.text), ("", "Noon."))


class RateTests(ToolCase):
    def test_call_over_the_limit_is_told_to_the_model_and_the_user(self) -> None:
        self.use(ScriptedTool(), limits=Limits(rates={"system": Rate(1, 10)}))
        listener = self.after(("clock", "{}"))
        self.model.call_tools(("clock", '{"zone": "UTC"}'))
        self.assertIn("limit of the category system is reached", self.results()[-1])
        self.assertIn("[clock was not called: ", listener.text)
        self.assertEqual(len(self.tools[0].calls), 1)

    def test_window_slides(self) -> None:
        self.use(ScriptedTool(), limits=Limits(rates={"system": Rate(1, 10)}))
        self.after(("clock", "{}"))
        self.house.clock.advance(10)
        self.model.call_tools(("clock", '{"zone": "UTC"}'))
        self.assertEqual(self.results()[-1], "noon")

    def test_category_that_disables_itself_is_off_until_the_reset(self) -> None:
        self.use(ScriptedTool(), limits=Limits(rates={"system": Rate(1, 10, auto_disable=True)}))
        self.after(("clock", "{}"), ("clock", "{}"))
        self.model.answer("Noon.")
        self.house.clock.advance(100)
        self.after(("clock", "{}"))
        self.assertIn("off for this session", self.results()[-1])
        self.model.answer("Sorry.")
        self.listen("!reset")
        self.after(("clock", "{}"))
        self.assertEqual(self.results(), ["noon"])
