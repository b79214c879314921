"""The short way from a conversation to its request, for words alone, leads where the long one does."""

from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config.schema import ModelEntry
from llamaproxy.models.requests import ollama, openai
from llamaproxy.models.requests.lessons import Lessons
from llamaproxy.seams.types import Image, Message, ModelRequest, ToolCall

SETTINGS = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

TEXTS = st.sampled_from(["", " \n", "\u3000", "hello", " indented", "\ud83d"])
CALLS = st.sampled_from([(), (ToolCall(id="1", name="clock", arguments="{}"),)])
EXTRAS = st.sampled_from(
    [{}, {"OPENAI h m": {"reasoning_content": "hm"}}, {"OLLAMA h m": {"thinking": "hm"}}]
)
WORDS = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=TEXTS)
MESSAGES = st.one_of(
    WORDS,
    st.builds(
        Message, role=st.just("user"), content=TEXTS, images=st.sampled_from([(), (Image(data="QUJD"),)])
    ),
    st.builds(Message, role=st.just("assistant"), content=TEXTS, tool_calls=CALLS, extra=EXTRAS),
    st.builds(Message, role=st.just("tool"), content=TEXTS, tool_call_id=st.sampled_from([None, "1", "2"])),
)
LESSONS = st.builds(
    Lessons,
    no_system=st.booleans(),
    reasoning=st.booleans(),
    no_images=st.booleans(),
    no_extras=st.booleans(),
)
FORMATS = (("OPENAI", openai, openai.ChatRequests), ("OLLAMA", ollama, ollama.OllamaRequests))


class ShortWayTests(SynchronousTestCase):
    @SETTINGS
    @given(st.one_of(st.lists(WORDS, max_size=6), st.lists(MESSAGES, max_size=6)), LESSONS)
    def test_both_ways_make_the_same_request(self, messages: list[Message], lessons: Lessons) -> None:
        request = ModelRequest(messages=messages)
        for kind, module, make in FORMATS:
            requests = make(ModelEntry(type=kind, model_id="m", host="http://h"), "Model 'm'")
            short = requests.body(request, lessons)
            with patch.object(module, "words_alone", return_value=None):
                self.assertEqual(short, requests.body(request, lessons))
