"""Any schema of a tool becomes one that is taken, and any refusal at all leaves a request or an error in words."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import json
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from llamaproxy.config.schema import ModelEntry
from llamaproxy.models.requests.anthropic import MessagesRequests
from llamaproxy.models.requests.lessons import Learned, Lessons
from llamaproxy.models.requests.ollama import OllamaRequests
from llamaproxy.models.requests.openai import ChatRequests
from llamaproxy.models.requests.rules import ANTHROPIC, OLLAMA, OPENAI
from llamaproxy.models.requests.schemas import completed, plain
from llamaproxy.models.upstream.refusals import refusal
from llamaproxy.models.upstream.wire import encode
from llamaproxy.seams.types import Image, Message, ModelRequest, Options, ToolCall
from tests.vendors.vendor import incomplete

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(["a", "string", "array", "object", "#", "#/$defs/a", "int"]),
)
KEYS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$defs",
        "required",
        "enum",
        "prefixItems",
        "additionalProperties",
        "not",
        "const",
        "a",
        "b",
        "minimum",
        "exclusiveMinimum",
        "additionalItems",
        "patternProperties",
    ]
)
SCHEMAS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)
# Parts of refusals, and where servers put them.
WORDS = st.lists(
    st.sampled_from(
        [
            "tools",
            "clock",
            "stop",
            "temperature",
            "effort",
            "low",
            "minimal",
            "max_tokens",
            "image",
            "text",
            "null",
            "content",
            "signature",
            "response_format",
            "json_schema",
            "adaptive",
            "thinking",
            "grammar",
            "schema",
            "tool_call_id",
            "reasoning_content",
            "thought_signature",
            "system",
            "role",
            "must",
            "unsupported",
            "missing",
            "invalid",
            "both",
            "format",
            "tools[0]",
            "function_declarations[1]",
            "3",
            "9000",
            "not",
            "support",
            "too",
            "long",
        ]
    ),
    max_size=8,
).map(" ".join)
FIELDS = st.sampled_from(
    [
        "error",
        "message",
        "detail",
        "metadata",
        "raw",
        "loc",
        "msg",
        "param",
        "code",
        "type",
        "errors",
        "n_ctx",
        "field",
    ]
)
REFUSALS = st.recursive(
    st.one_of(WORDS, st.none(), st.integers(-1, 9000)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(FIELDS, inner, max_size=4)),
    max_leaves=8,
)

CALL = ToolCall(id="a.b", name="x.y", arguments="{", extra={"OPENAI h m": {"extra_content": 5}})
THOUGHTS: dict[str, dict[str, Any]] = {
    "OPENAI h m": {"reasoning_content": "hm"},
    "ANTHROPIC h m": {"blocks": [{"type": "thinking"}]},
}
HISTORY = (
    Message(role="system", content="s"),
    Message(role="user", content="q", images=(Image(data="QUJD"),)),
    Message(role="assistant", content="", tool_calls=(CALL,), extra=THOUGHTS),
    Message(role="tool", content="r", tool_call_id="a.b"),
)
REQUEST = ModelRequest(
    messages=HISTORY,
    tools=[{"name": name, "description": "", "parameters": {"type": "object"}} for name in ("clock", "a.b")],
    options=Options(max_tokens=5000, stop=("END",), json_schema={"type": "object"}, think="minimal"),
)
FORMATS = (
    ("OPENAI", ChatRequests, OPENAI),
    ("OLLAMA", OllamaRequests, OLLAMA),
    ("ANTHROPIC", MessagesRequests, ANTHROPIC),
)


class FuzzTests(SynchronousTestCase):
    @SETTINGS
    @given(SCHEMAS)
    def test_any_schema_becomes_complete(self, schema: Any) -> None:
        made = completed(schema)
        self.assertEqual((made["type"], type(made["properties"])), ("object", dict))
        self.assertFalse({"anyOf", "oneOf", "allOf", "not", "enum", "$ref"} & set(made))
        for each in (made, plain(made)):
            self.assertEqual(incomplete(each), "")
            json.encode(each)

    @SETTINGS
    @given(st.sampled_from((400, 404, 413, 422, 429, 500, 503)), REFUSALS)
    def test_any_refusal_leaves_a_request_to_be_made(self, status: int, body: Any) -> None:
        error = refusal("Model 'm'", status, Headers(), encode(body), 0.0)
        self.assertTrue(str(error).startswith(("Model 'm'", "The conversation is too long")))
        for kind, make, rules in FORMATS:
            requests = make(
                ModelEntry(type=kind, model_id="m", host="http://h", temperature=0.5), "Model 'm'"
            )
            lessons = Lessons()
            for rule in rules:
                learned: Learned | None = rule(error.said, requests.body(REQUEST, lessons), lessons)
                lessons = learned.lessons if learned else lessons
            self.assertTrue(requests.body(REQUEST, lessons)["messages"])
