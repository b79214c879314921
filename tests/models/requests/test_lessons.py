"""What servers refuse costs that, and not the turn, and is not asked for again."""

from collections.abc import Callable
from typing import Any

from msgspec import json
from twisted.logger import capturedLogs, formatEvent

from llamaproxy.seams.errors import ContextTooLong, ModelError
from llamaproxy.seams.types import Image, Message, ModelRequest, Options, ToolCall

from ..fakes import DONE, Connection, event, finish
from ..upstream.test_upstream import UpstreamTestCase

ASK = Message(role="user", content="hello")
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
CALLED = (
    ASK,
    Message(
        role="assistant",
        content="",
        tool_calls=(ToolCall(id="call_0123456789", name="clock", arguments="{}"),),
    ),
    Message(role="tool", content="noon", tool_call_id="call_0123456789"),
)
NDJSON = "application/x-ndjson"
OLLAMA_END = b'{"message":{"content":"hi"},"done":true,"done_reason":"stop"}\n'


def tool(name: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"about {name}",
        "parameters": {"type": "object", "properties": {}, **schema},
    }


def asked(*messages: Message, **options: Any) -> ModelRequest:
    tools = options.pop("tools", ())
    return ModelRequest(messages=messages or (ASK,), tools=tools, options=Options(**options))


def words_of(body: Any) -> str:
    """What the prompt says."""
    return "\n".join(str(message["content"]) for message in body["messages"])


class LessonTestCase(UpstreamTestCase):
    def lesson(
        self, request: ModelRequest, *refusals: str | tuple[int, str], again: bool = True, **fields: Any
    ) -> Any:
        """The body that is sent after these refusals, and is taken; it is the first that is sent the next time.

        A refusal is OpenAI's error with these words, or a status and a body.
        """
        call, connection = self.call(request=request, **fields)
        for refusal in refusals:
            status, words = refusal if isinstance(refusal, tuple) else (400, "")
            body = words.encode() if words else json.encode({"error": {"message": refusal}})
            before = connection.body
            connection.answer(status, body)
            connection = self.network.accept()
            self.assertNotEqual(connection.body, before)
        self.take(connection, fields.get("kind", "OPENAI"))
        self.result_of(call)
        if again:
            call.model.chat(request, call.listener)
            self.assertEqual(self.network.accept().body, connection.body)
        return connection.body

    def take(self, connection: Connection, kind: str = "OPENAI") -> None:
        """The request is answered."""
        if kind == "OLLAMA":
            connection.begin(NDJSON)
            connection.send(OLLAMA_END)
        elif kind == "ANTHROPIC":
            connection.begin()
            connection.send(b'data: {"type":"message_stop"}\n\n')
        else:
            connection.begin()
            connection.send(event("hi") + finish() + DONE)


# The words of a refusal, what was wished for, and the fields that are sent then (None: not sent).
WISHES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
     {"max_tokens": 9}, {"max_tokens": None, "max_completion_tokens": 9}),
    ("max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
     {"max_tokens": 100_000}, {"max_tokens": 16384}),
    ("`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the "
     "`context_window` for this model", {"max_tokens": 9000}, {"max_tokens": None}),
    ("Invalid 'max_tokens': integer below minimum value. Expected a value >= 16, but got 5 instead.",
     {"max_tokens": 5}, {"max_tokens": 16}),
    ("Unsupported parameter: 'stop' is not supported with this model.", {"stop": ("END",)}, {"stop": None}),
    ("Argument not supported on this model: stop", {"stop": ("END",)}, {"stop": None}),
    ("stop: Extra inputs are not permitted", {"stop": ("END",)}, {"stop": None}),
    ("this model does not support stop", {"stop": ("END",)}, {"stop": None}),
    ("stop is not supported", {"stop": ("END",)}, {"stop": None}),
    ("This model doesn't support the stopSequences field. Remove stopSequences and try again.",
     {"stop": ("END",)}, {"stop": None}),
    ("Unrecognized request argument supplied: reasoning_effort", {"think": "low"}, {"reasoning_effort": None}),
    ("Model grok-4 does not support parameter reasoningEffort / reasoning_effort.",
     {"think": "high"}, {"reasoning_effort": None}),
    ("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: 'low', "
     "'medium', and 'high'.", {"think": "minimal"}, {"reasoning_effort": "low"}),
    ("Invalid value: 'xhigh'. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
     {"think": "xhigh"}, {"reasoning_effort": "high"}),
    ("`reasoning_effort` must be one of `none` or `default`", {"think": "high"}, {"reasoning_effort": None}),
    ("Input should be 'low', 'medium' or 'high' [type=literal_error, input_value='max']",
     {"think": "max"}, {"reasoning_effort": "high"}),
    ("'response_format.type' must be 'json_schema' or 'text'", {"json_schema": {}},
     {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}}),
    ("This response_format type is unavailable now", {"json_schema": SCHEMA},
     {"response_format": {"type": "json_object"}}),
    ("unknown field: stream_options", {}, {"stream_options": None}),
    ('Invalid JSON payload received. Unknown name "stream_options": Cannot find field.', {}, {"stream_options": None}),
)  # fmt: skip


class WishTests(LessonTestCase):
    def test_what_a_model_refuses_is_left_out_or_put_otherwise_from_then_on(self) -> None:
        for said, wished, wanted in WISHES:
            body = self.lesson(asked(**wished), said)
            self.assertEqual({name: body.get(name) for name in wanted}, wanted, said)

    def test_bodies_of_other_makers_name_the_field_too(self) -> None:
        loc = {
            "type": "extra_forbidden",
            "loc": ["body", "reasoning_effort"],
            "msg": "Extra inputs are not permitted",
        }
        echo: dict[str, Any] = {"input": {"messages": [], "stream_options": {}}}
        for status, body in (
            (422, {"detail": [{**loc, **echo}]}),
            (400, {"error": {"message": "Unknown parameter.", "param": "reasoning_effort"}}),
            (400, {"error": {"message": "Provider returned error", "metadata": {
                "raw": '{"error": {"message": "Extra inputs are not permitted: reasoning_effort"}}'}}}),
            (400, [{"error": {"message": "bad", "details": [{"fieldViolations": [{"field": "reasoning_effort"}]}]}}]),
        ):  # fmt: skip
            sent = self.lesson(asked(think="low"), (status, json.encode(body).decode()))
            self.assertNotIn("reasoning_effort", sent)
            self.assertIn("stream_options", sent)

    def test_wish_that_no_name_helps_is_dropped(self) -> None:
        body = self.lesson(
            asked(max_tokens=9),
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            "Unrecognized request argument supplied: max_completion_tokens",
        )
        self.assertFalse({"max_tokens", "max_completion_tokens"} & set(body))

    def test_json_that_no_form_asks_for_is_asked_for_in_words(self) -> None:
        for schema in ({}, SCHEMA):
            body = self.lesson(
                asked(json_schema=schema),
                "response_format: this type is not supported",
                "response_format is not supported by this model",
            )
            self.assertNotIn("response_format", body)
            self.assertIn("JSON", words_of(body))
            self.assertEqual('"properties"' in words_of(body), bool(schema))

    def test_one_schema_that_is_refused_is_told_in_words_and_the_next_is_tried(self) -> None:
        for said in (
            "Invalid schema for response_format 'answer': In context=(), 'additionalProperties' is required",
            "The provided JSON schema contains features not supported by xgrammar.",
            "failed to parse grammar",
        ):
            body = self.lesson(asked(json_schema=SCHEMA), said, again=False)
            self.assertEqual(body["response_format"], {"type": "json_object"})
            self.assertIn('"properties"', words_of(body))
            call, connection = self.call(request=asked(json_schema=SCHEMA))
            connection.answer(400, json.encode({"error": {"message": said}}))
            self.take(self.network.accept())
            self.result_of(call)
            call.model.chat(asked(json_schema=SCHEMA), call.listener)
            self.assertEqual(self.network.accept().body["response_format"]["type"], "json_schema")

    def test_schema_that_goes_out_as_any_json_is_told_in_words(self) -> None:
        body = self.lesson(asked(json_schema=SCHEMA), "This response_format type is unavailable now")
        self.assertIn('"properties"', words_of(body))

    def test_operators_own_fields_are_left_out_too_and_they_are_told(self) -> None:
        with capturedLogs() as log:
            body = self.lesson(
                asked(),
                "`temperature` and `top_p` cannot both be specified for this model.",
                "Unsupported value: 'temperature' does not support 0.5 with this model.",
                temperature=0.5,
                top_p=0.5,
            )
        self.assertFalse({"temperature", "top_p"} & set(body))
        told = [formatEvent(each) for each in log if "takes no" in str(each.get("note"))]
        self.assertEqual(told, ["Model 'm': takes no top_p", "Model 'm': takes no temperature"])

    def test_wrong_guess_is_forgotten(self) -> None:
        call, connection = self.call(temperature=0.5)
        connection.answer(400, b'{"error": {"message": "the temperature of our machines is too high"}}')
        connection = self.network.accept()
        self.assertNotIn("temperature", connection.body)
        connection.answer(400, b'{"error": {"message": "the temperature of our machines is too high"}}')
        self.error_of(call)
        call.model.chat(asked(), call.listener)
        self.assertIn("temperature", self.network.accept().body)

    def test_guess_that_did_not_help_is_forgotten_before_the_next(self) -> None:
        said = "Function tools with temperature are not supported for this model."
        body = self.lesson(asked(tools=[tool("clock")]), said, said, temperature=0.5)
        self.assertIn("tools", body)
        self.assertNotIn("temperature", body)

    def test_answer_that_its_own_server_cannot_read_is_asked_for_once_more(self) -> None:
        for said in (
            "error parsing tool call: raw='{\"a\"', err=unexpected end of JSON input",
            "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
            "Failed to parse input at pos 12: <|channel|>",
        ):
            for times in (1, 2):
                call, connection = self.call(request=asked(tools=[tool("clock")]))
                for _ in range(times):
                    before = connection.body
                    connection.answer(500, json.encode({"error": {"message": said}}))
                    if not call.done.called:
                        connection = self.network.accept()
                        self.assertEqual(connection.body, before)
                if times == 1:
                    self.take(connection)
                    self.result_of(call)
                else:
                    self.error_of(call)

    def test_lesson_is_kept_if_the_answer_breaks_off_or_is_too_long(self) -> None:
        def too_long(connection: Connection) -> None:
            connection.answer(400, b'{"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}')

        def cut(connection: Connection) -> None:
            connection.begin()
            connection.send(event("one"))
            connection.cut()

        ends: tuple[tuple[Callable[[Connection], None], type[ModelError]], ...] = (
            (too_long, ContextTooLong),
            (cut, ModelError),
        )
        for end, kind in ends:
            call, connection = self.call(request=asked(max_tokens=9))
            connection.answer(
                400, b'{"error": {"message": "Use \'max_completion_tokens\', not \'max_tokens\'"}}'
            )
            end(self.network.accept())
            self.error_of(call, kind)
            call.model.chat(asked(max_tokens=9), call.listener)
            self.assertIn("max_completion_tokens", self.network.accept().body)

    def test_refusal_in_the_stream_is_a_lesson_only_before_the_first_word(self) -> None:
        error = b'data: {"error": {"message": "Unsupported parameter: temperature"}}\n\n'
        call, connection = self.call(temperature=0.5)
        connection.begin()
        connection.send(error)
        connection = self.network.accept()
        self.assertNotIn("temperature", connection.body)
        self.take(connection)
        self.result_of(call)
        call, connection = self.streaming(temperature=0.5)
        connection.send(error)
        self.error_of(call)

    def test_what_is_no_refusal_of_the_question_teaches_nothing(self) -> None:
        for status in (401, 403, 429):
            call, connection = self.call(temperature=0.5)
            connection.answer(status, b'{"error": {"message": "no temperature for you"}}')
            self.failureResultOf(call.done, ModelError)

    def test_server_without_end_to_its_refusals_is_given_up(self) -> None:
        tools = [tool(f"tool_{at}") for at in range(100)]
        call, connection = self.call(request=asked(tools=tools))
        while not call.done.called:
            name = connection.body["tools"][0]["function"]["name"]
            connection.answer(
                400, json.encode({"error": {"message": f"Invalid schema for function '{name}'"}})
            )
            if not call.done.called:
                connection = self.network.accept()
        self.error_of(call)
        self.assertLess(self.network.attempts, 40)


class EffortTests(LessonTestCase):
    def test_words_of_apps_are_mapped_to_those_that_are_known(self) -> None:
        for kind, field, table in (
            ("OLLAMA", "think", {"minimal": "low", "xhigh": "high", "High": "high", "max": "high", "on": True,
                                 "none": False, "medium": "medium", "nonsense": None, "": None}),
            ("OPENAI", "reasoning_effort", {"minimal": "minimal", "xhigh": "xhigh", "High": "high", " LOW ": "low",
                                            "on": None, "off": None, "nonsense": None, "maximum": "max"}),
        ):  # fmt: skip
            for word, wanted in table.items():
                _, connection = self.call(kind=kind, request=asked(think=word))
                self.assertEqual(connection.body.get(field), wanted, (kind, word))

    def test_ollama_that_knows_no_effort_is_asked_to_think_and_then_not_at_all(self) -> None:
        one = (400, '{"error":"think value \\"low\\" is not supported for this model"}')
        self.assertIs(self.lesson(asked(think="low"), one, kind="OLLAMA")["think"], True)
        two = (400, '{"error":"invalid think value: true"}')
        self.assertNotIn("think", self.lesson(asked(think="low"), one, two, kind="OLLAMA"))


class ToolTests(LessonTestCase):
    def names(self, body: Any) -> list[str]:
        return [each["function"]["name"] for each in body.get("tools", ())]

    def test_tool_that_is_named_in_a_refusal_is_left_out(self) -> None:
        tools = [tool("clock"), tool("mcp_a"), tool("mcp_a_b")]
        for said in (
            "Invalid schema for function 'mcp_a_b': In context=('properties', 'x'), array schema missing items.",
            "tools.2.custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'",
            "Invalid 'tools[2].function.parameters': bad",
            "* GenerateContentRequest.tools[0].function_declarations[2].parameters.properties[x].items: missing field.",
        ):
            self.assertEqual(self.names(self.lesson(asked(tools=tools), said)), ["clock", "mcp_a"], said)

    def test_every_format_leaves_a_named_tool_out(self) -> None:
        tools = [tool("clock"), {**tool("bad"), "description": ""}]
        for kind in ("OPENAI", "OLLAMA", "ANTHROPIC"):
            body = self.lesson(asked(tools=tools), "tools.1.name: the tool 'bad' is refused", kind=kind)
            self.assertEqual(len(body["tools"]), 1, kind)

    def test_tools_that_the_operator_wrote_are_left_alone(self) -> None:
        own = {"tools": [{"type": "web_search"}]}
        call, connection = self.call(request=asked(tools=[tool("clock")]), extra=own)
        connection.answer(400, b'{"error": {"message": "tools[0]: no such tool"}}')
        self.error_of(call)

    def test_tool_that_was_refused_is_tried_again_once_it_is_another(self) -> None:
        call, connection = self.call(request=asked(tools=[tool("clock"), tool("bad", required=["x"])]))
        connection.answer(400, b'{"error": {"message": "Invalid schema for function \'bad\'"}}')
        self.take(self.network.accept())
        self.result_of(call)
        mended = {"type": "object", "properties": {"x": {"type": "string"}}}
        call.model.chat(asked(tools=[tool("clock"), {**tool("bad"), "parameters": mended}]), call.listener)
        self.assertEqual(self.names(self.network.accept().body), ["clock", "bad"])

    def test_too_many_tools_are_fewer_and_the_operator_is_told_once(self) -> None:
        tools = [tool(f"mcp_{at}") for at in range(140)]
        with capturedLogs() as log:
            call, connection = self.call(request=asked(tools=tools))
            self.assertEqual(self.names(connection.body), [f"mcp_{at}" for at in range(128)])
            self.take(connection)
            self.result_of(call)
            call.model.chat(asked(tools=tools), call.listener)
            self.network.accept()
        told = [formatEvent(each) for each in log if "llm_tools" in str(formatEvent(each))]
        self.assertEqual(len(told), 1)
        self.assertIn("Model 'm' takes 128 tools; 12 are left out: mcp_128, mcp_129", told[0])

    def test_server_that_takes_fewer_says_how_many(self) -> None:
        tools = [tool(f"mcp_{at}") for at in range(100)]
        for said in (
            "Invalid 'tools': array too long. Expected an array with maximum length 64, but got one of length 100",
            "The maximum number of tools is 64; 100 were given.",
        ):
            self.assertEqual(len(self.names(self.lesson(asked(tools=tools), said))), 64)

    def test_model_without_tools_is_told_of_them_in_words(self) -> None:
        for said in (
            "registry.ollama.ai/library/gemma3:4b does not support tools",
            "No endpoints found that support tool use.",
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "`tools` is not supported with this model",
        ):
            for kind, error in (("OPENAI", {"error": {"message": said}}), ("OLLAMA", {"error": said})):
                refusal = (400, json.encode(error).decode())
                body = self.lesson(asked(*CALLED, tools=[tool("clock")]), refusal, kind=kind)
                self.assertNotIn("tools", body)
                self.assertIn("about clock", words_of(body))
                self.assertNotIn("tool", {message["role"] for message in body["messages"]})

    def test_calls_of_the_history_have_stand_ins_where_the_server_wants_tools_beside_them(self) -> None:
        for said in (
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            "Anthropic expects the `tools=` param to be passed in.",
            "Requests which include `tool_use` or `tool_result` blocks must define tools.",
        ):
            body = self.lesson(asked(*CALLED), said)
            self.assertEqual((self.names(body), body["tool_choice"]), (["clock"], "none"))
            self.assertNotIn("tool_choice", self.lesson(asked(*CALLED, tools=[tool("clock")])))

    def test_refused_schemas_that_nobody_names_become_plain_and_then_words(self) -> None:
        tools = [tool("clock", additionalProperties=False)]
        said = "Unknown name in the schema: cannot find field."
        body = self.lesson(asked(tools=tools), said)
        self.assertNotIn("additionalProperties", body["tools"][0]["function"]["parameters"])
        self.assertNotIn("tools", self.lesson(asked(tools=tools), said, said))

    def test_descriptions_and_names_are_cut_to_what_is_taken(self) -> None:
        long = {**tool("web.search" * 10), "description": "x" * 5000}
        call, connection = self.call(request=asked(tools=[long]))
        [sent] = connection.body["tools"]
        self.assertEqual(len(sent["function"]["description"]), 1024)
        self.assertRegex(sent["function"]["name"], "^[A-Za-z0-9_-]{1,64}$")
        connection.begin()
        piece = {"index": 0, "id": "c", "function": {"name": sent["function"]["name"], "arguments": "{}"}}
        chunk = {"choices": [{"delta": {"tool_calls": [piece]}, "finish_reason": "tool_calls"}]}
        connection.send(b"data: " + json.encode(chunk) + b"\n\n" + DONE)
        self.assertEqual(self.result_of(call).tool_calls[0].name, "web.search" * 10)


class PromptTests(LessonTestCase):
    def test_prompt_is_put_as_the_server_takes_it(self) -> None:
        system = Message(role="system", content="Be kind.")
        seen = Message(role="user", content="what is it?", images=(Image(data="QUJD"),))
        for said, request, check in (
            ("Tool call id was call_0123456789 but must be a-z, A-Z, 0-9, with a length of 9.", asked(*CALLED),
             lambda body: len(body["messages"][1]["tool_calls"][0]["id"]) == 9
             and body["messages"][1]["tool_calls"][0]["id"] == body["messages"][2]["tool_call_id"]),
            ("The `reasoning_content` in the thinking mode must be passed back to the API.", asked(*CALLED),
             lambda body: body["messages"][1]["reasoning_content"] == " "),
            ("thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
             asked(*CALLED), lambda body: body["messages"][1]["reasoning_content"] == " "),
            ("Function call is missing a thought_signature in functionCall parts.", asked(*CALLED),
             lambda body: body["messages"][1]["tool_calls"][0]["extra_content"]["google"]["thought_signature"]),
            ("Jinja Exception: System role not supported", asked(system, ASK),
             lambda body: body["messages"] == [{"role": "user", "content": "Be kind.\n\nhello"}]),
            ("Developer instruction is not enabled for models/gemma-3-27b-it", asked(system, ASK),
             lambda body: [message["role"] for message in body["messages"]] == ["user"]),
            ("Unsupported value: 'messages[0].role' does not support 'system' with this model.", asked(system, ASK),
             lambda body: [message["role"] for message in body["messages"]] == ["user"]),
            ("No endpoints found that support image input", asked(seen),
             lambda body: body["messages"][0]["content"] == "what is it?\n[picture]"),
            ("unknown variant `image_url`, expected `text`", asked(seen),
             lambda body: body["messages"][0]["content"] == "what is it?\n[picture]"),
            ("Invalid 'messages[1].content': must be a string, got null", asked(*CALLED),
             lambda body: body["messages"][1]["content"] == ""),
        ):  # fmt: skip
            self.assertTrue(check(self.lesson(request, said)), said)

    def test_picture_that_is_too_large_is_told_and_the_next_one_is_sent(self) -> None:
        seen = Message(role="user", content="what is it?", images=(Image(data="QUJD"),))
        call, connection = self.call(request=asked(seen))
        connection.answer(400, b'{"error": {"message": "image exceeds 5 MB maximum"}}')
        self.assertIn("image exceeds 5 MB maximum", str(self.error_of(call)))
        call.model.chat(asked(seen), call.listener)
        self.assertIsInstance(self.network.accept().body["messages"][0]["content"], list)

    def test_pictures_of_results_reach_a_model_in_each_format(self) -> None:
        picture = Image(data="QUJD", media_type="image/png")
        ask, called, result = CALLED
        history = (
            ask,
            called,
            Message(role="tool", content="a cat", tool_call_id=result.tool_call_id, images=(picture,)),
        )
        bodies = {}
        for kind in ("OPENAI", "OLLAMA", "ANTHROPIC"):
            _, connection = self.call(request=asked(*history), kind=kind)
            bodies[kind] = connection.body["messages"]
        # A result may hold text only, so they follow their round.
        self.assertEqual([each["role"] for each in bodies["OPENAI"]], ["user", "assistant", "tool", "user"])
        self.assertEqual(
            bodies["OPENAI"][-1]["content"][-1]["image_url"]["url"], "data:image/png;base64,QUJD"
        )
        self.assertEqual(bodies["OLLAMA"][-1]["images"], ["QUJD"])
        [block] = bodies["ANTHROPIC"][-1]["content"]
        self.assertEqual([each["type"] for each in block["content"]], ["image", "text"])

    def test_mistrals_models_have_short_ids_from_the_first(self) -> None:
        for fields in ({"model_id": "mistralai/Devstral-Small"}, {"host": "http://api.mistral.ai/v1"}):
            _, connection = self.call(request=asked(*CALLED), **fields)
            self.assertRegex(connection.body["messages"][2]["tool_call_id"], "^[A-Za-z0-9]{9}$")
