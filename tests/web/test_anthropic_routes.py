"""Anthropic's endpoints as an app sees them: against the vendor's schemas, whole and streamed, good and bad."""

from pathlib import Path
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.errors import ModelError, ModelRateLimited, ModelTimeout, ModelUnavailable
from llamaproxy.seams.types import Image, Options, Reasoning, Text
from llamaproxy.web.guard import Guard
from tests import schemas
from tests.support import Front, House, ScriptedModel

from .surfaces import SurfaceCase

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def ask(content: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": content}], **more}


class MessageTests(SurfaceCase):
    def check_events(self, events: list[tuple[str, Any]]) -> None:
        for name, data in events:
            self.assertEqual(name, data["type"])
            schemas.check(data, schemas.MESSAGE_EVENTS[name])
            if name not in ("ping", "error"):
                EVENT.validate_python(data)

    def test_an_answer_has_all_that_is_required(self) -> None:
        body = self.complete(MESSAGES, ask()).json()
        schemas.check(body, schemas.MESSAGE)
        Message.model_validate(body)
        self.assertEqual([block["type"] for block in body["content"]], ["thinking", "text"])
        self.assertEqual((body["content"][1]["text"], body["model"]), ("Hi there", "claude"))
        self.assertEqual((body["stop_reason"], body["usage"]["output_tokens"]), ("end_turn", 5))

    def test_the_events_come_in_their_order(self) -> None:
        events = self.named_events(self.complete(MESSAGES, ask(stream=True), finish_reason="length"))
        self.check_events(events)
        block = ["content_block_start", "content_block_delta", "content_block_stop"]
        self.assertEqual(
            [name for name, _ in events],
            ["message_start", *block, *block[:2], *block[1:], "message_delta", "message_stop"],
        )
        self.assertEqual([data["index"] for _, data in events if "index" in data], [0, 0, 0, 1, 1, 1, 1])
        last = events[-2][1]
        self.assertEqual((last["delta"]["stop_reason"], last["usage"]["input_tokens"]), ("max_tokens", 3))

    def test_text_that_ended_the_answer_is_named_where_the_model_says_so(self) -> None:
        why = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
        body = self.complete(MESSAGES, ask(stop_sequences=["END"]), stop_sequence="END").json()
        schemas.check(body, schemas.MESSAGE)
        self.assertEqual({key: body[key] for key in why}, why)
        events = self.named_events(self.complete(MESSAGES, ask(stream=True), stop_sequence="END"))
        self.check_events(events)
        self.assertEqual(events[-2][1]["delta"], why)

    def test_thoughts_after_words_are_a_block_of_their_own(self) -> None:
        wire = self.start(MESSAGES, ask(stream=True))
        self.house.calls[-1].send([Text("a"), Reasoning("b"), Text("c")])
        self.house.calls[-1].finish()
        events = self.named_events(wire.response())
        self.check_events(events)
        starts = [data["content_block"]["type"] for name, data in events if name == "content_block_start"]
        self.assertEqual(starts, ["text", "thinking", "text"])

    def test_silence_is_filled_with_pings(self) -> None:
        wire = self.start(MESSAGES, ask(stream=True))
        self.house.clock.advance(8)
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].finish()
        events = self.named_events(wire.response())
        self.check_events(events)
        self.assertEqual([name for name, _ in events[:2]], ["message_start", "ping"])

    def test_a_failure_in_the_middle_is_an_error_event(self) -> None:
        wire = self.start(MESSAGES, ask(stream=True))
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].fail(ModelError("it broke"))
        events = self.named_events(wire.response())
        self.check_events(events)
        self.assertEqual(events[-1][1]["error"], {"type": "api_error", "message": "it broke"})

    def test_it_is_the_same_session_with_the_same_commands(self) -> None:
        self.complete(MESSAGES, ask("one", system="be rude"))
        self.complete("/v1/chat/completions", ask("two"))
        self.assertEqual(
            self.house.calls[-1].prompt(), [("user", "one"), ("assistant", "Hi there"), ("user", "two")]
        )
        for stream in (True, False):
            self.assertIn(b"main-id", self.front.ask("POST", MESSAGES, ask("!model", stream=stream)).body)

    def test_blocks_of_text_and_pictures_are_the_turn(self) -> None:
        self.house = House(ScriptedModel(vision=True), folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        blocks = [
            {"type": "text", "text": "what is this"},
            {"type": "image", "source": source},
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "42"}]},
        ]
        self.complete(MESSAGES, ask(blocks))
        message = self.house.calls[-1].request.messages[-1]
        self.assertEqual(message.images, (Image(PNG, "image/png"),))
        self.assertRegex(message.content, r"<material (\w+): the result of a tool[^>]*>\n42\n</material \1>")
        self.assertTrue(message.content.endswith("[The user's own words:]\nwhat is this"))

    def test_what_is_asked_of_the_generation_reaches_the_model(self) -> None:
        for asked, expected in (
            ({}, Options(max_tokens=100)),
            ({"stop_sequences": ["x"]}, Options(max_tokens=100, stop=("x",))),
            ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Options(max_tokens=100, think=True)),
            ({"thinking": {"type": "disabled"}}, Options(max_tokens=100, think=False)),
            (
                {"temperature": 1, "metadata": {"user_id": "x"}, "tools": [], "top_k": 5},
                Options(max_tokens=100),
            ),
        ):
            self.complete(MESSAGES, ask(**asked))
            self.assertEqual(self.house.calls[-1].request.options, expected)


class CountTests(SurfaceCase):
    def count(self, body: dict[str, Any]) -> int:
        response = self.front.ask("POST", COUNT, body)
        self.assertEqual(response.code, 200)
        schemas.check(response.json(), schemas.TOKEN_COUNT)
        return int(response.json()["input_tokens"])

    def test_more_of_anything_counts_more(self) -> None:
        plain = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        least = self.count(plain)
        for more in (
            {"system": "be brief"},
            {"system": [{"type": "text", "text": "be brief"}]},
            {"tools": [{"name": "clock", "input_schema": {"type": "object"}}]},
            {"messages": [*plain["messages"], {"role": "assistant", "content": "yes?"}]},
            {"messages": [*plain["messages"], {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "tool_use", "id": "t", "name": "clock", "input": {"zone": "UTC"}},
            ]}]},
        ):  # fmt: skip
            self.assertGreater(self.count({**plain, **more}), least, more)
        self.assertEqual(len(self.house.agent.parts.sessions), 0)

    def test_whatever_messages_takes_is_counted(self) -> None:
        pdf = {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        }
        odd = {"type": "mystery", "x": [1]}
        document = {"type": "document", "source": {"type": "text", "data": "The sky is green."}}
        for content, earlier, status in (
            ("hello", [pdf, {"type": "text", "text": "sum it up"}], 200),
            ("hello", [odd], 200),
            ("hello", 7, 200),
            ([document], "hi", 200),
            ([{"type": "tool_result", "tool_use_id": "t", "content": "42"}], "hi", 200),
            ([pdf], "hi", 400),
            ([odd], "hi", 400),
            ("", "hi", 400),
        ):
            messages = [
                {"role": "user", "content": earlier},
                {"role": "assistant", "content": "Sure."},
                {"role": "user", "content": content},
            ]
            count = self.front.ask("POST", COUNT, {"model": "m", "messages": messages})
            wire = self.front.connect().send(
                "POST", MESSAGES, {"model": "m", "messages": messages, "max_tokens": 5}
            )
            for call in self.house.calls:
                if not call.result.called:
                    call.answer("Hi.")
            self.assertEqual((count.code, wire.response().code), (status, status), (content, earlier))


class ListTests(SurfaceCase):
    def test_who_sends_anthropics_header_gets_its_lists_and_cards(self) -> None:
        listed = self.front.ask("GET", "/v1/models", anthropic_version="2023-06-01").json()
        schemas.check(listed, schemas.ANTHROPIC_MODELS)
        self.assertEqual((listed["first_id"], listed["last_id"]), ("main", "other"))
        card = self.front.ask("GET", "/v1/models/main", anthropic_version="2023-06-01").json()
        schemas.check(card, schemas.ANTHROPIC_MODEL)
        missing = self.front.ask("GET", "/v1/models/gone", anthropic_version="2023-06-01")
        self.assertEqual(missing.code, 404)
        schemas.check(missing.json(), schemas.ANTHROPIC_ERROR)
        self.assertEqual(self.front.ask("GET", "/v1/models").json()["object"], "list")


class KeyTests(SurfaceCase):
    def test_x_api_key_is_a_key(self) -> None:
        self.front = Front(self.house, Guard(api_keys={"phone": "s3cret"}))
        for key, code in (("s3cret", 200), ("wrong", 401), ("", 401)):
            wire = self.front.connect("8.8.8.8").send("POST", MESSAGES, ask("!help"), x_api_key=key)
            self.assertEqual(wire.response().code, code, key)
        schemas.check(wire.response().json(), schemas.ANTHROPIC_ERROR)
        self.assertEqual(wire.response().json()["error"]["type"], "authentication_error")


class ErrorTests(SurfaceCase):
    def check_error(self, response: Any, status: int, kind: str) -> None:
        self.assertEqual(response.code, status)
        schemas.check(response.json(), schemas.ANTHROPIC_ERROR)
        self.assertEqual(response.json()["error"]["type"], kind)

    def test_each_wrong_body_is_a_400_that_names_the_field(self) -> None:
        image = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
        for path, body, field in (
            (MESSAGES, {"max_tokens": 5, "messages": ask()["messages"]}, "model"),
            (MESSAGES, {"model": "m", "messages": ask()["messages"]}, "max_tokens"),
            (MESSAGES, ask(max_tokens=0), "max_tokens"),
            (MESSAGES, ask(max_tokens="many"), "max_tokens"),
            (MESSAGES, ask(messages=[]), "messages"),
            (MESSAGES, ask(messages="hello"), "messages"),
            (MESSAGES, ask(messages=[{"role": "wizard", "content": "x"}]), "messages[0].role"),
            (MESSAGES, ask(messages=[{"role": "assistant", "content": "x"}]), "messages"),
            (MESSAGES, ask(""), "messages[0].content"),
            (MESSAGES, ask([{"type": "document"}]), "files"),
            (MESSAGES, ask([image]), "links"),
            (MESSAGES, ask([{"type": "image"}]), "source"),
            (MESSAGES, ask([{"type": "smell"}]), "smell"),
            (MESSAGES, ask(stream="yes"), "stream"),
            (MESSAGES, ask(stop_sequences="x"), "stop_sequences"),
            (MESSAGES, ask(thinking={"type": "hard"}), "thinking"),
            (COUNT, {"messages": ask()["messages"]}, "model"),
            (COUNT, {"model": "m"}, "messages"),
            (COUNT, {"model": "m", "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ):
            response = self.front.ask("POST", path, body)
            self.check_error(response, 400, "invalid_request_error")
            self.assertIn(field, response.json()["error"]["message"], body)
        for path in (MESSAGES, COUNT):
            for raw in (b"", b"hello", b"[]", b"\xff\xfe{}", b"[" * 10_000):
                self.check_error(self.front.ask("POST", path, raw), 400, "invalid_request_error")

    def test_other_refusals_have_the_same_form(self) -> None:
        self.check_error(self.front.ask("GET", "/v1/messages/batches"), 404, "not_found_error")
        self.check_error(self.front.ask("GET", MESSAGES), 405, "invalid_request_error")
        self.check_error(self.front.ask("POST", "/messages", b"x" * 100_001), 413, "request_too_large")
        self.front = Front(self.make_house(limits=Limits(queue=1)))
        for text in ("one", "two"):
            self.start(MESSAGES, ask(text))
        self.check_error(self.front.ask("POST", MESSAGES, ask("three")), 429, "rate_limit_error")

    def test_failure_before_the_first_token_is_a_status(self) -> None:
        for error, status, kind in (
            (ModelUnavailable("down"), 502, "api_error"),
            (ModelTimeout("silent"), 504, "timeout_error"),
            (ModelRateLimited("slow down"), 429, "rate_limit_error"),
        ):
            for stream in (True, False):
                wire = self.start(MESSAGES, ask(stream=stream))
                self.house.calls[-1].fail(error)
                self.check_error(wire.response(), status, kind)
