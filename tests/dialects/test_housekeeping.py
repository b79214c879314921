"""Errands of apps told from questions of people, and the answers to them; the prompts have the real ones' shapes."""

import json
import sys
from typing import Any, NamedTuple

from msgspec import Raw
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects.base import ChatRequest
from llamaproxy.dialects.errands import Task
from llamaproxy.dialects.housekeeping import answer, recognise, suits
from llamaproxy.dialects.outline import Outline
from llamaproxy.dialects.parsing import WireMessage
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


def messages(*texts: str) -> list[WireMessage]:
    """Messages of a user and an assistant by turns, the last of them the user's."""
    roles = ("user", "assistant") if len(texts) % 2 else ("assistant", "user")
    return [WireMessage(roles[n % 2], Raw(json.dumps(text).encode())) for n, text in enumerate(texts)]


def request(
    text: str,
    *,
    system: str = "",
    stream: bool = False,
    before: tuple[str, ...] = (),
    tools: bool = False,
    **turn: Any,
) -> ChatRequest:
    outline = Outline(messages(*before, text), system=system, tools=tools)
    return ChatRequest(turn=ChatTurn(text=text, **turn), model="m", stream=stream, outline=outline)


def said(text: str) -> Outline:
    return Outline(prompt=text)


class RecogniseTests(SynchronousTestCase):
    def check(self, asked: ChatRequest, expected: Task | None, header: str = "", agent: str = "") -> None:
        self.assertIs(recognise(asked, header, agent), expected, asked.turn)

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

    def test_what_has_a_history_or_a_picture_is_no_default_prompt(self) -> None:
        self.check(request(TITLE, before=("hello", "hi")), None)
        self.check(request(TITLE, images=(Image("AAAA"),)), None)

    def test_merging_and_naming_may_stream(self) -> None:
        self.check(request(MERGE, stream=True), Task.MERGE)
        self.check(request(TITLE, stream=True), Task.TITLE)
        self.check(request(CHATBOX, stream=True), Task.NAME)

    def test_a_header_says_it_of_any_message(self) -> None:
        for asked in (request("hello", stream=True), request(WRAPPED), request("x", before=("hello", "hi"))):
            self.check(asked, Task.TAGS, "tags_generation")
            self.check(asked, Task.OTHER, "haiku_generation")

    def test_a_header_that_names_no_task_says_nothing(self) -> None:
        for header in ("", "{{TASK}}", "None", "null", "Not A Task", "x" * 1000):
            self.check(request("hello"), None, header)
            self.check(request(TITLE), Task.TITLE, header)

    def test_loading_a_model_is_no_task(self) -> None:
        load = ChatRequest(turn=None, model="m", stream=True, lifecycle="load")
        self.check(load, None, "title_generation")


CONVERSATION = "User: how do I bake bread?\nAI: Like so.\n"
CHAT = ("how do I bake bread?", "Like so.")
TITLED = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


class Row(NamedTuple):
    """A client's errand, what it is taken for, and what it is answered without a model."""

    client: str
    asked: ChatRequest
    task: Task
    answer: str | None
    agent: str = ""


BREAD = "How do I bake bread?"
CLIENTS = (
    Row(
        "Claude Code, title",
        request(
            "<session>\nhow do I bake bread?\n</session>\n\nWrite the title in its language.",
            system="x-billing: 1\nYou are Claude Code.\nYou are naming a coding session so the user can find it.",
            options=Options(max_tokens=128_000, json_schema=TITLED),
            stream=True,
        ),
        Task.TITLE,
        f'{{"title": "{BREAD}"}}',
    ),
    Row("Claude Code, quota", request("quota", options=Options(max_tokens=1)), Task.PROBE, "OK"),
    Row(
        "Claude Code, /compact",
        request(
            "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n- x",
            before=CHAT,
            tools=True,
            stream=True,
        ),
        Task.SUMMARY,
        None,
    ),
    Row(
        "Claude Code, a page for it to read",
        request("Web page content:\n---\nx\n---\nSum it up.", system="You are Claude Code.", stream=True),
        Task.OTHER,
        None,
        "claude-cli/2.1.332 (external, cli)",
    ),
    Row(
        "Claude Code, a suggestion",
        request(
            "[SUGGESTION MODE: Suggest what the user might naturally type next.]", before=CHAT, tools=True
        ),
        Task.HINT,
        "go on",
    ),
    Row(
        "codex, title",
        request(
            "Generate a concise, single-line task title of 36 characters.\n\nUser prompt:\nhow do I bake bread?",
            options=Options(json_schema=TITLED),
            tools=True,
            stream=True,
        ),
        Task.TITLE,
        f'{{"title": "{BREAD}"}}',
    ),
    Row(
        "codex, /compact",
        request(
            "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff.", before=CHAT, stream=True
        ),
        Task.SUMMARY,
        None,
    ),
    Row(
        "opencode, title",
        ChatRequest(
            turn=ChatTurn(text='"how do I bake bread?"'),
            model="m",
            stream=True,
            outline=Outline(
                [
                    WireMessage("user", Raw(b'"Generate a title for this conversation:\\n"')),
                    WireMessage("user", Raw(b'"\\"how do I bake bread?\\""')),
                ],
                system="You are a title generator. You output ONLY a thread title. Nothing else.",
            ),
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "opencode, compaction",
        request("Provide a detailed prompt for continuing our conversation above.", before=CHAT, stream=True),
        Task.SUMMARY,
        None,
    ),
    Row(
        "aider, commit message",
        request(
            "\nUSER: fix it\n# Diffs:\n-a\n+b",
            system="You are an expert software engineer that generates concise, one-line Git commit messages based on",
        ),
        Task.OTHER,
        None,
    ),
    Row(
        "aider, summary",
        request("# USER\nx", system="*Briefly* summarize this partial conversation about programming.\n"),
        Task.SUMMARY,
        None,
    ),
    Row(
        "qwen-code, memory",
        request("Managed memory has TWO directories. Choose which one", before=CHAT, tools=True, stream=True),
        Task.NOTE,
        "There is nothing to keep.",
    ),
    Row(
        "LibreChat",
        request(
            f"Provide a concise, 5-word-or-less title for the conversation.\n\nConversation:\n{CONVERSATION}"
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "Cherry Studio",
        request(
            '[{"role":"user","mainText":"how do I bake bread?"}]',
            system="You are an assistant skilled in conversation. You need to summarize the conversation into a title",
            stream=True,
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "LobeChat",
        request(
            "user: how do I bake bread?\nassistant: Like so.",
            system="You are a professional conversation summarizer. Generate a concise title that captures",
            stream=True,
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "big-AGI",
        request(
            "Analyze the given short conversation (every line is truncated) and\n\n"
            "```\n- user: how do I bake bread?\n- assistant: Like so.\n```",
            system="You are an AI conversation titles assistant who specializes in creating expressive titles.",
            stream=True,
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "NextChat, title",
        request(
            "Please generate a four to five word title summarizing our conversation without", before=CHAT
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "NextChat, summary",
        ChatRequest(
            turn=ChatTurn(text="x"),
            model="m",
            stream=True,
            outline=Outline(
                [
                    *messages("how do I bake bread?"),
                    WireMessage(
                        "system", Raw(b'"Summarize the discussion briefly in 200 words or less to use"')
                    ),
                ]
            ),
        ),
        Task.SUMMARY,
        None,
    ),
    Row(
        "Page Assist",
        request(
            "Here is the query:\n\n--------------\n\nhow do I bake bread?\n\n--------------\n\nCreate a phrase "
            "as a title for the previous query. RESPOND ONLY WITH THE TITLE TEXT.\n\n\nExamples of titles:\n\nFun",
            stream=True,
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "Zed, title",
        request(
            "Generate a concise 3-7 word title for this conversation, omitting punctuation.",
            before=CHAT,
            stream=True,
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "Zed, summary",
        request("Generate a detailed summary of this conversation. Include:\n1. x", before=CHAT, stream=True),
        Task.SUMMARY,
        None,
    ),
    Row(
        "Continue",
        request(
            "Given the following... please reply with a title for the chat that is 3-4 words in length, no more text "
            "or explanation, you don't need ending punctuation.\n\nhow do I bake bread?",
            options=Options(max_tokens=16),
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "VS Code",
        request(
            "how do I bake bread?",
            system="You are an expert in crafting pithy titles for chatbot conversations.",
        ),
        Task.NAME,
        BREAD,
    ),
    Row(
        "some program, a title of what it quotes",
        request("Title of this page?\n```\nDune\nby Herbert\n```", options=Options(json_schema=TITLED)),
        Task.OTHER,
        None,
    ),
    Row(
        "some program, a title by schema",
        request("Dune, by Herbert", options=Options(json_schema=TITLED)),
        Task.OTHER,
        None,
    ),
    Row("some program, a sign of life", request("hi", options=Options(max_tokens=1)), Task.OTHER, None),
    Row(
        "some app, an instruction about a conversation",
        request(f"Suggest a short title for this conversation.\n\n{CONVERSATION}"),
        Task.OTHER,
        None,
    ),
)


def titled(*names: str) -> Options:
    """What asks for an answer with these properties."""
    return Options(json_schema={"type": "object", "properties": {name: {"type": "string"} for name in names}})


# Shapes that no client of the table has, in words that stand for all others: what is asked, and what is wanted.
SHAPES: tuple[ChatRequest, ...] = (
    *(
        request("how do I bake bread?", system=system, stream=stream)
        for stream in (False, True)
        for system in (
            "You generate short titles for conversations.",
            "You are a helpful assistant that names chats. Reply with a title only.",
            "Generate a brief title summarizing the user's first message. No quotes.",
            "Create a title for the chat in at most five words.",
            "Your job: a name for this discussion.",
        )
    ),
    request("!reset", system="You generate short titles for conversations.", stream=True),
    *(
        request(f"About this chat:\n{CONVERSATION}", options=titled(*names), stream=True)
        for names in (
            ("conversationTitle",),
            ("chat_title",),
            ("title", "branch"),
            ("isNewTopic", "title"),
            ("emoji",),
            ("topic",),
        )
    ),
    request("how do I bake bread?", options=titled("thread_title"), stream=True),
    *(
        request(text, before=CHAT, stream=stream)
        for stream in (False, True)
        for text in (
            "Summarize this conversation in a title of at most 6 words. Only reply with the title.",
            "Please create a concise title for our chat, without quotes.",
            "Create a concise title of 3-7 words for this chat. Reply with the title only.",
            "Considering the conversation above, give it a name. Return only the name, 5 words or fewer.",
            "Based on what was said, suggest three follow-up questions as a JSON array, nothing else.",
            "Generate a short, 5 word headline of the discussion",
        )
    ),
    request("Generate a short title for our conversation.", before=CHAT),
)

# What people ask, and programs on their behalf, that looks like an errand.
NEAR_MISSES = (
    request(f"Suggest a short title for this conversation.\n\n{CONVERSATION}", stream=True),
    request("give this conversation a title", before=CHAT, stream=True),
    request("please summarize our conversation so far", before=CHAT, stream=True),
    request("Write a short title for this conversation", before=CHAT, stream=True),
    request("is this a good title for our chat: Bread, short and 5 words?", before=CHAT, stream=True),
    request("ten names", system="You find names for dogs. Chats with the user are kept short.", stream=True),
    request(
        "hello", system="You are my coach. " * 20 + "Give titles for conversations when asked.", stream=True
    ),
    request("a title for our chat", tools=True, system="You write titles for chats and posts.", stream=True),
    request("what does 'You are a title generator' do in a system prompt?", stream=True),
    request("ten titles for my video on bread", system="You are a title generator for YouTube.", stream=True),
    request("ten titles", system="You are a title generator. The user has a channel on bread.", stream=True),
    request(
        "ten titles", system="You help me to find titles for my books. Keep the chat friendly.", stream=True
    ),
    request("write tags for this post: bread", stream=True),
    request("What are follow_ups in Open WebUI?", stream=True),
    request("yes or no: is bread baked?", options=Options(max_tokens=16)),
    request("yes or no?", before=CHAT, options=Options(max_tokens=1)),
    request(
        "the city of this text: Rome",
        options=Options(json_schema={"properties": {"city": {"type": "string"}}}),
    ),
    request(
        "the book in this text: Dune",
        options=Options(
            json_schema={"properties": {"title": {"type": "string"}, "year": {"type": "integer"}}}
        ),
    ),
    request("any JSON", options=Options(json_schema={})),
    request("Given the following code, please explain it.\n\nx = 1"),
    request("Here is the query:\nSELECT 1\nWhy is it slow?"),
    request("Your task is to create a detailed plan of my garden", stream=True),
    request("Analyze this conversation and provide feedback:\nUser: hi\nAI: hello", stream=True),
    request("Managed memory: what is it?", stream=True),
    request("Generate a concise 3-7 word slogan for this shop", stream=True),
    request("quota", stream=True),
    request("!help", options=Options(max_tokens=1)),
)


class ClientTests(SynchronousTestCase):
    """The errands of each client, and what people ask that is like them."""

    def test_each_client_gets_what_it_wants(self) -> None:
        for row in CLIENTS:
            self.assertIs(recognise(row.asked, "", row.agent), row.task, row.client)
            self.assertEqual(answer(row.task, row.asked.outline), row.answer, row.client)

    def test_what_only_apps_ask_is_asked_apart_in_whatever_words(self) -> None:
        for asked in SHAPES:
            self.assertIs(recognise(asked, ""), Task.OTHER, (asked.outline.text, asked.outline.system))

    def test_what_people_ask_is_theirs(self) -> None:
        for asked in NEAR_MISSES:
            self.assertIsNone(recognise(asked, ""), asked.outline.text)

    def test_message_of_a_person_in_a_client_that_sends_tools_is_theirs(self) -> None:
        reminded = "<system-reminder>\nx\n</system-reminder>\nhello"
        for agent, asked in (
            ("claude-cli/2.1", request("hello", tools=True, stream=True)),
            ("claude-cli/2.1", request(reminded, stream=True)),
            ("claude-cli/2.1", request("hello", before=CHAT, stream=True)),
            ("claude-cli/2.1", request("!help", stream=True)),
            ("QwenCode/0.24", request(reminded, stream=True)),
            ("codex_exec/0.171", request("hello", tools=True, stream=True)),
            ("Mozilla/5.0", request("hello", stream=True)),
        ):
            self.assertIsNone(recognise(asked, "", agent), (agent, asked.outline.text))

    def test_odd_texts_take_no_longer_per_character_than_short_ones(self) -> None:
        beginnings = (
            "",
            "### Task:\n",
            "Here is the query:",
            "Provide a concise, 5-word-or-less title for the conversation",
        )
        pieces = (
            *(
                "x```\n",
                "\n```",
                "<chat_history>",
                "USER: ",
                "\nUSER: x",
                "<session>",
                "</session>",
                "user:",
                "\nuser :",
            ),
            *(
                "title of the ",
                "summarize the conversation ",
                " " * 7,
                "\t\n",
                "### Task:",
                '"title"',
                "--------------\n",
            ),
        )
        for beginning in beginnings:
            for piece in pieces:
                steps = [
                    self.steps(f"conversation {beginning}{piece * count}The name is:")
                    for count in (500, 1000)
                ]
                self.assertLess(steps[1], 2.2 * steps[0] + 100, (beginning, piece))
                # Of what a pattern does no steps are counted; a hundred times as much would not come to an end.
                self.steps(f"conversation {beginning}{piece * 50_000}The name is:")

    def steps(self, text: str) -> int:
        """How many lines of Python a text costs."""
        count = 0

        def trace(frame: Any, event: str, argument: Any) -> Any:
            nonlocal count
            count += event == "line"
            return trace

        asked = request(text, options=Options(json_schema=TITLED), system=text)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            task = recognise(asked, "")
            for each in (task or Task.OTHER, Task.NAME, Task.TITLE, Task.QUERIES):
                answer(each, asked.outline)
        finally:
            sys.settrace(before)
        return count


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
            made = answer(kind, said(text))
            assert made is not None
            self.assertEqual(json.loads(made), expected)
            self.assertTrue(suits(kind, made))

    def test_plain_answers(self) -> None:
        self.assertEqual(answer(Task.NAME, said(CHATBOX)), "How do I bake bread?")
        self.assertEqual(answer(Task.NAME, said(REINS)), "Tell me of dragons")
        self.assertEqual(answer(Task.EMOJI, said(EMOJI)), "🙂")

    def test_what_only_a_model_can_write_is_left_to_one(self) -> None:
        for kind in (Task.MERGE, Task.SUMMARY, Task.OTHER):
            self.assertIsNone(answer(kind, said("x")))

    def test_a_title_is_made_of_the_first_thing_said(self) -> None:
        for words, expected in [
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
                Task.TITLE,
                said(f"### Task:\nx\n<chat_history>\nUSER: {words}\nASSISTANT: y\n</chat_history>"),
            )
            self.assertEqual(json.loads(made or ""), {"title": expected}, words)

    def test_a_query_is_the_last_thing_said(self) -> None:
        text = "<chat_history>\nUSER: one\nASSISTANT: two\nUSER: three\n</chat_history>"
        self.assertEqual(answer(Task.QUERIES, said(text)), '{"queries": ["three"]}')

    def test_a_query_has_no_brace_that_the_app_would_begin_to_read_from(self) -> None:
        made = (
            answer(Task.QUERIES, said("<chat_history>\nUSER: what is { in {json: 1}?\n</chat_history>")) or ""
        )
        self.assertEqual(json.loads(made[made.rfind("{") :]), {"queries": ["what is in json: 1}?"]})

    def test_a_prompt_that_quotes_no_history_makes_no_title_of_itself(self) -> None:
        self.assertEqual(answer(Task.TITLE, said("Write a title.")), '{"title": "New chat"}')
        self.assertEqual(answer(Task.QUERIES, said("Write queries.")), '{"queries": []}')

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
