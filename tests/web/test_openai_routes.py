"""OpenAI's endpoints as an app sees them: against the vendor's schemas, whole and streamed, good and bad."""

from base64 import b64decode
from struct import unpack
from typing import Any

from openai.types import CreateEmbeddingResponse
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from llamaproxy.seams.errors import ModelError, ModelRateLimited
from llamaproxy.seams.types import Options, Reasoning, Text
from tests import schemas
from tests.support import CountingEmbedder, Front

from .surfaces import SurfaceCase

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, EMBEDDINGS = "/v1/responses", "/v1/embeddings"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def user(text: str = "hello") -> dict[str, Any]:
    return {"model": "gemini25", "messages": [{"role": "user", "content": text}]}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": parts}


class OptionTests(SurfaceCase):
    def options(self, path: str, body: dict[str, Any]) -> Options:
        self.complete(path, body)
        options = self.house.calls[-1].request.options
        assert isinstance(options, Options)
        return options

    def test_what_a_chat_asks_of_the_generation_reaches_the_model(self) -> None:
        for asked, expected in (
            ({}, Options()),
            ({"max_tokens": 5}, Options(max_tokens=5)),
            ({"max_tokens": 5, "max_completion_tokens": 7}, Options(max_tokens=7)),
            ({"max_tokens": -1}, Options()),
            ({"stop": "END"}, Options(stop=("END",))),
            ({"stop": ["a", "", "b"]}, Options(stop=("a", "b"))),
            ({"stop": None, "response_format": {"type": "text"}}, Options()),
            ({"response_format": {"type": "json_object"}}, Options(json_schema={})),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
                Options(json_schema=SCHEMA),
            ),
            ({"reasoning_effort": "low"}, Options(think="low")),
            ({"reasoning_effort": "none"}, Options(think=False)),
            ({"reasoning": {"effort": "high"}}, Options(think="high")),
            ({"n": 3, "user": "me", "store": True, "service_tier": "auto", "tools": []}, Options()),
        ):
            self.assertEqual(self.options(CHAT, {**user(), **asked}), expected, asked)

    def test_the_other_endpoints_ask_in_their_own_words(self) -> None:
        prompt = {"prompt": "hello", "max_tokens": 5, "stop": ["x"]}
        self.assertEqual(self.options(COMPLETIONS, prompt), Options(max_tokens=5, stop=("x",)))
        form = {"type": "json_schema", "name": "x", "strict": True, "schema": SCHEMA}
        asked = {"max_output_tokens": 9, "text": {"format": form}, "reasoning": {"effort": "low"}}
        self.assertEqual(
            self.options(RESPONSES, {"input": "hello", **asked}),
            Options(max_tokens=9, json_schema=SCHEMA, think="low"),
        )


class ChatTests(SurfaceCase):
    def test_an_answer_has_one_choice_and_all_that_is_required(self) -> None:
        body = self.complete(CHAT, {**user(), "n": 3}).json()
        schemas.check(body, schemas.CHAT)
        (choice,) = body["choices"]
        self.assertEqual(
            (choice["message"]["content"], choice["message"]["reasoning_content"]), ("Hi there", "hm")
        )

    def test_each_frame_has_all_that_is_required(self) -> None:
        asked = {**user(), "stream": True, "stream_options": {"include_usage": True}}
        *frames, usage, done = self.complete(CHAT, asked, finish_reason="length").events()
        for frame in (*frames, usage):
            schemas.check(frame, schemas.CHAT_CHUNK)
        self.assertEqual((frames[-1]["choices"][0]["finish_reason"], done), ("length", "[DONE]"))
        self.assertEqual((usage["choices"], usage["usage"]["total_tokens"]), ([], 8))

    def test_lists_and_cards_have_all_that_is_required(self) -> None:
        listed = self.front.ask("GET", "/v1/models").json()
        for card in listed["data"]:
            schemas.check(card, schemas.OPENAI_MODEL)
            schemas.check(self.front.ask("GET", f"/v1/models/{card['id']}").json(), schemas.OPENAI_MODEL)


class CompletionTests(SurfaceCase):
    def test_an_answer_has_all_that_is_required(self) -> None:
        for prompt in ("hello", ["hello"]):
            body = self.complete(COMPLETIONS, {"model": "m", "prompt": prompt}).json()
            schemas.check(body, schemas.COMPLETION)
            self.assertEqual((body["choices"][0]["text"], body["usage"]["total_tokens"]), ("Hi there", 8))
        self.assertEqual(self.house.calls[-1].prompt()[-1], ("user", "hello"))

    def test_a_stream_is_of_the_same_shape(self) -> None:
        asked = {"prompt": "hello", "stream": True, "stream_options": {"include_usage": True}}
        *frames, usage, done = self.complete(COMPLETIONS, asked).events()
        for frame in (*frames, usage):
            schemas.check(frame, schemas.COMPLETION)
        self.assertEqual("".join(frame["choices"][0]["text"] for frame in frames), "Hi there")
        self.assertEqual(frames[-1]["choices"][0]["finish_reason"], "stop")
        self.assertEqual((usage["usage"]["total_tokens"], done), (8, "[DONE]"))

    def test_it_is_a_turn_of_the_session(self) -> None:
        self.complete(COMPLETIONS, {"prompt": "one"})
        self.complete(CHAT, user("two"))
        self.assertEqual(
            self.house.calls[-1].prompt(), [("user", "one"), ("assistant", "Hi there"), ("user", "two")]
        )


class EmbeddingTests(SurfaceCase):
    def make_house(self, **options: Any) -> Any:
        self.embedder = CountingEmbedder("vectors")
        return super().make_house(embedders=[self.embedder], **options)

    def test_floats_for_one_text_and_for_several(self) -> None:
        for given, expected in (("four", [[4.0, 0.25]]), (["a", "four"], [[1.0, 1.0], [4.0, 0.25]])):
            body = self.front.ask("POST", EMBEDDINGS, {"model": "ada", "input": given}).json()
            schemas.check(body, schemas.EMBEDDINGS)
            CreateEmbeddingResponse.model_validate(body, strict=True)
            self.assertEqual([each["embedding"] for each in body["data"]], expected)
            self.assertEqual((body["model"], body["usage"]["total_tokens"]), ("ada", len(expected)))

    def test_base64_is_little_endian_float32(self) -> None:
        body = self.front.ask(
            "POST", EMBEDDINGS, {"model": "m", "input": "four", "encoding_format": "base64", "dimensions": 2}
        ).json()
        schemas.check(body, schemas.EMBEDDINGS)
        self.assertEqual(unpack("<2f", b64decode(body["data"][0]["embedding"])), (4.0, 0.25))
        self.assertEqual(self.embedder.dimensions, 2)

    def test_a_large_answer_is_encoded_in_turns(self) -> None:
        texts = ["a" * length for length in range(1, 201)]
        wire = self.front.connect().send("POST", EMBEDDINGS, {"input": texts})
        self.assertEqual(wire.transport.value(), b"")
        self.house.clock.pump([0] * 3)
        body = wire.response().json()
        schemas.check(body, schemas.EMBEDDINGS)
        self.assertEqual(
            [(each["index"], each["embedding"][0]) for each in body["data"]],
            [(index, index + 1) for index in range(200)],
        )

    def test_embeddings_touch_no_session(self) -> None:
        self.front.ask("POST", EMBEDDINGS, {"input": "hello"})
        self.assertEqual(len(self.house.agent.parts.sessions), 0)

    def test_an_embedder_has_a_card_but_is_not_offered_for_talking(self) -> None:
        ids = [card["id"] for card in self.front.ask("GET", "/v1/models").json()["data"]]
        self.assertNotIn("vectors", ids)
        schemas.check(self.front.ask("GET", "/v1/models/vectors").json(), schemas.OPENAI_MODEL)

    def test_failures_are_statuses_in_the_dialect(self) -> None:
        for failure, status in ((ModelError("it broke"), 502), (ModelRateLimited("slow down"), 429)):
            self.embedder.failure = failure
            response = self.front.ask("POST", EMBEDDINGS, {"input": "hello"})
            self.assertEqual(response.code, status)
            schemas.check(response.json(), schemas.OPENAI_ERROR)
        response = Front(super().make_house()).ask("POST", EMBEDDINGS, {"input": "hello"})
        self.assertEqual((response.code, response.json()["error"]["code"]), (400, "no_embedding_model"))


class ResponseTests(SurfaceCase):
    def check_events(self, events: list[tuple[str, Any]]) -> None:
        for name, data in events:
            self.assertEqual(name, data["type"])
            schemas.check(data, schemas.RESPONSE_EVENTS[name])
            EVENT.validate_python(data)
        self.assertEqual([data["sequence_number"] for _, data in events], list(range(len(events))))

    def test_an_answer_has_all_that_is_required(self) -> None:
        asked = {
            "model": "m",
            "input": "hello",
            "previous_response_id": "resp_1",
            "store": True,
            "metadata": {"a": "b"},
        }
        body = self.complete(RESPONSES, asked).json()
        schemas.check(body, schemas.RESPONSE)
        read = OpenAIResponse.model_validate(body)
        self.assertEqual((read.output_text, read.status, read.model), ("Hi there", "completed", "m"))
        self.assertEqual((body["previous_response_id"], body["metadata"]), ("resp_1", {"a": "b"}))
        self.assertEqual([item["type"] for item in body["output"]], ["reasoning", "message"])
        self.assertEqual(body["usage"]["total_tokens"], 8)

    def test_the_events_come_in_their_order_with_rising_numbers(self) -> None:
        events = self.named_events(self.complete(RESPONSES, {"model": "m", "input": "hello", "stream": True}))
        self.check_events(events)
        self.assertEqual(
            [name.removeprefix("response.") for name, _ in events],
            [
                "created", "in_progress",
                "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
                "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
                "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
                "output_text.done", "content_part.done", "output_item.done",
                "completed",
            ],
        )  # fmt: skip
        done = events[-1][1]["response"]
        self.assertEqual(OpenAIResponse.model_validate(done).output_text, "Hi there")
        added = [data["item"]["id"] for name, data in events if name == "response.output_item.added"]
        self.assertEqual(added, [item["id"] for item in done["output"]])

    def test_thoughts_after_words_are_an_item_of_their_own(self) -> None:
        wire = self.start(RESPONSES, {"input": "hello", "stream": True})
        self.house.calls[-1].send([Text("a"), Reasoning("b"), Text("c")])
        self.house.calls[-1].finish()
        events = self.named_events(wire.response())
        self.check_events(events)
        self.assertEqual(
            [item["type"] for item in events[-1][1]["response"]["output"]],
            ["message", "reasoning", "message"],
        )

    def test_an_answer_cut_by_its_limit_is_incomplete(self) -> None:
        for stream in (True, False):
            response = self.complete(RESPONSES, {"input": "hello", "stream": stream}, finish_reason="length")
            if stream:
                events = self.named_events(response)
                self.check_events(events)
                self.assertEqual(events[-1][0], "response.incomplete")
            body = events[-1][1]["response"] if stream else response.json()
            schemas.check(body, schemas.RESPONSE)
            self.assertEqual(body["incomplete_details"], {"reason": "max_output_tokens"})

    def test_a_failure_in_the_middle_is_a_failed_response(self) -> None:
        for error, code in (
            (ModelError("it broke"), "server_error"),
            (ModelRateLimited("no"), "rate_limit_exceeded"),
        ):
            wire = self.start(RESPONSES, {"input": "hello", "stream": True})
            self.house.calls[-1].say("Hi")
            self.house.calls[-1].fail(error)
            events = self.named_events(wire.response())
            self.check_events(events)
            name, data = events[-1]
            self.assertEqual((name, data["response"]["status"]), ("response.failed", "failed"))
            self.assertEqual(data["response"]["error"], {"code": code, "message": str(error)})
            self.assertEqual(data["response"]["output"][0]["content"][0]["text"], "Hi")

    def test_a_fraction_of_the_clients_is_given_back_alike_in_a_stream_and_as_a_whole(self) -> None:
        for temperature, written in ((0.7, b'"temperature":0.7'), (1e-7, b'"temperature":1e-07')):
            for stream in (True, False):
                response = self.complete(
                    RESPONSES, {"input": "hello", "stream": stream, "temperature": temperature}
                )
                self.assertEqual(response.body.count(written), 3 if stream else 1)

    def test_the_last_message_among_the_items_is_the_turn(self) -> None:
        parts = [{"type": "input_text", "text": "look"}, {"type": "input_text", "text": "here"}]
        self.complete(
            RESPONSES,
            {
                "instructions": "be rude",
                "input": [
                    {"role": "developer", "content": "evil"},
                    {"type": "message", "role": "user", "content": "old"},
                    {"type": "reasoning", "id": "rs_1", "summary": []},
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "x"}],
                    },
                    {"type": "message", "role": "user", "content": parts},
                    {"type": "function_call_output", "call_id": "c", "output": "5"},
                ],
            },
        )
        self.assertEqual(self.house.calls[-1].prompt(), [("user", "look\nhere")])

    def test_kept_responses_are_honestly_not_there(self) -> None:
        for method, path in (
            ("GET", "/v1/responses/resp_1"),
            ("DELETE", "/responses/resp_1"),
            ("GET", "/v1/responses/resp_1/input_items"),
            ("POST", "/v1/responses/resp_1/cancel"),
        ):
            response = self.front.ask(method, path)
            self.assertEqual(response.code, 404, path)
            schemas.check(response.json(), schemas.OPENAI_ERROR)
            self.assertIn("not kept here", response.json()["error"]["message"])


class PathTests(SurfaceCase):
    def test_the_endpoints_are_found_without_v1_as_well(self) -> None:
        for path, body, kind in (
            ("/completions", {"prompt": "hello"}, "text_completion"),
            ("/api/completions", {"prompt": "hello"}, "text_completion"),
            ("/responses/", {"input": "hello"}, "response"),
            ("/v1/v1/responses", {"input": "hello"}, "response"),
        ):
            self.assertEqual(self.complete(path, body).json()["object"], kind, path)
        response = self.front.ask("POST", "/embeddings", {"input": "hello"})
        self.assertEqual(response.json()["error"]["code"], "no_embedding_model")


class BadInputTests(SurfaceCase):
    def test_each_wrong_body_is_a_400_that_names_the_field(self) -> None:
        for path, body, field in (
            (CHAT, {**user(), "response_format": {"type": "xml"}}, "response_format"),
            (CHAT, {**user(), "response_format": {"type": "json_schema"}}, "response_format"),
            (CHAT, {**user(), "stop": 5}, "stop"),
            (CHAT, {**user(), "max_tokens": "many"}, "max_tokens"),
            (COMPLETIONS, {}, "prompt"),
            (COMPLETIONS, {"prompt": ""}, "prompt"),
            (COMPLETIONS, {"prompt": []}, "prompt"),
            (COMPLETIONS, {"prompt": ["a", "b"]}, "prompt"),
            (COMPLETIONS, {"prompt": [1, 2]}, "tokens"),
            (COMPLETIONS, {"prompt": [[1, 2]]}, "tokens"),
            (COMPLETIONS, {"prompt": {"text": "a"}}, "prompt"),
            (COMPLETIONS, {"prompt": "a", "stream": "yes"}, "stream"),
            (RESPONSES, {}, "input"),
            (RESPONSES, {"input": " "}, "input"),
            (RESPONSES, {"input": []}, "input"),
            (RESPONSES, {"input": 5}, "input"),
            (RESPONSES, {"input": [{"type": "reasoning"}]}, "input"),
            (RESPONSES, {"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
            (RESPONSES, {"input": [message({"type": "input_file"})]}, "input[0].content[0]"),
            (RESPONSES, {"input": [message({"type": "input_image", "image_url": "http://x/y"})]}, "links"),
            (RESPONSES, {"input": "x", "text": {"format": {"type": "json_schema"}}}, "schema"),
            (EMBEDDINGS, {}, "input"),
            (EMBEDDINGS, {"input": []}, "input"),
            (EMBEDDINGS, {"input": ["a", ""]}, "input[1]"),
            (EMBEDDINGS, {"input": [1, 2, 3]}, "tokens"),
            (EMBEDDINGS, {"input": [[1], [2]]}, "tokens"),
            (EMBEDDINGS, {"input": [None]}, "input"),
            (EMBEDDINGS, {"input": ["a"] * 2049}, "2048"),
            (EMBEDDINGS, {"input": "a", "encoding_format": "hex"}, "encoding_format"),
            (EMBEDDINGS, {"input": "a", "dimensions": 0}, "dimensions"),
        ):  # fmt: skip
            response = self.front.ask("POST", path, body)
            self.assertEqual(response.code, 400, (path, body))
            schemas.check(response.json(), schemas.OPENAI_ERROR)
            self.assertIn(field, response.json()["error"]["message"], (path, body))
        self.assertEqual(self.house.calls, [])

    def test_what_is_no_json_is_a_400_at_each_endpoint(self) -> None:
        for path in (CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS):
            for body in (b"", b"hello", b"[]", b"\xff\xfe{}", b"[" * 10_000, b'{"model": 5}'):
                response = self.front.ask("POST", path, body)
                self.assertEqual(response.code, 400, (path, body))
                schemas.check(response.json(), schemas.OPENAI_ERROR)
            self.assertEqual(self.front.ask("PUT", path).headers["allow"], "POST")
