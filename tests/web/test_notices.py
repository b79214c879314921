"""What nobody uses of a request is said, and what a client cannot go without is refused."""

from pathlib import Path
from typing import Any, cast

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.test.requesthelper import DummyRequest

from llamaproxy.models.upstream.refusals import refusal
from llamaproxy.web import streaming
from llamaproxy.web.notices import DAY, MOST_CLIENTS, Notices
from tests.support import Front, House, Response, ScriptedModel

USER = {"role": "user", "content": "hello"}
SYSTEM = {"role": "system", "content": "be brief"}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
CHAT, RESPONSES, MESSAGES, OLLAMA, GENERATE, OLD = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/api/chat",
    "/api/generate",
    "/v1/completions",
)
IGNORED = "x-llamaproxy-ignored"


def body(path: str, **more: Any) -> dict[str, Any]:
    """A request for an answer that is not streamed."""
    asked: dict[str, Any] = {"model": "m", "stream": False}
    if path == MESSAGES:
        asked["max_tokens"] = 100
    if path in (GENERATE, OLD):
        return {**asked, "prompt": "hello", **more}
    return {**asked, "input" if path == RESPONSES else "messages": [USER], **more}


class NoticeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(ScriptedModel("main"), folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)

    def answered(self, path: str, **more: Any) -> Response:
        wire = self.front.connect().send("POST", path, body(path, **more))
        self.house.calls[-1].answer("Hi.")
        return wire.response()


class IgnoredTests(NoticeCase):
    def test_header_names_what_the_agent_does_not_use(self) -> None:
        for path, more, expected in (
            (
                CHAT,
                {"tools": TOOLS, "tool_choice": "auto", "messages": [SYSTEM, USER]},
                "tools, tool_choice, system",
            ),
            (CHAT, {"functions": [{"name": "f"}], "function_call": "none"}, "functions, function_call"),
            (RESPONSES, {"instructions": "be brief", "tools": TOOLS}, "tools, instructions"),
            (RESPONSES, {"input": [{**SYSTEM, "role": "developer"}, USER]}, "system"),
            (
                MESSAGES,
                {"system": "be brief", "tools": TOOLS, "tool_choice": {"type": "auto"}},
                "tools, tool_choice, system",
            ),
            (MESSAGES, {"messages": [USER, SYSTEM]}, "system"),
            (OLLAMA, {"tools": TOOLS, "messages": [SYSTEM, USER]}, "tools, system"),
            (GENERATE, {"system": "be brief"}, "system"),
        ):
            for stream in (False, True):
                response = self.answered(path, **more, stream=stream)
                self.assertEqual(
                    (response.code, response.headers.get(IGNORED)), (200, expected), (path, more)
                )

    def test_there_is_none_where_everything_is_used(self) -> None:
        for path in (CHAT, RESPONSES, MESSAGES, OLLAMA, GENERATE, OLD):
            response = self.answered(path, tools=[], tool_choice=None)
            self.assertNotIn(IGNORED, response.headers, path)

    def test_operator_hears_of_each_client_once_a_day(self) -> None:
        lines: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(cast(Any, lines.append))
        self.addCleanup(globalLogPublisher.removeObserver, cast(Any, lines.append))
        now = [0.0]
        notices = Notices(lambda: now[0])

        def told(agent: str, *fields: str) -> int:
            lines.clear()
            request = DummyRequest([b""])
            request.requestHeaders.addRawHeader("user-agent", agent)
            cast(Any, request).request_id = "req_1"
            notices.tell(cast(Any, request), fields)
            return sum("does not use" in str(line.get("log_format")) for line in lines)

        self.assertEqual(
            [told("one/1 (x)", "tools"), told("one/1 (y)", "tools"), told("two/1", "tools")], [1, 0, 1]
        )
        self.assertEqual([told("one/1", "system"), told("three/1")], [1, 0])
        now[0] = DAY
        self.assertEqual([told("one/1", "tools"), told("one/1", "tools")], [1, 0])
        for number in range(MOST_CLIENTS):
            told(f"{number}/1", "tools")
        self.assertEqual(told("one/1", "tools"), 1)


class ForcedTests(NoticeCase):
    def test_choice_that_forces_a_tool_is_refused_with_the_reason(self) -> None:
        named = {"type": "function", "function": {"name": "f"}}
        for path, more in (
            (CHAT, {"tool_choice": named}),
            (CHAT, {"tool_choice": "required"}),
            (CHAT, {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": []}}),
            (CHAT, {"function_call": {"name": "f"}}),
            (RESPONSES, {"tool_choice": {"type": "function", "name": "f"}}),
            (RESPONSES, {"tool_choice": "required"}),
            (RESPONSES, {"tool_choice": {"type": "web_search"}}),
            (MESSAGES, {"tool_choice": {"type": "any"}}),
            (MESSAGES, {"tool_choice": {"type": "tool", "name": "f"}}),
            (OLLAMA, {"tool_choice": named}),
        ):
            for stream in (False, True):
                response = self.front.ask("POST", path, body(path, tools=TOOLS, stream=stream, **more))
                self.assertEqual(response.code, 400, (path, more))
                self.assertIn("tools of its own", response.body.decode(), path)
                self.assertNotEqual(response.headers.get("x-should-retry"), "true")
        self.assertEqual(self.house.calls, [])

    def test_choice_that_forces_none_is_not(self) -> None:
        for path, choice in (
            *(
                (CHAT, choice)
                for choice in ("auto", "none", None, {"type": "allowed_tools", "mode": "auto", "tools": []})
            ),
            *((MESSAGES, {"type": kind}) for kind in ("auto", "none")),
            (RESPONSES, "auto"),
        ):
            self.assertEqual(self.answered(path, tool_choice=choice).code, 200, choice)


class SchemaTests(NoticeCase):
    SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def test_schema_and_effort_of_anthropics_clients_reach_the_model(self) -> None:
        form = {"type": "json_schema", "schema": self.SCHEMA}
        for more, schema, think in (
            ({"output_config": {"format": form}}, self.SCHEMA, None),
            ({"output_format": form}, self.SCHEMA, None),
            ({"output_config": {"effort": "low"}}, None, "low"),
            ({"output_config": {"effort": "max"}, "thinking": {"type": "adaptive"}}, None, "max"),
            ({"output_config": {"effort": "max"}, "thinking": {"type": "disabled"}}, None, False),
            ({"output_config": None, "output_format": None}, None, None),
        ):
            self.answered(MESSAGES, **more)
            options = self.house.calls[-1].request.options
            self.assertEqual((options.json_schema, options.think), (schema, think), more)

    def test_broken_schema_is_the_clients_mistake(self) -> None:
        for schema, reason in (
            ({"type": "foo"}, "broken"),
            ({"type": "object", "properties": {"a": {"type": 5}}}, "properties/a"),
            ({"$ref": "#/$defs/nothing"}, "#/$defs/nothing"),
            ({"properties": {"a": {"$ref": "https://example.org/a.json"}}}, "example.org"),
        ):
            for path, more in (
                (
                    CHAT,
                    {
                        "response_format": {
                            "type": "json_schema",
                            "json_schema": {"name": "x", "schema": schema},
                        }
                    },
                ),
                (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}}),
                (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
                (OLLAMA, {"format": schema}),
                (GENERATE, {"format": schema}),
            ):
                response = self.front.ask("POST", path, body(path, **more))
                self.assertEqual(response.code, 400, (path, schema))
                self.assertIn(reason, response.body.decode(), (path, schema))
        self.assertEqual(self.house.calls, [])

    def test_schema_of_either_dialect_that_servers_know_is_taken(self) -> None:
        for schema in (
            {"$defs": {"a": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/a"}}},
            {"definitions": {"a/b": {}}, "properties": {"a": {"$ref": "#/definitions/a~1b"}}},
            {"items": [{"type": "string"}], "$schema": "http://json-schema.org/draft-07/schema#"},
            {"properties": {"a": {"$ref": "#"}}},
            {"properties": {f"p{n}": {"type": "foo"} for n in range(20_000)}},
        ):
            self.assertEqual(self.answered(OLLAMA, format=schema).code, 200)


class FinalTests(NoticeCase):
    """A refusal for good of the model's server."""

    def test_it_has_no_status_that_programs_repeat(self) -> None:
        for status in (400, 401, 403, 404, 422):
            for path in (CHAT, RESPONSES, MESSAGES, OLLAMA, GENERATE):
                for stream in (False, True):
                    # The same words again and again would be a loop.
                    caller = f"10.0.{status // 100}.{len(self.house.calls) + 1}"
                    wire = self.front.connect(caller).send("POST", path, body(path, stream=stream))
                    self.house.calls[-1].fail(
                        refusal("The model", status, Headers(), b'{"error": "no such thing"}', 0.0)
                    )
                    response = wire.response()
                    self.assertEqual(response.code, 424, (path, status))
                    self.assertIn("no such thing", response.body.decode())
                    if path.startswith("/v1"):
                        self.assertEqual(response.headers["x-should-retry"], "false")

    def test_reply_that_is_too_long_to_be_kept_whole_is_no_failure_of_the_server(self) -> None:
        self.patch(streaming, "WHOLE_LIMIT", 100)
        for path in (RESPONSES, MESSAGES, OLLAMA, CHAT):
            wire = self.front.connect()
            wire.send("POST", path, body(path))
            self.house.calls[-1].say("x" * 60, "y" * 60)
            response = wire.response()
            self.assertEqual(response.code, 424, path)
            self.assertIn("too long to be sent whole", response.body.decode())
            self.assertTrue(self.house.calls[-1].cancelled)

    def test_codex_is_told_in_a_status_that_it_does_not_repeat(self) -> None:
        wire = self.front.connect()
        wire.send("POST", RESPONSES, body(RESPONSES, stream=True), user_agent="codex_exec/0.171.0 (Debian)")
        self.house.calls[-1].fail(refusal("The model", 401, Headers(), b"", 0.0))
        self.assertEqual(wire.response().code, 400)

    def test_trouble_of_the_moment_keeps_its_status(self) -> None:
        for status, expected in ((500, 502), (503, 502), (408, 502), (429, 429)):
            wire = self.front.connect().send("POST", CHAT, body(CHAT))
            self.house.calls[-1].fail(refusal("The model", status, Headers(), b"", 0.0))
            self.assertEqual(wire.response().code, expected, status)
