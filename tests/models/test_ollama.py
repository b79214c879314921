from msgspec import json

from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.types import Image, Message, ModelRequest, Options, Reasoning, Text, ToolCall, Usage

from .fakes import Call, Connection
from .upstream.test_upstream import UpstreamTestCase


def line(**fields: object) -> bytes:
    return json.encode({"model": "tiny", "created_at": "2025-01-01T00:00:00Z", **fields}) + b"\n"


def said(**message: object) -> bytes:
    return line(message={"role": "assistant", "content": "", **message}, done=False)


class OllamaTests(UpstreamTestCase):
    def answered(self, *lines: bytes) -> tuple[Call, Connection]:
        call, connection = self.call(kind="OLLAMA")
        connection.begin("application/x-ndjson")
        for each in lines:
            connection.send(each)
        return call, connection

    def test_request_is_a_native_chat_with_options(self) -> None:
        _, connection = self.call(
            kind="OLLAMA", temperature=0.1, max_tokens=5, context_length=2048, extra={"think": True}
        )
        self.assertIn("POST /api/chat HTTP/1.1", connection.head)
        self.assertEqual(
            connection.body,
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": "hello"}],
                "stream": True,
                "options": {"temperature": 0.1, "num_predict": 5, "num_ctx": 2048},
                "think": True,
            },
        )

    def test_what_the_client_asks_of_the_generation_is_passed_on(self) -> None:
        options = Options(max_tokens=5, stop=("END",), json_schema={}, think=False)
        _, connection = self.call(kind="OLLAMA", request=ModelRequest(messages=[], options=options))
        body = connection.body
        self.assertEqual(body["options"], {"num_predict": 5, "stop": ["END"]})
        self.assertEqual((body["format"], body["think"]), ("json", False))

    def test_model_that_cannot_think_is_not_asked_to_again(self) -> None:
        request = ModelRequest(messages=[], options=Options(think=True))
        call, connection = self.call(kind="OLLAMA", request=request)
        connection.answer(400, b'{"error":"\\"tiny\\" does not support thinking"}')
        connection = self.network.accept()
        self.assertNotIn("think", connection.body)
        connection.begin("application/x-ndjson")
        connection.send(said(content="hi") + line(done=True, done_reason="stop"))
        self.result_of(call)

    def test_images_and_calls_take_ollamas_form(self) -> None:
        calls = (
            ToolCall(id="1", name="clock", arguments='{"zone":"UTC"}'),
            ToolCall(id="2", name="odd", arguments="not json"),
        )
        request = ModelRequest(
            messages=[
                Message(role="user", content="see", images=(Image(data="QUJD"),)),
                Message(role="assistant", content="", tool_calls=calls),
            ]
        )
        _, connection = self.call(kind="OLLAMA", request=request)
        user, assistant = connection.body["messages"]
        self.assertEqual(user["images"], ["QUJD"])
        self.assertEqual(
            [call["function"] for call in assistant["tool_calls"]],
            [{"name": "clock", "arguments": {"zone": "UTC"}}, {"name": "odd", "arguments": {}}],
        )

    def test_results_have_the_name_and_the_id_of_their_calls(self) -> None:
        calls = (
            ToolCall(id="call_0", name="clock", arguments="{}"),
            ToolCall(id="call_0", name="functions.moon", arguments='{"x":'),
        )
        request = ModelRequest(
            messages=[
                Message(role="user", content="see"),
                Message(role="assistant", content="", tool_calls=calls),
                Message(role="tool", content="noon", tool_call_id="call_0"),
                Message(role="tool", content="full", tool_call_id="call_0"),
            ]
        )
        _, connection = self.call(kind="OLLAMA", request=request)
        _, assistant, noon, full = connection.body["messages"]
        ids = [call["id"] for call in assistant["tool_calls"]]
        self.assertEqual(len(set(ids)), 2)
        self.assertEqual(
            [(each["tool_name"], each["tool_call_id"], each["content"]) for each in (noon, full)],
            [("clock", ids[0], "noon"), ("functions_moon", ids[1], "full")],
        )

    def test_thinking_and_content_are_streamed_to_the_counted_end(self) -> None:
        last = line(
            message={"content": ""}, done=True, done_reason="length", prompt_eval_count=7, eval_count=2
        )
        call, _ = self.answered(said(thinking="hm"), said(content="a") + said(content="b"), last)
        self.assertEqual(call.listener.segments, [[Reasoning("hm")], [Text("a"), Text("b")]])
        result = self.result_of(call)
        self.assertEqual((result.finish_reason, result.usage), ("length", Usage(7, 2)))

    def test_tool_call_comes_whole_with_its_arguments_as_text(self) -> None:
        function = {"name": "clock", "arguments": {"zone": "UTC"}}
        call, _ = self.answered(
            said(tool_calls=[{"function": function}]), line(done=True, done_reason="stop")
        )
        result = self.result_of(call)
        self.assertEqual(result.finish_reason, "tool_calls")
        self.assertEqual(
            [(each.name, each.arguments) for each in result.tool_calls], [("clock", '{"zone":"UTC"}')]
        )
        self.assertIsNone(result.usage)

    def test_two_calls_without_ids_stay_apart(self) -> None:
        calls = [{"function": {"name": "a", "arguments": {}}}, {"function": {"name": "b"}}]
        call, _ = self.answered(said(tool_calls=calls), line(done=True))
        self.assertEqual(
            [(each.name, each.arguments) for each in self.result_of(call).tool_calls],
            [("a", "{}"), ("b", "{}")],
        )

    def test_error_line_is_the_models_error(self) -> None:
        call, _ = self.answered(said(content="so"), line(error="llama runner process has terminated"))
        self.assertIn("failed: llama runner process has terminated", str(self.error_of(call)))

    def test_stream_that_is_not_done_broke_off(self) -> None:
        call, connection = self.answered(said(content="so"))
        connection.end()
        self.assertIn("broke off", str(self.error_of(call, ModelError)))
