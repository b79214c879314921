"""Errands of apps told from questions of people, and the answers to them; the prompts have the real ones' shapes."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects.base import ChatRequest
from llamaproxy.dialects.housekeeping import Task, answer, recognise, suits
from llamaproxy.seams.types import ChatTurn, Image, Options

HISTORY = (
    "<chat_history>\nUSER: how do I   bake\nsourdough bread at home in winter?\nASSISTANT: \n</chat_history>"
)


def task(wanted: str, shape: str, tail: str = HISTORY) -> str:
    """A prompt built as Open WebUI builds its own."""
    output = f"### Output:\nJSON format: {shape}"
    return f"### Task:\n{wanted}\n### Guidelines:\n- Be brief.\n{output}\n### Chat History:\n{tail}"


TITLE = task("Write a title of 3-5 words for the chat.", '{ "title": "your title" }')
FOLLOW_UPS = task("Suggest what the user may ask next.", '{ "follow_ups": ["One?", "Two?"] }')
TAGS = task("Name broad tags for the chat.", '{ "tags": ["tag1", "tag2"] }')
QUERIES = task("Decide whether to search.", '{ "queries": ["one", "two"] }')
IMAGE = task("Describe an image for the chat.", '{ "prompt": "your description" }')
AUTOCOMPLETE = task(
    "Go on with the text in `<text>` by the kind in `<type>`.",
    '{ "text": "..." }',
    f"{HISTORY}\n<type>General</type>\n<text>the sun was</text>\n#### Output:",
)
SUMMARY = (
    "### Task:\nRewrite the older messages as a running summary.\n"
    "### Messages being compacted:\nUSER: one\nASSISTANT: two"
)
EMOJI = "Show the speaker's likely facial expression as an emoji.\n\nMessage: ```great!```"
MERGE = 'Here is a set of responses from various models to the user query: "x"\n\nMerge them.\n\n"""one"""\n"""two"""'
WRAPPED = (
    "### Task:\nAnswer the user query from the context.\n### Guidelines:\n- Cite.\n"
    '<context>\n<source id="1">A page on {"title": "..."} and <chat_history> tags</source>\n</context>\n'
    "What does the page say?"
)
CHATBOX = (
    "Based on the chat history, name this conversation.\n\n```\nhow do I bake bread?\n\n---------\n\nLike so.\n```\n\n"
    "Only the name.\n\nThe name is:"
)
REINS_SYSTEM = "You are a title generator for a chat application. Make a title."
REINS = "You are a title generator for a chat application. Now make one for this message: tell me of dragons"


def request(text: str, *, system: str | None = "", stream: bool = False, **turn: Any) -> ChatRequest:
    return ChatRequest(turn=ChatTurn(text=text, **turn), model="m", stream=stream, lone_system=system)


class RecogniseTests(SynchronousTestCase):
    def check(self, asked: ChatRequest, expected: Task | None, header: str = "") -> None:
        self.assertIs(recognise(asked, header), expected, asked)

    def test_default_prompts_are_known_by_their_shape(self) -> None:
        for text, expected in [
            (TITLE, Task.TITLE),
            (FOLLOW_UPS, Task.FOLLOW_UPS),
            (TAGS, Task.TAGS),
            (QUERIES, Task.QUERIES),
            (IMAGE, Task.IMAGE_PROMPT),
            (AUTOCOMPLETE, Task.AUTOCOMPLETE),
            (SUMMARY, Task.SUMMARY),
            (f"\n  {TITLE}\n", Task.TITLE),
            (MERGE, Task.MERGE),
            (CHATBOX, Task.NAME),
        ]:
            self.check(request(text), expected)

    def test_prompts_with_a_system_message_are_known(self) -> None:
        tools = 'Available Tools: [{"name": "clock"}]\n\nChoose among them.'
        self.check(request("History:\nUSER: hi\nQuery: what time is it?", system=tools), Task.TOOLS)
        memory = 'Look after the memories. Answer {"operations": [...]}.'
        self.check(request("the chat", system=memory), Task.MEMORY)
        self.check(request(REINS, system=REINS_SYSTEM, stream=True), Task.NAME)

    def test_an_emoji_is_asked_for_in_a_handful_of_tokens(self) -> None:
        self.check(request(EMOJI, options=Options(max_tokens=4)), Task.EMOJI)
        for limit in (None, 500):
            self.check(request(EMOJI, options=Options(max_tokens=limit)), None)

    def test_questions_of_people_are_no_tasks(self) -> None:
        for asked in [
            request("hello"),
            request("hello", stream=True),
            request(WRAPPED),
            request(WRAPPED, stream=True),
            request("### Task:\nsummarise this article: ..."),
            request('### Task:\nwrite JSON with a "title"'),
            request(f"what does this prompt do?\n{TITLE}"),
            request("how do I combine responses from various models?"),
            request("give this conversation a name. The name is:"),
            request("write a title generator for a chat app", system="be brief"),
            request("what is History: about?", system="Available Tools: none"),
        ]:
            self.check(asked, None)

    def test_what_streams_or_has_a_history_or_a_picture_is_no_default_prompt(self) -> None:
        self.check(request(TITLE, stream=True), None)
        self.check(request(TITLE, system=None), None)
        self.check(request(TITLE, images=(Image("AAAA"),)), None)

    def test_merging_and_naming_may_stream(self) -> None:
        self.check(request(MERGE, stream=True), Task.MERGE)
        self.check(request(CHATBOX, stream=True), Task.NAME)

    def test_a_header_says_it_of_any_message(self) -> None:
        for asked in (request("hello", stream=True), request(WRAPPED), request("x", system=None)):
            self.check(asked, Task.TAGS, "tags_generation")
            self.check(asked, Task.OTHER, "haiku_generation")

    def test_a_header_that_names_no_task_says_nothing(self) -> None:
        for header in ("", "{{TASK}}", "None", "null", "Not A Task", "x" * 1000):
            self.check(request("hello"), None, header)
            self.check(request(TITLE), Task.TITLE, header)

    def test_loading_a_model_is_no_task(self) -> None:
        load = ChatRequest(turn=None, model="m", stream=True, lifecycle="load")
        self.check(load, None, "title_generation")


class AnswerTests(SynchronousTestCase):
    def test_answers_have_the_form_that_the_app_reads(self) -> None:
        asked = "how do I bake sourdough bread at home in winter?"
        for kind, text, expected in [
            (Task.TITLE, TITLE, {"title": "How do I bake sourdough bread at home…"}),
            (Task.FOLLOW_UPS, FOLLOW_UPS, {"follow_ups": []}),
            (Task.TAGS, TAGS, {"tags": ["General"]}),
            (Task.QUERIES, QUERIES, {"queries": [asked]}),
            (Task.IMAGE_PROMPT, IMAGE, {"prompt": asked}),
            (Task.AUTOCOMPLETE, AUTOCOMPLETE, {"text": ""}),
            (Task.TOOLS, "Query: x", {"tool_calls": []}),
            (Task.MEMORY, "x", {"operations": []}),
        ]:
            made = answer(kind, text)
            assert made is not None
            self.assertEqual(json.loads(made), expected)
            self.assertTrue(suits(kind, made))

    def test_plain_answers(self) -> None:
        self.assertEqual(answer(Task.NAME, CHATBOX), "How do I bake bread?")
        self.assertEqual(answer(Task.NAME, REINS), "Tell me of dragons")
        self.assertEqual(answer(Task.EMOJI, EMOJI), "🙂")

    def test_what_only_a_model_can_write_is_left_to_one(self) -> None:
        for kind in (Task.MERGE, Task.SUMMARY, Task.OTHER):
            self.assertIsNone(answer(kind, "x"))

    def test_a_title_is_made_of_the_first_thing_said(self) -> None:
        for said, expected in [
            ("hi", "Hi"),
            ("# Plan\n- one", "Plan - one"),
            ("", "New chat"),
            ("**", "New chat"),
            ("x" * 100, "X" + "x" * 38 + "…"),
            ("漢字" * 40, "漢字" * 19 + "漢…"),
            ('say "hi" \\ now', 'Say "hi" \\ now'),
            ("one\nUSER: two", "One"),
            ("a" * 10 + " " * 5000 + "b", "A" * 1 + "a" * 9),
        ]:
            made = answer(
                Task.TITLE, f"### Task:\nx\n<chat_history>\nUSER: {said}\nASSISTANT: y\n</chat_history>"
            )
            self.assertEqual(json.loads(made or ""), {"title": expected}, said)

    def test_a_query_is_the_last_thing_said(self) -> None:
        text = "<chat_history>\nUSER: one\nASSISTANT: two\nUSER: three\n</chat_history>"
        self.assertEqual(answer(Task.QUERIES, text), '{"queries": ["three"]}')

    def test_a_query_has_no_brace_that_the_app_would_begin_to_read_from(self) -> None:
        made = answer(Task.QUERIES, "<chat_history>\nUSER: what is { in {json: 1}?\n</chat_history>") or ""
        self.assertEqual(json.loads(made[made.rfind("{") :]), {"queries": ["what is in json: 1}?"]})

    def test_a_prompt_that_quotes_no_history_makes_no_title_of_itself(self) -> None:
        self.assertEqual(answer(Task.TITLE, "Write a title."), '{"title": "New chat"}')
        self.assertEqual(answer(Task.QUERIES, "Write queries."), '{"queries": []}')

    def test_a_models_answer_suits_if_the_app_can_read_it(self) -> None:
        for kind, text, expected in [
            (Task.TITLE, 'Sure! ```json\n{"title": "Bread"}\n```', True),
            (Task.TITLE, '{"name": "Bread"}', False),
            (Task.TITLE, "Bread", False),
            (Task.TITLE, "} {", False),
            (Task.TITLE, "", False),
            (Task.TITLE, "[" * 100_000, False),
            (Task.TITLE, '{"a":' * 100_000 + "}", False),
            (Task.EMOJI, "😀", True),
            (Task.NAME, " \n", False),
        ]:
            self.assertIs(suits(kind, text), expected, text[:80])
