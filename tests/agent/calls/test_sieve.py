"""What the sieve holds back, and that its work grows with the text and no faster, whatever a model writes."""

import sys
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.calls.forms.table import FORMS, QUOTES, THOUGHTS
from llamaproxy.agent.calls.sieve import Sieve

from .test_forms import ALONE, CALL, MARKED, NO_CALLS, read

LIMIT = 64 * 1024
MARKS = [mark for form in FORMS for mark in (*form.openers, *form.closers)] + [
    mark for zone in (*THOUGHTS, *QUOTES) for mark in (zone.opener, zone.closer)
]
BITS = [
    "\n",
    "\n\n",
    " ",
    "    ",
    "\t",
    "> ",
    "`",
    "``",
    "```",
    "```json\n",
    "```tool_code\n",
    "~~~",
    "clock",
]
SIGNS = [*"{}[]()\"',;\\<a", "</function>", "</parameter>"]
FRAGMENTS = [*MARKED.values(), *ALONE.values(), *NO_CALLS.values(), *MARKS, *BITS, *SIGNS]


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An answer of whole and broken pieces, and one way to cut it."""
    parts = []
    for fragment in draw(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6)):
        begin = draw(st.integers(0, len(fragment)) | st.just(0))
        parts.append(fragment[begin:] if draw(st.booleans()) else fragment[: len(fragment) - begin])
    text = "".join(parts)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return text, [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]


class CutTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=400, database=None)
    @given(answers(), st.booleans())
    def test_the_verdict_does_not_depend_on_the_cut(self, answer: tuple[str, list[str]], ended: bool) -> None:
        text, pieces = answer
        whole = read(text, cut=ended)
        self.assertEqual(read(*pieces, cut=ended), whole)
        self.assertEqual(read(*text, cut=ended), whole)
        if not whole[1]:  # nothing is lost, though a call that was a thought comes a little later
            self.assertEqual(sorted(whole[0]), sorted(text))


class HoldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sieve = Sieve(("clock", "search"), LIMIT)

    def test_text_goes_as_soon_as_it_cannot_become_a_call(self) -> None:
        for piece, passed in (
            ("Hi", "Hi"),
            (" <", " "),
            ("b>", "<b>"),
            ("<tool_call>", ""),
            (" is the tag", "<tool_call> is the tag"),
            ("[TOOL_CALLS]", ""),
            (" of Mistral", "[TOOL_CALLS] of Mistral"),
            ("```", ""),
            ("python\nx = [", "```python\nx = ["),
        ):
            self.assertEqual(self.sieve.take(piece), passed)

    def test_answer_that_begins_like_a_tool_s_name_goes_on(self) -> None:
        self.assertEqual(self.sieve.take("clo"), "")
        self.assertEqual(self.sieve.take("thes"), "clothes")
        self.setUp()
        self.assertEqual(self.sieve.take("clock"), "")
        self.assertEqual(self.sieve.take(" is a word"), "clock is a word")

    def test_words_behind_a_call_are_not_held(self) -> None:
        self.assertEqual(self.sieve.take(f"[TOOL_CALLS][{CALL}] and"), " and")
        self.assertEqual(self.sieve.take(f"<tool_call>{CALL}</tool_call> so"), " so")

    def test_block_without_an_end_goes_when_it_is_too_long(self) -> None:
        for text in (
            '<tool_call>{"name": "' + "x" * LIMIT,
            "<tool_call><function=clock>" + "x" * LIMIT,
            '{"name": "' + "x" * LIMIT,
            '```json\n{"name": "' + "x" * LIMIT,
        ):
            self.setUp()
            self.assertEqual(
                "".join(self.sieve.take(text[at : at + 999]) for at in range(0, len(text), 999)), text
            )

    def test_call_that_was_cut_off_is_no_call(self) -> None:
        for text in (
            '<tool_call>{"name": "clock", "arguments": {"zone": "UTC"}',
            "<function=clock><parameter=zone>UTC</parameter>",
            '[TOOL_CALLS][{"name": "clock", "arguments": {}}',
        ):
            self.assertEqual(read(text, cut=True), (text, []))
            self.assertEqual(len(read(text)[1]), 1, text)

    def test_marks_inside_of_a_text_end_nothing(self) -> None:
        text = 'a </tool_call> and ``` "b" \\ <tool_call>'
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        call = f'{{"name": "search", "arguments": {{"q": "{quoted}"}}}}'
        for answer in (
            f"<tool_call>{call}</tool_call>",
            f"[TOOL_CALLS][{call}]",
            f"```json\n{call}\n```",
            call,
        ):
            self.assertEqual(read(answer), ("", [("search", {"q": text})]))

    def test_values_in_tags_are_taken_as_they_stand(self) -> None:
        text = "def f():\n    return \"<b>\" + 'it's' # </b>\n"
        answer = f"<tool_call><function=search>\n<parameter=q>\n{text}\n</parameter></function></tool_call>"
        self.assertEqual(read(answer), ("", [("search", {"q": text})]))


# The worst that each part could be fed, about so many characters of it.
WORST: dict[str, Callable[[int], str]] = {
    "openers": lambda n: "<tool_call>" * (n // 11),
    "openers with objects": lambda n: "<tool_call>{" * (n // 12),
    "closers in a text": lambda n: '<tool_call>{"a":"' + "</tool_call>" * (n // 12),
    "other openers": lambda n: "[TOOL_CALLS]" * (n // 12),
    "other openers with objects": lambda n: "[TOOL_CALLS]{" * (n // 13),
    "half openers": lambda n: "<function=" * (n // 10),
    "parameters without ends": lambda n: f"<tool_call>{'<function=a><parameter=b>' * (n // 25)}</tool_call>",
    "parameters with one": lambda n: (
        f"<tool_call>{'<function=a><parameter=b></function>' * (n // 36)}</tool_call>"
    ),
    "functions": lambda n: f"<tool_call>{'<function=a></function>' * (n // 23)}</tool_call>",
    "spaces": lambda n: " " * n,
    "spaces behind a word": lambda n: "x" + " " * n,
    "spaces behind a call": lambda n: "<tool_call>{}" + " " * n + "x",
    "spaces in calls": lambda n: ("<tool_call>" + " " * 200) * (n // 211),
    "backticks": lambda n: "`" * n,
    "backticks in lines": lambda n: "`\n" * (n // 2),
    "fences": lambda n: "```\n" * (n // 4),
    "fenced calls": lambda n: "```tool_code\nclock()\n```\n" * (n // 25) + "x",
    "fenced calls and words": lambda n: "x\n" + "```tool_code\nclock()\n```\nx" * (n // 26),
    "fenced objects": lambda n: f"```json\n{CALL}\n```\n" * (n // 60) + "x",
    "braces": lambda n: '{"name":' + "{" * n,
    "brackets": lambda n: "[" * n,
    "brackets in Python": lambda n: "[clock(" + "[" * n,
    "thoughts": lambda n: "<think>" * (n // 7),
    "ends of thoughts": lambda n: "</think>" * (n // 8),
    "calls": lambda n: f"<tool_call>{CALL}</tool_call>" * (n // 70),
    "calls that were thoughts": lambda n: f"<tool_call>{CALL}</tool_call>" * (n // 70) + "</think>",
    "calls that were thoughts, each": lambda n: f"<tool_call>{CALL}</tool_call></think>" * (n // 78),
    "indented calls": lambda n: "x\n    <tool_call>" * (n // 17),
    "quoted calls": lambda n: '"<tool_call>' * (n // 12),
    "quotations": lambda n: ">\n" * (n // 2),
    "signs": lambda n: "<" * n,
    "backslashes": lambda n: '<tool_call>{"a":"' + "\\" * n,
    "marks inside": lambda n: (
        "<|tool_calls_begin|>" + "<|tool_call_begin|>" * (n // 19) + "<|tool_calls_end|>"
    ),
    "heads": lambda n: "<|channel|>commentary to=a" * (n // 26) + "<|message|>{",
    "keys": lambda n: f"<|tool_call>call:a{{{'a:' * (n // 2)}<tool_call|>",
    "braces of Gemma's": lambda n: f"<|tool_call>call:a{'{ ' * (n // 2)}<tool_call|>",
    "values without ends": lambda n: (
        f"<tool_call>a{'<arg_key>a</arg_key><arg_value>' * (n // 30)}</tool_call>"
    ),
    "calls in calls": lambda n: f"<tool_call>f(a={'f(a=' * (n // 4)}</tool_call>",
    "arguments in Python": lambda n: f"<tool_call>f({'a=1,' * (n // 4)}</tool_call>",
    "texts in Python": lambda n: '<tool_call>f(a="""' + '"a' * (n // 2) + "</tool_call>",
    "a number": lambda n: f"<tool_call>[{'1' * n}]</tool_call>",
    "objects in objects": lambda n: (
        f'<tool_call>{{"name": "a", "arguments": {chr(123) + chr(34)}a{chr(34)}:1,'
        + '{"a":1,' * (n // 8)
        + "</tool_call>"
    ),
    "lists in lists": lambda n: f"<tool_call>{'[' * (n // 2)}{']' * (n // 2)}</tool_call>",
}


def steps(*pieces: str) -> int:
    """How many lines of ours are run for an answer."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if "calls" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read(*pieces)
    finally:
        sys.settrace(before)
    return count


class WorstTests(SynchronousTestCase):
    def test_four_times_the_text_is_four_times_the_work(self) -> None:
        for name, make in WORST.items():
            for cut in (lambda text: [text], list):
                once, twice, four = (steps(*cut(make(size))) for size in (800, 1600, 3200))
                self.assertLess(twice, 2.5 * once + 500, name)
                self.assertLess(four, 5.5 * once + 500, name)

    def test_nothing_below_the_lines_takes_longer_either(self) -> None:
        # A second for each would be an hour if something grew with the square.
        for make in WORST.values():
            for pieces in ([make(200_000)], list(make(20_000))):
                passed, found = read(*pieces)
                self.assertTrue(passed or found)
