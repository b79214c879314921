from typing import Any

from msgspec import json
from msgspec.structs import replace

from llamaproxy.seams.errors import ContextTooLong, ModelError, ModelTimeout, ModelUnavailable
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

from .fakes import KEY, Call, Connection
from .upstream.test_upstream import UpstreamTestCase

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
THINK = ModelRequest(messages=[Message(role="user", content="hello")], options=Options(think=True))
CLOCK = ToolCall(id="toolu_1", name="clock", arguments='{"zone":"UTC"}')
ASK, CALL_CLOCK, NOON = (
    Message(role="user", content="what time is it?"),
    Message(role="assistant", content="", tool_calls=(CLOCK,)),
    Message(role="tool", content="noon", tool_call_id="toolu_1"),
)


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.encode({"type": kind, **fields}))


def start(**usage: int) -> bytes:
    return event("message_start", message={"id": "msg_1", "role": "assistant", "content": [], "usage": usage})


def block(index: int, kind: str, **fields: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(index: int, kind: str, **fields: str) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def said(text: str, index: int = 0) -> bytes:
    return delta(index, "text_delta", text=text)


def end(reason: str = "end_turn", sequence: str | None = None, **usage: int) -> bytes:
    why = {"stop_reason": reason, "stop_sequence": sequence}
    return event("message_delta", delta=why, usage=usage) + event("message_stop")


THOUGHT = (
    block(0, "thinking", thinking="", signature="")
    + delta(0, "thinking_delta", thinking="let me ")
    + delta(0, "thinking_delta", thinking="look")
    + delta(0, "signature_delta", signature="c2ln")
)
CALLED = (
    block(1, "tool_use", id="toolu_1", name="clock", input={})
    + delta(1, "input_json_delta", partial_json='{"zone"')
    + delta(1, "input_json_delta", partial_json=':"UTC"}')
    + end("tool_use", output_tokens=9)
)


class AnthropicTestCase(UpstreamTestCase):
    def asked(self, *messages: Message, **fields: Any) -> Any:
        """The body that is sent for these messages."""
        options = fields.pop("options", Options())
        tools = fields.pop("tools", ())
        request = ModelRequest(messages=messages, options=options, tools=tools)
        _, connection = self.call(kind="ANTHROPIC", request=request, **fields)
        return connection.body

    def answered(self, *pieces: bytes, **fields: Any) -> tuple[Call, Connection]:
        call, connection = self.call(kind="ANTHROPIC", **fields)
        connection.begin()
        for piece in pieces:
            connection.send(piece)
        return call, connection


class RequestTests(AnthropicTestCase):
    def test_request_is_a_streamed_message_with_key_and_version(self) -> None:
        _, connection = self.call(kind="ANTHROPIC", env_key="MODEL_KEY")
        self.assertIn("POST /v1/messages HTTP/1.1", connection.head)
        self.assertIn(f"X-Api-Key: {KEY}", connection.head)
        self.assertIn("Anthropic-Version: 2023-06-01", connection.head)
        self.assertNotIn("Authorization", connection.head)
        self.assertEqual(
            connection.body,
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
                "stream": True,
                "max_tokens": 8192,
            },
        )

    def test_host_may_end_with_the_version(self) -> None:
        _, connection = self.call(kind="ANTHROPIC", host="http://127.0.0.1:8080/v1")
        self.assertIn("POST /v1/messages HTTP/1.1", connection.head)

    def test_what_entry_and_client_ask_for_is_sent(self) -> None:
        options = Options(max_tokens=5, stop=("END",), json_schema={"type": "object"})
        body = self.asked(
            ASK, options=options, temperature=0.5, top_k=3, extra={"metadata": {"user_id": "u"}}
        )
        self.assertEqual((body["max_tokens"], body["stop_sequences"]), (5, ["END"]))
        self.assertEqual((body["temperature"], body["top_k"], body["metadata"]), (0.5, 3, {"user_id": "u"}))
        schema = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
        self.assertEqual(body["output_config"], schema)

    def test_system_messages_stand_apart(self) -> None:
        body = self.asked(Message(role="system", content="Be brief."), ASK)
        self.assertEqual(body["system"], "Be brief.")
        self.assertEqual([turn["role"] for turn in body["messages"]], ["user"])

    def test_roles_alternate_from_the_user_on_and_no_text_is_empty(self) -> None:
        body = self.asked(
            Message(role="assistant", content="lost beginning"),
            Message(role="user", content="one"),
            Message(role="assistant", content=""),
            Message(role="user", content="two"),
            Message(role="assistant", content="three \n"),
            Message(role="user", content="four"),
        )
        self.assertEqual(
            [(turn["role"], [part["text"] for part in turn["content"]]) for turn in body["messages"]],
            [("user", ["one", "two"]), ("assistant", ["three"]), ("user", ["four"])],
        )

    def test_calls_that_begin_a_conversation_have_something_before_them(self) -> None:
        body = self.asked(CALL_CLOCK, NOON)
        self.assertEqual([turn["role"] for turn in body["messages"]], ["user", "assistant", "user"])

    def test_tools_calls_and_results_take_anthropics_form(self) -> None:
        tool = {"name": "clock", "description": "the time", "parameters": {"type": "object"}}
        twice = Message(
            role="assistant", content="wait", tool_calls=(CLOCK, ToolCall(id="t2", name="x", arguments="no"))
        )
        late = Message(role="tool", content="late", tool_call_id="t2")
        body = self.asked(ASK, twice, NOON, late, tools=[tool])
        self.assertEqual(
            body["tools"], [{"name": "clock", "description": "the time", "input_schema": NOTHING}]
        )
        _, assistant, results = body["messages"]
        self.assertEqual(
            assistant["content"],
            [
                {"type": "text", "text": "wait"},
                {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {"zone": "UTC"}},
                {"type": "tool_use", "id": "t2", "name": "x", "input": {}},
            ],
        )
        self.assertEqual(
            results,
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"},
                    {"type": "tool_result", "tool_use_id": "t2", "content": "late"},
                ],
            },
        )

    def test_calls_in_the_history_have_stand_ins_where_no_tools_are_offered(self) -> None:
        body = self.asked(ASK, CALL_CLOCK, NOON)
        self.assertEqual(
            (body["tools"], body["tool_choice"]),
            ([{"name": "clock", "input_schema": NOTHING}], {"type": "none"}),
        )
        self.assertNotIn("tools", self.asked(ASK))

    def test_pictures_go_before_their_text(self) -> None:
        picture = Image(data="QUJD", media_type="image/png")
        body = self.asked(Message(role="user", content="what is it?", images=(picture,)))
        source = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
        self.assertEqual(
            body["messages"][0]["content"],
            [{"type": "image", "source": source}, {"type": "text", "text": "what is it?"}],
        )


class ThinkingTests(AnthropicTestCase):
    def test_effort_asks_for_adaptive_thinking_without_sampling(self) -> None:
        body = self.asked(ASK, options=Options(think="low"), temperature=0.5)
        self.assertEqual(body["thinking"], {"type": "adaptive", "display": "summarized"})
        self.assertEqual(body["output_config"], {"effort": "low"})
        self.assertNotIn("temperature", body)

    def test_client_turns_off_what_the_entry_has_on(self) -> None:
        body = self.asked(ASK, options=Options(think=False), extra={"thinking": {"type": "adaptive"}})
        self.assertNotIn("thinking", body)

    def test_model_too_old_for_adaptive_thinking_gets_a_budget(self) -> None:
        call, connection = self.call(kind="ANTHROPIC", request=THINK)
        connection.answer(400, b'{"error": {"message": "adaptive thinking is not supported on this model"}}')
        connection = self.network.accept()
        self.assertEqual(connection.body["thinking"], {"type": "enabled", "budget_tokens": 4096})
        connection.begin()
        connection.send(said("hi") + end())
        self.result_of(call)

    def test_budget_fits_below_the_longest_answer(self) -> None:
        call, connection = self.call(kind="ANTHROPIC", request=THINK)
        connection.answer(400, b'{"error": {"message": "adaptive thinking is not supported on this model"}}')
        connection = self.network.accept()
        connection.begin()
        connection.send(said("hi") + end())
        self.result_of(call)
        for most, budget in ((500, None), (1024, None), (1025, 1024), (1500, 1024), (8192, 4096)):
            options = Options(think=True, max_tokens=most)
            call.model.chat(ModelRequest(messages=[ASK], options=options), call.listener)
            body = self.network.accept().body
            self.assertEqual((body.get("thinking") or {}).get("budget_tokens"), budget, most)
            self.assertEqual(body["max_tokens"], most)

    def test_operators_budget_gives_way_to_a_shorter_answer(self) -> None:
        thinking = {"thinking": {"type": "enabled", "budget_tokens": 4000}}
        for most, budget in ((500, None), (2000, 1999), (6000, 4000)):
            body = self.asked(ASK, options=Options(max_tokens=most), extra=thinking, temperature=0.5)
            self.assertEqual((body.get("thinking") or {}).get("budget_tokens"), budget, most)
            self.assertEqual("temperature" in body, budget is None)

    def test_effort_that_the_model_does_not_know_is_the_nearest(self) -> None:
        request = ModelRequest(messages=[ASK], options=Options(think="xhigh"))
        _, connection = self.call(kind="ANTHROPIC", request=request)
        words = "output_config.effort: Input should be 'low', 'medium' or 'high', got 'xhigh'"
        connection.answer(400, json.encode({"error": {"message": words}}))
        self.assertEqual(self.network.accept().body["output_config"], {"effort": "high"})

    def test_schema_that_the_model_does_not_take_is_told_in_words(self) -> None:
        schema = {"type": "object", "properties": {"title": {"type": "string"}}}
        request = ModelRequest(messages=[ASK], options=Options(json_schema=schema))
        _, connection = self.call(kind="ANTHROPIC", request=request)
        connection.answer(400, b'{"error": {"message": "output_config.format: not supported on this model"}}')
        body = self.network.accept().body
        self.assertNotIn("output_config", body)
        self.assertIn('"title"', body["system"])

    def test_thoughts_that_are_no_more_valid_are_left_out_for_that_conversation(self) -> None:
        call, _ = self.answered(start(input_tokens=3), THOUGHT, CALLED, request=THINK)
        called = replace(CALL_CLOCK, extra=self.result_of(call).extra)
        request = ModelRequest(messages=[ASK, called, NOON], options=Options(think=True))
        call.model.chat(request, call.listener)
        connection = self.network.accept()
        words = b'{"error": {"message": "messages.1.content.0: Invalid `signature` in `thinking` block"}}'
        connection.answer(400, words)
        connection = self.network.accept()
        self.assertEqual([each["type"] for each in connection.body["messages"][1]["content"]], ["tool_use"])
        self.assertNotIn("thinking", connection.body)
        connection.begin()
        connection.send(said("hi") + end())
        call.model.chat(request, call.listener)
        self.assertIn("thinking", self.network.accept().body)

    def test_thoughts_are_streamed_and_go_back_with_the_calls_that_they_led_to(self) -> None:
        call, _ = self.answered(start(input_tokens=3), THOUGHT, CALLED, request=THINK)
        result = self.result_of(call)
        self.assertEqual(result.tool_calls, (CLOCK,))
        self.assertEqual(call.listener.segments[0], [Reasoning("let me "), Reasoning("look")])
        called = replace(CALL_CLOCK, extra=result.extra)
        request = ModelRequest(messages=[ASK, called, NOON], options=Options(think=True))
        call.model.chat(request, call.listener)
        body = self.network.accept().body
        self.assertIn("thinking", body)
        self.assertEqual(
            body["messages"][1]["content"][0],
            {"type": "thinking", "thinking": "let me look", "signature": "c2ln"},
        )

    def test_redacted_thoughts_go_back_as_they_came(self) -> None:
        call, _ = self.answered(block(0, "redacted_thinking", data="eHl6") + CALLED, request=THINK)
        called = replace(CALL_CLOCK, extra=self.result_of(call).extra)
        call.model.chat(ModelRequest(messages=[ASK, called, NOON]), call.listener)
        body = self.network.accept().body
        self.assertEqual(body["messages"][1]["content"][0], {"type": "redacted_thinking", "data": "eHl6"})

    def test_turn_that_began_with_another_model_goes_on_without_thinking(self) -> None:
        self.assertNotIn("thinking", self.asked(ASK, CALL_CLOCK, NOON, options=Options(think=True)))

    def test_thoughts_of_earlier_turns_are_not_needed(self) -> None:
        done = Message(role="assistant", content="It is noon.")
        body = self.asked(ASK, CALL_CLOCK, NOON, done, ASK, options=Options(think=True))
        self.assertIn("thinking", body)


class AnswerTests(AnthropicTestCase):
    def test_text_is_streamed_to_the_counted_end(self) -> None:
        call, _ = self.answered(
            start(input_tokens=5, cache_read_input_tokens=7, output_tokens=1) + event("ping"),
            block(0, "text", text="") + said("a") + said("b"),
            end("max_tokens", output_tokens=2),
        )
        self.assertEqual(call.listener.segments, [[Text("a"), Text("b")]])
        result = self.result_of(call)
        self.assertEqual((result.finish_reason, result.usage), ("length", Usage(12, 2)))

    def test_stop_reasons_have_their_meaning(self) -> None:
        meanings = {
            "end_turn": "stop",
            "stop_sequence": "stop",
            "refusal": "refusal",
            "pause_turn": "pause_turn",
            "model_context_window_exceeded": "length",
            "something_new": "stop",
        }
        for reason, meaning in meanings.items():
            call, _ = self.answered(said("x") + end(reason))
            self.assertEqual(self.result_of(call).finish_reason, meaning)

    def test_text_that_ended_the_answer_is_reported(self) -> None:
        call, _ = self.answered(start(), said("Hi"), end("stop_sequence", "END"))
        result = self.result_of(call)
        self.assertEqual((result.finish_reason, result.stop_sequence), ("stop", "END"))

    def test_pieces_of_a_tool_call_are_put_together(self) -> None:
        call, _ = self.answered(said("wait"), CALLED)
        self.assertEqual(call.listener.segments[1][0], ToolCallDelta(0, "toolu_1", "clock", ""))
        result = self.result_of(call)
        self.assertEqual((result.finish_reason, result.tool_calls), ("tool_calls", (CLOCK,)))

    def test_call_without_arguments_has_an_empty_object(self) -> None:
        call, _ = self.answered(block(0, "tool_use", id="t", name="now", input={}), end("tool_use"))
        self.assertEqual(self.result_of(call).tool_calls[0].arguments, "{}")

    def test_thought_that_nobody_announced_is_still_a_thought(self) -> None:
        call, _ = self.answered(delta(3, "thinking_delta", thinking="hm") + said("so") + end())
        self.assertEqual(call.listener.segments, [[Reasoning("hm"), Text("so")]])
        self.result_of(call)

    def test_error_in_the_stream_ends_it_with_its_words(self) -> None:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        call, _ = self.answered(said("so"), event("error", error=error))
        self.assertIn("failed: Overloaded", str(self.error_of(call)))

    def test_stream_that_is_cut_or_ends_early_broke_off(self) -> None:
        for break_off in (Connection.cut, Connection.end):
            call, connection = self.answered(start(), said("so"))
            break_off(connection)
            self.assertIn("broke off in the middle", str(self.error_of(call, ModelError)))

    def test_what_is_no_json_is_an_error(self) -> None:
        call, _ = self.answered(said("so"), b"data: {oops\n\n")
        self.assertIn("sent what cannot be read", str(self.error_of(call)))

    def test_what_is_no_event_is_passed_over(self) -> None:
        for other in (b'data: {"no":"type"}\n\n', b"data: []\n\n", b"data: 7\n\n", b"data: ping\n\n"):
            call, _ = self.answered(said("so"), other, end())
            self.assertEqual((self.result_of(call).finish_reason, call.listener.text), ("stop", "so"))

    def test_silence_in_the_middle_is_a_timeout(self) -> None:
        call, connection = self.answered(said("so"), idle_timeout=20)
        self.network.clock.advance(20)
        self.error_of(call, ModelTimeout)
        self.assertTrue(connection.closed)


class RefusalTests(AnthropicTestCase):
    def refusal(self, kind: type[ModelError], status: int, error: str, message: str) -> ModelError:
        body = json.encode({"type": "error", "error": {"type": error, "message": message}})
        call, connection = self.call(kind="ANTHROPIC", env_key="MODEL_KEY")
        connection.answer(status, body)
        if kind is ModelUnavailable:
            self.network.next_attempt()
            self.network.accept().answer(status, body)
        return self.error_of(call, kind)

    def test_overloaded_api_is_asked_once_more(self) -> None:
        error = self.refusal(ModelUnavailable, 529, "overloaded_error", "Overloaded")
        self.assertIn("answered 529: Overloaded", str(error))

    def test_wrong_key_names_the_variable(self) -> None:
        error = self.refusal(ModelError, 401, "authentication_error", "invalid x-api-key")
        self.assertIn("set the environment variable MODEL_KEY", str(error))

    def test_prompt_over_the_limit_has_its_numbers(self) -> None:
        words = {
            "prompt is too long: 208310 tokens > 200000 maximum": (208310, 200000),
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000": (190000, 200000),
        }
        for message, numbers in words.items():
            error = self.refusal(ContextTooLong, 400, "invalid_request_error", message)
            assert isinstance(error, ContextTooLong)
            self.assertEqual((error.prompt_tokens, error.context_length), numbers)
