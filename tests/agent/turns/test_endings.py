"""Answers that would have been longer: the user hears of it, and the history knows."""

from llamaproxy.agent.turns.toolloop import CUT, CUT_OFF
from llamaproxy.seams.types import Finish, Message, ToolCall

from .test_toolloop import ToolCase
from .test_turns import PHONE

# Whether what was said counts as complete, and what the user hears after it.
ENDINGS: dict[Finish, tuple[bool, str]] = {
    "stop": (True, ""),
    "length": (True, ""),
    "content_filter": (False, "[The answer ends here: a filter of the model's server stopped it.]"),
    "refusal": (False, "[The answer ends here: the model refused to go on.]"),
    "pause_turn": (False, "[The model paused here. Ask it to go on.]"),
}


class EndingTests(ToolCase):
    def last(self) -> Message:
        return self.house.store.messages[PHONE.session_id][-1]

    def test_user_hears_how_it_ended_and_the_history_marks_it(self) -> None:
        for finish, (complete, words) in ENDINGS.items():
            self.setUp()
            listener = self.listen("hello")
            self.model.answer("so far", finish_reason=finish)
            self.assertEqual(listener.text, f"so far\n\n{words}" if words else "so far", finish)
            assert listener.end is not None
            self.assertEqual(listener.end.finish_reason, finish)
            last = self.last()
            self.assertEqual((last.content, last.interrupted), ("so far", not complete), finish)

    def test_answer_that_was_stopped_before_its_first_word_leaves_no_trace(self) -> None:
        listener = self.listen("hello")
        self.model.finish(finish_reason="content_filter")
        self.assertEqual(listener.text, ENDINGS["content_filter"][1])
        self.assertNotIn(PHONE.session_id, self.house.store.messages)

    def test_call_that_was_cut_off_is_told_to_the_user_and_marked(self) -> None:
        listener = self.listen("what time is it")
        cut = ToolCall(id="a", name="clock", arguments='{"zone": "U')
        self.model.finish(finish_reason="length", tool_calls=(cut,))
        self.assertEqual((self.tools[0].calls, self.results()), ([], [CUT]))
        self.model.answer("It is noon.")
        self.assertEqual(listener.text, f"{CUT_OFF}It is noon.")
        marks = [(m.role, m.interrupted) for m in self.history()]
        self.assertEqual(marks, [("user", False), ("assistant", True), ("tool", False), ("assistant", False)])

    def test_calls_of_an_answer_that_was_stopped_are_not_made(self) -> None:
        for finish in ("content_filter", "refusal"):
            self.setUp()
            listener = self.listen("what time is it")
            call = ToolCall(id="a", name="clock", arguments="{}")
            self.model.finish(finish_reason=finish, tool_calls=(call,))
            self.assertEqual((self.tools[0].calls, len(self.house.calls)), ([], 1))
            self.assertEqual(listener.text, ENDINGS[finish][1])

    def test_rounds_before_an_answer_that_was_stopped_are_kept(self) -> None:
        listener = self.after(("clock", "{}"))
        self.model.answer("It is", finish_reason="refusal")
        self.assertIn(ENDINGS["refusal"][1], listener.text)
        self.assertEqual([m.role for m in self.history()], ["user", "assistant", "tool", "assistant"])
        self.assertTrue(self.last().interrupted)
