from typing import Any

from msgspec import json

from llamaproxy.seams.errors import ContextTooLong
from llamaproxy.seams.types import (
    Image,
    Message,
    ModelRequest,
    Options,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)

from .fakes import DONE, KEY, Call, event, finish
from .upstream.test_upstream import UpstreamTestCase

TOOL = {"name": "clock", "description": "the time", "parameters": {"type": "object", "properties": {}}}


def delta(**fields: object) -> bytes:
    return b"data: " + json.encode({"choices": [{"delta": fields}]}) + b"\n\n"


def piece(index: int | None, call_id: str | None, name: str | None, arguments: str) -> dict[str, object]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


class RequestTests(UpstreamTestCase):
    def test_request_is_a_streamed_chat_completion_with_the_key(self) -> None:
        _, connection = self.call(env_key="MODEL_KEY")
        self.assertIn("POST /v1/chat/completions HTTP/1.1", connection.head)
        self.assertIn(f"Authorization: Bearer {KEY}", connection.head)
        self.assertEqual(
            connection.body,
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": "hello"}],
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        )

    def test_only_what_the_entry_says_is_sent_and_extra_has_the_last_word(self) -> None:
        _, connection = self.call(temperature=0.5, top_k=20, max_tokens=9, extra={"seed": 7, "top_k": 30})
        sampling = {
            name: connection.body.get(name)
            for name in ("temperature", "top_k", "max_tokens", "seed", "top_p")
        }
        self.assertEqual(
            sampling, {"temperature": 0.5, "top_k": 30, "max_tokens": 9, "seed": 7, "top_p": None}
        )

    def test_what_the_client_asks_of_the_generation_is_passed_on(self) -> None:
        options = Options(max_tokens=5, stop=("END",), json_schema={"type": "object"}, think="low")
        _, connection = self.call(request=ModelRequest(messages=[], options=options), max_tokens=99)
        body = connection.body
        self.assertEqual((body["max_tokens"], body["stop"], body["reasoning_effort"]), (5, ["END"], "low"))
        schema = {"name": "answer", "schema": {"type": "object"}}
        self.assertEqual(body["response_format"], {"type": "json_schema", "json_schema": schema})

    def test_the_lower_of_two_limits_counts(self) -> None:
        for asked, own, sent in ((5, 99, 5), (99, 5, 5), (None, 5, 5), (5, None, 5)):
            request = ModelRequest(messages=[], options=Options(max_tokens=asked))
            _, connection = self.call(request=request, max_tokens=own)
            self.assertEqual(connection.body["max_tokens"], sent)

    def test_server_that_does_not_know_an_effort_is_asked_without_one_from_then_on(self) -> None:
        request = ModelRequest(messages=[], options=Options(think="low"))
        call, connection = self.call(request=request)
        connection.answer(400, b'{"error":{"message":"Unrecognized request argument: reasoning_effort"}}')
        connection = self.network.accept()
        self.assertNotIn("reasoning_effort", connection.body)
        self.assertIn("stream_options", connection.body)
        connection.begin()
        connection.send(event("hi") + finish() + DONE)
        self.result_of(call)

    def test_any_json_is_a_json_object(self) -> None:
        _, connection = self.call(request=ModelRequest(messages=[], options=Options(json_schema={})))
        self.assertEqual(connection.body["response_format"], {"type": "json_object"})

    def test_compression_is_not_asked_for(self) -> None:
        _, connection = self.call()
        self.assertIn("Accept-Encoding: identity", connection.head)
        self.assertNotIn("gzip", connection.head)

    def test_images_tools_and_calls_take_openais_form(self) -> None:
        request = ModelRequest(
            messages=[
                Message(
                    role="user", content="what is it?", images=(Image(data="QUJD", media_type="image/png"),)
                ),
                Message(
                    role="assistant",
                    content="",
                    tool_calls=(ToolCall(id="c1", name="clock", arguments='{"a":1}'),),
                ),
                Message(role="tool", content="noon", tool_call_id="c1"),
            ],
            tools=[TOOL],
        )
        _, connection = self.call(request=request)
        user, assistant, tool = connection.body["messages"]
        self.assertEqual(
            user["content"],
            [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            ],
        )
        self.assertEqual(
            assistant,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"a":1}'}}
                ],
            },
        )
        self.assertEqual(tool, {"role": "tool", "content": "noon", "tool_call_id": "c1"})
        self.assertEqual(connection.body["tools"], [{"type": "function", "function": TOOL}])

    def test_server_that_does_not_know_stream_options_is_asked_without_them(self) -> None:
        call, connection = self.call()
        connection.answer(400, b'{"error": {"message": "unknown field: stream_options"}}')
        connection = self.network.accept()
        self.assertNotIn("stream_options", connection.body)
        connection.begin()
        connection.send(event("hi") + finish() + DONE)
        self.assertIsNone(self.result_of(call).usage)


class AnswerTests(UpstreamTestCase):
    def test_usage_and_finish_reason_are_reported(self) -> None:
        call, connection = self.streaming()
        usage = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}
        connection.send(finish("length") + b"data: " + json.encode(usage) + b"\n\n" + DONE)
        result = self.result_of(call)
        self.assertEqual((result.usage, result.finish_reason), (Usage(12, 3), "length"))

    def test_unknown_finish_reason_is_a_stop(self) -> None:
        call, connection = self.streaming()
        connection.send(finish("eos") + DONE)
        self.assertEqual(self.result_of(call).finish_reason, "stop")

    def test_text_that_ended_the_answer_is_reported_where_the_server_says_so(self) -> None:
        for reason, sequence in (("END", "END"), (2, None), (None, None)):
            call, connection = self.streaming()
            last: dict[str, Any] = {"delta": {}, "finish_reason": "stop", "stop_reason": reason}
            connection.send(b"data: " + json.encode({"choices": [last]}) + b"\n\n" + DONE)
            self.assertEqual(self.result_of(call).stop_sequence, sequence)

    def test_reasoning_is_kept_apart_from_the_answer(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.send(delta(reasoning_content="hm") + delta(reasoning="so") + delta(content="yes"))
        self.assertEqual(call.listener.segments, [[Reasoning("hm"), Reasoning("so"), Text("yes")]])

    def test_chunks_that_carry_nothing_are_not_delivered(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.send(delta(role="assistant", content="") + delta(content=None) + b"data: {}\n\n")
        self.assertEqual((call.listener.segments, call.listener.registrations), ([], 0))

    def test_pieces_of_tool_calls_are_put_together(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.send(
            delta(tool_calls=[piece(0, "a", "clock", "")]) + delta(tool_calls=[piece(0, None, None, '{"z')])
        )
        connection.send(delta(tool_calls=[piece(1, "b", "moon", "{}"), piece(0, None, None, '":1}')]))
        connection.send(finish("tool_calls") + DONE)
        self.assertEqual(
            call.listener.segments[0], [ToolCallDelta(0, "a", "clock", ""), ToolCallDelta(0, "", "", '{"z')]
        )
        result = self.result_of(call)
        self.assertEqual(result.finish_reason, "tool_calls")
        self.assertEqual(
            result.tool_calls,
            (
                ToolCall(id="a", name="clock", arguments='{"z":1}'),
                ToolCall(id="b", name="moon", arguments="{}"),
            ),
        )

    def test_parallel_calls_under_one_index_stay_apart(self) -> None:
        for index in (0, None):
            call, connection = self.call()
            connection.begin()
            connection.send(delta(tool_calls=[piece(index, "a", "clock", "{}")]))
            connection.send(delta(tool_calls=[piece(index, "b", "moon", '{"x"')]))
            connection.send(delta(tool_calls=[piece(index, None, None, ":1}")]) + finish() + DONE)
            result = self.result_of(call)
            self.assertEqual(
                [(each.id, each.arguments) for each in result.tool_calls], [("a", "{}"), ("b", '{"x":1}')]
            )
            self.assertEqual(result.finish_reason, "tool_calls")

    def test_call_without_an_id_gets_one(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.send(delta(tool_calls=[piece(0, None, "clock", "{}")]) + DONE)
        self.assertRegex(self.result_of(call).tool_calls[0].id, "^call_[0-9a-f]{16}$")

    def test_error_in_the_stream_keeps_its_kind(self) -> None:
        call, connection = self.call()
        connection.begin()
        error = {"error": {"code": 400, "type": "exceed_context_size_error", "message": "no", "n_ctx": 64}}
        connection.send(b"data: " + json.encode(error) + b"\n\n")
        self.error_of(call, ContextTooLong)


class ExtraTests(UpstreamTestCase):
    """What a server adds to an answer goes back to it, and to nobody else."""

    def called(self, *pieces: bytes, **fields: Any) -> tuple[Call, list[Message]]:
        """A call whose answer these are, and the messages of the next request."""
        call, connection = self.call(**fields)
        connection.begin()
        connection.send(b"".join(pieces) + finish("tool_calls") + DONE)
        result = self.result_of(call)
        calls = result.tool_calls
        return call, [
            Message(role="user", content="hello"),
            Message(role="assistant", content="", tool_calls=calls, extra=result.extra),
            *(Message(role="tool", content="noon", tool_call_id=each.id) for each in calls),
        ]

    def answered(self, call: Call, messages: list[Message]) -> Any:
        """The assistant's message as it goes back."""
        call.model.chat(ModelRequest(messages=messages), call.listener)
        return self.network.accept().body["messages"][1]

    def test_thoughts_go_back_with_the_calls_that_they_led_to(self) -> None:
        clock = delta(tool_calls=[piece(0, "a", "clock", "{}")])
        for field in ("reasoning_content", "reasoning"):
            call, messages = self.called(delta(**{field: "let me "}), delta(**{field: "see"}), clock)
            self.assertEqual(self.answered(call, messages)[field], "let me see")

    def test_signature_goes_back_with_its_call(self) -> None:
        signed = {"google": {"thought_signature": "c2ln"}}
        first = {**piece(0, "a", "clock", "{}"), "extra_content": signed}
        call, messages = self.called(
            delta(tool_calls=[first]), delta(tool_calls=[piece(1, "b", "clock", "{}")])
        )
        one, other = self.answered(call, messages)["tool_calls"]
        self.assertEqual(one["extra_content"], signed)
        self.assertNotIn("extra_content", other)

    def test_thoughts_in_pieces_go_back_whole(self) -> None:
        clock = delta(tool_calls=[piece(0, "a", "clock", "{}")])
        details = [
            {"type": "reasoning.text", "text": "let me ", "index": 0},
            {"type": "reasoning.text", "text": "see", "signature": "c2ln", "index": 0},
            {"type": "reasoning.encrypted", "data": "eHl6", "index": 1},
        ]
        blocks = [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}]
        call, messages = self.called(
            *(delta(reasoning_details=[each]) for each in details), delta(thinking_blocks=blocks), clock
        )
        back = self.answered(call, messages)
        self.assertEqual(
            back["reasoning_details"],
            [
                {"type": "reasoning.text", "text": "let me see", "signature": "c2ln", "index": 0},
                {"type": "reasoning.encrypted", "data": "eHl6", "index": 1},
            ],
        )
        self.assertEqual(back["thinking_blocks"], blocks)

    def test_no_other_server_or_model_sees_them(self) -> None:
        first = {**piece(0, "a", "clock", "{}"), "extra_content": {"google": {"thought_signature": "c2ln"}}}
        _, messages = self.called(delta(reasoning_content="hm"), delta(tool_calls=[first]))
        others: tuple[dict[str, Any], ...] = ({"model_id": "other"}, {"host": "http://127.0.0.1:8081/v1"})
        for fields in others:
            call = Call(self.network, ModelRequest(messages=messages), **fields)
            back = self.network.accept().body["messages"][1]
            self.assertEqual(set(back), {"role", "content", "tool_calls"})
            self.assertEqual(set(back["tool_calls"][0]), {"id", "type", "function"})
            call.done.addErrback(lambda _: None).cancel()

    def test_they_are_bounded(self) -> None:
        clock = delta(tool_calls=[{**piece(0, "a", "clock", "{}"), "extra_content": {"x": "y" * 300_000}}])
        _, messages = self.called(*[delta(reasoning_content="x" * 10_000)] * 40, clock)
        self.assertEqual(len(json.encode(messages[1].extra)) // 1000, 131)
        self.assertEqual(messages[1].tool_calls[0].extra, {})
