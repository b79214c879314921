"""Any JSON in any field, in any order, cut anywhere: no answer is lost for a field that is not its text."""

import json as lenient
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.upstream.refusals import UNREADABLE
from llamaproxy.models.upstream.sse import TooLongError
from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.types import ModelDelta, Reasoning, Text

from .hearing import DONE, Heard, decoder, hear

END = b"END"
# Fields of all formats; what is the text, or leads to it, is left out where it must not be lost.
NAMES = (
    *(
        "id",
        "object",
        "type",
        "created",
        "model",
        "index",
        "role",
        "name",
        "logprobs",
        "finish_reason",
        "stop_reason",
    ),
    *(
        "usage",
        "system_fingerprint",
        "service_tier",
        "tool_calls",
        "function_call",
        "function",
        "arguments",
        "refusal",
    ),
    *(
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "extra_content",
        "thinking_blocks",
        "thinking",
        "data",
    ),
    *(
        "signature",
        "partial_json",
        "input",
        "stop_sequence",
        "done",
        "done_reason",
        "prompt_eval_count",
        "eval_count",
    ),
    *(
        "total_duration",
        "x_groq",
        "citations",
        "prompt_filter_results",
        "content_filter_results",
        "message",
        "images",
    ),
    *(
        "delta",
        "content",
        "text",
        "choices",
        "content_block",
        "status",
        "code",
        "detail",
        "errors",
        "success",
    ),
)
SPEAKING = ("delta", "content", "text", "choices", "message", "refusal", "content_block")

words = st.text(st.characters(exclude_categories=()), max_size=6)
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, -1, 2**64, 10**30, 1e300]))
leaves = st.one_of(
    st.none(), st.booleans(), numbers, words, st.sampled_from(["0", "2", "stop", "length", ""])
)
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(words, st.sampled_from(NAMES)), inner, max_size=4),
    ),
    max_leaves=8,
)
# Nothing in it that could be words of the answer, or an error.
silent = st.one_of(leaves.filter(lambda leaf: not isinstance(leaf, str)), st.lists(numbers, max_size=2))
fields = st.dictionaries(
    st.sampled_from([name for name in NAMES if name not in SPEAKING]), silent, max_size=4
)
cuts = st.lists(st.integers(0, 4000), max_size=6)


def text(value: Any) -> bytes:
    """JSON as anybody may write it, halves of emoji and NaN among it."""
    return lenient.dumps(value).encode()


def openai(piece: str, more: tuple[dict[str, Any], ...]) -> bytes:
    outer, choice, delta = more
    frame = {**outer, "choices": [{**choice, "delta": {**delta, "content": piece}}]}
    return b"data: %b\n\n" % text(frame)


def anthropic(piece: str, more: tuple[dict[str, Any], ...]) -> bytes:
    outer, _, delta = more
    frame = {"type": "content_block_delta", **outer, "delta": {**delta, "text": piece}}
    return b"event: content_block_delta\ndata: %b\n\n" % text(frame)


def ollama(piece: str, more: tuple[dict[str, Any], ...]) -> bytes:
    outer, _, message = more
    if outer.get("done") == 1:
        del outer["done"]  # then it is over
    return text({**outer, "message": {**message, "content": piece}}) + b"\n"


KINDS = {
    "OPENAI": (openai, b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n' + DONE),
    "ANTHROPIC": (
        anthropic,
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\ndata: {"type":"message_stop"}\n\n',
    ),
    "OLLAMA": (ollama, b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n'),
}


def cut(body: bytes, places: list[int]) -> Iterator[bytes]:
    ends = sorted({0, *(place % (len(body) + 1) for place in places), len(body)})
    yield from (body[start:end] for start, end in pairwise(ends)) if body else ()


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(sorted(KINDS)),
        st.lists(st.tuples(st.text(max_size=5), st.tuples(fields, fields, fields)), min_size=1, max_size=6),
        cuts,
    )
    def test_no_answer_is_lost_for_a_field_that_is_not_its_text(
        self, kind: str, pieces: list[tuple[str, tuple[dict[str, Any], ...]]], places: list[int]
    ) -> None:
        frame, end = KINDS[kind]
        body = b"".join(frame(piece, more) for piece, more in pieces)
        heard = hear(kind, *cut(body + end, places))
        self.assertEqual(heard.text, "".join(piece for piece, _ in pieces))
        self.check(heard)

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(sorted(KINDS)),
        st.lists(
            st.one_of(anything, st.dictionaries(st.sampled_from(NAMES), anything, max_size=5)), max_size=6
        ),
        st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"]),
        st.sampled_from([b"data: ", b"data:", b"event: error\ndata: ", b""]),
        cuts,
    )
    def test_whatever_comes_is_heard_or_refused_in_words(
        self, kind: str, frames: list[Any], end: bytes, field: bytes, places: list[int]
    ) -> None:
        body = b"".join(field + text(frame) + end for frame in frames) + KINDS[kind][1]
        whole, pieces = self.outcome(kind, [body]), self.outcome(kind, list(cut(body, places)))
        self.assertEqual(whole, pieces)

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(sorted(KINDS)), st.binary(max_size=60), cuts)
    def test_whatever_bytes_come_are_heard_or_refused_in_words(
        self, kind: str, noise: bytes, places: list[int]
    ) -> None:
        for body in (noise, noise + b"\n\n" + KINDS[kind][1], b"data: " + noise + b"\n\n" + KINDS[kind][1]):
            self.assertEqual(self.outcome(kind, [body]), self.outcome(kind, list(cut(body, places))))

    def outcome(self, kind: str, segments: list[bytes]) -> tuple[str, str, str]:
        """What was heard, the thoughts, and how it ended."""
        reading, deltas = decoder(kind), list[ModelDelta]()
        end = ""
        try:
            for segment in segments:
                reading.received(segment, deltas)
                if reading.finished:
                    break
            else:
                reading.ended(deltas)
        except (ModelError, TooLongError, *UNREADABLE) as error:
            end = type(error).__name__
            self.assertTrue(str(error))
        heard = [
            "".join(delta.text for delta in deltas if isinstance(delta, sort)) for sort in (Text, Reasoning)
        ]
        result = reading.result()
        if not end and result is not None:
            self.check(Heard(heard[0], heard[1], [], result))
            end = result.finish_reason
        return heard[0], heard[1], end

    def check(self, heard: Heard) -> None:
        """Whether it can be stored and sent on."""
        assert heard.result is not None
        if (usage := heard.result.usage) is not None:
            for number in (usage.prompt_tokens, usage.completion_tokens):
                self.assertTrue(0 <= number <= 3 * 2**53)
        for call in heard.result.tool_calls:
            json.encode([call.name.encode("utf-8", "replace").decode(), call.arguments])
