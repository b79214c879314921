"""The one look that tells an ordinary message from an errand never overlooks one."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects.base import ChatRequest
from llamaproxy.dialects.errands import ANYWHERE, LONE, by_wording
from llamaproxy.dialects.shapes import by_shape, by_template, is_plain
from llamaproxy.seams.types import Options
from tests.backtracking import samples

from .test_housekeeping import CHAT, CHATBOX, CLIENTS, MERGE, NEAR_MISSES, SHAPES, TITLE, TITLED, request

WORDINGS = [(row.place, sample) for row in (*LONE, *ANYWHERE) for sample in samples(row.begins.pattern, 0)]
TEXTS = (
    *(row.asked.outline.text for row in CLIENTS),
    *(asked.outline.text for asked in (*SHAPES, *NEAR_MISSES)),
    *(sample for place, sample in WORDINGS if place == "text"),
    *(TITLE, MERGE, CHATBOX, "quota", "hello"),
)
SYSTEMS = (
    *(row.asked.outline.system for row in CLIENTS),
    *(asked.outline.system for asked in (*SHAPES, *NEAR_MISSES)),
    *(sample for place, sample in WORDINGS if place != "text"),
    *('Available Tools: [{"name": "clock"}]', 'Review the memories: {"operations": []}'),
)
BLANKS = ("", " ", "\n\n", "\t" * 19, " " * 21, "\u3000")
WORDS = (
    *BLANKS,
    "hello ",
    "conversation",
    "The name is:",
    "<chat_history>x</chat_history>",
    "title",
    "\nuser: x",
)

texts = st.lists(st.sampled_from((*WORDS, *TEXTS)), min_size=1, max_size=3).map("".join)
requests = st.builds(
    request,
    text=texts,
    system=st.sampled_from(("", "", *SYSTEMS)),
    stream=st.booleans(),
    before=st.sampled_from(((), (), CHAT, ("hello", "hi", *CHAT))),
    tools=st.booleans(),
    options=st.builds(
        Options,
        max_tokens=st.sampled_from((None, 1, 4, 8, 9, 500)),
        json_schema=st.sampled_from((None, {}, TITLED)),
    ),
)
agents = st.sampled_from(("", "Mozilla/5.0", "claude-cli/2.1", "codex_exec/0.171", "QwenCode/0.24"))


def is_errand(asked: ChatRequest, agent: str) -> bool:
    assert asked.turn is not None
    shape = by_shape(asked.outline, asked.turn.options, asked.stream, agent)
    return bool(by_wording(asked.outline) or by_template(asked.outline) or shape)


def is_plain_message(asked: ChatRequest, agent: str) -> bool:
    assert asked.turn is not None
    return is_plain(asked.outline, asked.turn.options, asked.stream, agent)


class PlainTests(SynchronousTestCase):
    def test_no_errand_is_plain(self) -> None:
        for row in CLIENTS:
            self.assertFalse(is_plain_message(row.asked, row.agent), row.client)
        for asked in SHAPES:
            self.assertFalse(is_plain_message(asked, ""), asked.outline.text)
        for text in TEXTS:
            for before in ((), CHAT):
                asked = request(text, before=before, stream=True)
                self.assertFalse(is_errand(asked, "") and is_plain_message(asked, ""), text)

    @settings(max_examples=1000, deadline=None)
    @given(requests, agents)
    def test_what_is_plain_is_no_errand(self, asked: ChatRequest, agent: str) -> None:
        self.assertFalse(is_plain_message(asked, agent) and is_errand(asked, agent))

    def test_what_people_say_is_plain(self) -> None:
        for text in ("go 7", "!help", "What is the capital of France?", "  write me a poem\nabout bread"):
            for before in ((), CHAT):
                self.assertTrue(
                    is_plain_message(request(text, before=before, stream=True), "ollama-python/0.5")
                )
