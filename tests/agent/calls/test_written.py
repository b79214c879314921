"""Tool calls written into the answer: found in every form, and text is never lost for looking like one."""

from collections.abc import Sequence
from typing import Any

from msgspec import json
from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from llamaproxy.agent.calls.written import HOLD_LIMIT, TextCalls
from llamaproxy.seams.interfaces import IDeltaReceiver
from llamaproxy.seams.types import ModelDelta, Reasoning, Text, ToolCallDelta

NAMES = {"clock", "search"}
CALL = '{"name": "clock", "arguments": {"zone": "UTC"}}'
FOUND = [("clock", {"zone": "UTC"})]


@implementer(IDeltaReceiver)
class Reader:
    def __init__(self) -> None:
        self.segments: list[Sequence[ModelDelta]] = []
        self.producers: list[IPushProducer | None] = []

    @property
    def text(self) -> str:
        return "".join(d.text for segment in self.segments for d in segment if isinstance(d, Text))

    def registerProducer(self, producer: IPushProducer) -> None:
        self.producers.append(producer)

    def unregisterProducer(self) -> None:
        self.producers.append(None)

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        self.segments.append(deltas)


class TextCallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reader = Reader()
        self.calls = TextCalls(self.reader, NAMES)

    def read(self, text: str, size: int) -> tuple[str, list[tuple[str, Any]]]:
        """The text passed on and the calls found, when `text` comes in pieces of `size` characters."""
        self.setUp()
        for start in range(0, len(text), size):
            self.calls.deltasReceived([Text(text[start : start + size])])
        self.calls.finish()
        found = [(call.name, json.decode(call.arguments)) for call in self.calls.calls]
        return self.reader.text, found

    def assertRead(self, text: str, passed: str, found: list[tuple[str, Any]]) -> None:
        for size in (1, 3, 7, len(text)):
            self.assertEqual(self.read(text, size), (passed, found), f"{text!r} in pieces of {size}")

    def test_calls_are_found_in_every_form(self) -> None:
        for text in (
            CALL,
            f"\n  {CALL}\n",
            f"[{CALL}]",
            f"<tool_call>{CALL}</tool_call>",
            f"<tool_call>\n{CALL}\n",
            f"```json\n{CALL}\n```",
            f"```\n{CALL}\n```",
            f"```JSON {CALL}```",
            f"```tool_call\n{CALL}",
            '{"name": "clock", "parameters": {"zone": "UTC"}}',
            '{"type": "function", "function": {"name": "clock", "arguments": {"zone": "UTC"}}}',
            '{"function": "clock", "arguments": {"zone": "UTC"}}',
            '{"tool": "clock", "arguments": "{\\"zone\\": \\"UTC\\"}"}',
            "<tool_call>\n<function=clock>\n<parameter=zone>\nUTC\n</parameter>\n</function>\n</tool_call>",
            '<tool_call><function=clock>{"zone": "UTC"}</function></tool_call>',
        ):
            for size in (1, 3, 7, len(text)):
                passed, found = self.read(text, size)
                self.assertEqual((passed.strip(), found), ("", FOUND), f"{text!r} in pieces of {size}")

    def test_several_calls_are_found_in_their_order(self) -> None:
        other = '{"name": "search", "arguments": {}}'
        for text in (
            f"[{CALL}, {other}]",
            f"{CALL}\n{other}",
            f"<tool_call>{CALL}</tool_call><tool_call>{other}</tool_call>",
        ):
            self.assertRead(text, "", [*FOUND, ("search", {})])

    def test_text_around_a_block_is_passed_on(self) -> None:
        self.assertRead(f"Let me see. <tool_call>{CALL}</tool_call> Done.", "Let me see.  Done.", FOUND)
        self.assertRead(f"So:\n```tool_call\n{CALL}\n```", "So:\n", FOUND)

    def test_what_is_no_call_is_passed_on_whole(self) -> None:
        for text in (
            "Hello, a < b and `code` and ``` of it",
            '{"title": "A chat", "tags": ["x"]}',
            '{"name": "Anna", "age": 7}',
            '{"name": "unknown", "arguments": {}}',
            '{"name": "clock"',
            f"{CALL} is how one would call it",
            "[1, 2, 3]",
            "[link](http://x)",
            "{not json",
            '```python\nprint("<tool_call>")\n```\nand ```json\n{"a": 1}\n``` end',
            '```json\n{"name": "Anna", "arguments": {}}\n```',
            "<tool_call>nonsense</tool_call>",
            "<tool_",
            "``",
            "[" * 5000,
            " \n ",
        ):
            self.assertRead(text, text, [])

    def test_tagged_call_of_an_unknown_tool_is_found_so_that_the_model_hears_of_it(self) -> None:
        self.assertRead('<tool_call>{"name": "nope", "arguments": {}}</tool_call>', "", [("nope", {})])

    def test_plain_segments_go_through_as_they_are(self) -> None:
        self.calls.deltasReceived([Text("Hi")])
        segment: list[ModelDelta] = [Text(" there"), Reasoning("hm"), Text("!")]
        self.calls.deltasReceived(segment)
        self.assertIs(self.reader.segments[-1], segment)

    def test_text_is_held_only_while_it_can_become_a_call(self) -> None:
        self.calls.deltasReceived([Text('{"ti')])
        self.assertEqual(self.reader.text, '{"ti')
        self.setUp()
        self.calls.deltasReceived([Text("a <")])
        self.assertEqual(self.reader.text, "a ")
        self.calls.deltasReceived([Text("b")])
        self.assertEqual(self.reader.text, "a <b")

    def test_thoughts_are_not_held_behind_a_call(self) -> None:
        self.calls.deltasReceived([Text("<tool_call>"), Reasoning("hm")])
        self.assertEqual(self.reader.segments, [[Reasoning("hm")]])

    def test_nothing_is_a_call_where_the_server_has_found_one(self) -> None:
        tagged = f"<tool_call>{CALL}</tool_call>"
        self.calls.deltasReceived([Text(f"Like {tagged}, or {tagged}"), ToolCallDelta(0, "1", "clock", "{}")])
        self.calls.deltasReceived([Text(f" or {tagged}")])
        self.calls.finish(server_tells=True)
        self.assertEqual(self.calls.calls, [])
        self.assertEqual(self.reader.text.count(tagged), 3)

    def test_nothing_is_a_call_where_only_the_end_tells_of_the_server_s(self) -> None:
        self.calls.deltasReceived([Text(f"<tool_call>{CALL}</tool_call> or <tool_call>")])
        self.calls.finish(server_tells=True)
        self.assertEqual(self.calls.calls, [])
        self.assertEqual(self.reader.text, f" or <tool_call>{CALL}</tool_call><tool_call>")

    def test_everything_is_text_when_the_answer_breaks_off(self) -> None:
        self.calls.deltasReceived([Text(f"<tool_call>{CALL}</tool_call>")])
        self.calls.give_up()
        self.assertEqual((self.reader.text, self.calls.calls), (f"<tool_call>{CALL}</tool_call>", []))

    def test_what_passed_before_counts_however_it_was_cut(self) -> None:
        for before in ("see:\n\n    ", '"', "\n> so: ", "a `b "):
            text = f"Now {before}<tool_call>{CALL}</tool_call>"
            for size in (1, 2, 3, 5, len(text)):
                self.assertEqual(self.read(text, size), (text, []))

    def test_endless_block_is_passed_on(self) -> None:
        text = "<tool_call>" + "x" * HOLD_LIMIT
        self.calls.deltasReceived([Text(text)])
        self.assertEqual(self.reader.text, text)
