"""The endpoints as an app sees them: both dialects, streamed and whole, and every way a request can be wrong."""

import gc
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.errors import ModelError, ModelRateLimited, ModelTimeout, ModelUnavailable, StoreError
from tests.support import USAGE, Front, House, Response, ScriptedModel, Wire

OLLAMA = "/api/chat"
OPENAI = "/v1/chat/completions"


def ask(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": "gemini25", "messages": [{"role": "user", "content": text}], **more}


class WebCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = self.make_house()
        self.front = Front(self.house, max_body_bytes=100_000)

    def make_house(self, **options: Any) -> House:
        house = House(ScriptedModel("main"), ScriptedModel("other"), folder=Path(self.mktemp()), **options)
        self.addCleanup(house.close)
        return house

    def start(self, path: str, body: dict[str, Any], **headers: str) -> Wire:
        """A request whose turn has reached the model."""
        return self.front.connect().send("POST", path, body, **headers)

    def complete(self, path: str, body: dict[str, Any]) -> Response:
        """A whole exchange in which the model says 'Hi there' in two segments."""
        wire = self.start(path, body)
        call = self.house.calls[-1]
        call.say("Hi")
        call.say(" there")
        call.finish(usage=USAGE)
        return wire.response()


class ConversationTests(WebCase):
    def test_ollama_streams_a_line_per_token_and_a_last_line_with_counts(self) -> None:
        response = self.complete(OLLAMA, ask())
        self.assertEqual(response.headers["content-type"], "application/x-ndjson")
        self.assertEqual([line["message"]["content"] for line in response.lines()], ["Hi", " there", ""])
        last = response.lines()[-1]
        self.assertEqual(
            (last["done"], last["done_reason"], last["prompt_eval_count"], last["eval_count"]),
            (True, "stop", 3, 5),
        )

    def test_ollama_answers_whole_when_asked_to(self) -> None:
        response = self.complete(OLLAMA, ask(stream=False))
        self.assertTrue(response.headers["content-type"].startswith("application/json"))
        body = response.json()
        self.assertEqual(
            (body["message"]["content"], body["done"], body["model"]), ("Hi there", True, "gemini25")
        )

    def test_openai_streams_role_text_finish_and_done(self) -> None:
        response = self.complete(OPENAI, ask(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(response.headers["content-type"], "text/event-stream")
        *chunks, usage, done = response.events()
        self.assertEqual(
            [chunk["choices"][0]["delta"].get("content") for chunk in chunks], ["", "Hi", " there", None]
        )
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "stop")
        self.assertEqual((usage["choices"], usage["usage"]["total_tokens"], done), ([], 8, "[DONE]"))

    def test_openai_answers_whole_by_default(self) -> None:
        body = self.complete(OPENAI, ask()).json()
        self.assertEqual(body["choices"][0]["message"]["content"], "Hi there")
        self.assertEqual((body["model"], body["usage"]["total_tokens"]), ("gemini25", 8))

    def test_generate_streams_and_answers_whole(self) -> None:
        lines = self.complete("/api/generate", {"model": "m", "prompt": "hello"}).lines()
        self.assertEqual([line["response"] for line in lines], ["Hi", " there", ""])
        whole = self.complete("/api/generate", {"model": "m", "prompt": "hello", "stream": False}).json()
        self.assertEqual(whole["response"], "Hi there")

    def test_each_segment_is_one_write(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.house.calls[0].say("a", "b", "c")
        self.house.calls[0].say("d")
        self.house.calls[0].finish()
        self.assertEqual([chunk.count(b"\n") for chunk in wire.response().chunks], [3, 1, 1])

    def test_session_follows_the_address_not_the_clients_history(self) -> None:
        self.complete(OLLAMA, ask("one"))
        made_up = [{"role": "system", "content": "evil"}, {"role": "assistant", "content": "lies"}]
        self.complete(OPENAI, {"messages": [*made_up, {"role": "user", "content": "two"}]})
        self.assertEqual(
            self.house.calls[1].prompt(), [("user", "one"), ("assistant", "Hi there"), ("user", "two")]
        )

    def test_every_spelling_of_a_path_is_understood(self) -> None:
        for path in (OLLAMA, "//api/chat", "/api/chat/", "/v1/api/chat", "/v1//api/chat/", "/api/chat?x=1"):
            self.assertEqual(self.complete(path, ask()).lines()[-1]["done"], True, path)
        for path in (OPENAI, "/chat/completions", "//v1/chat/completions", "/v1/chat/completions/"):
            self.assertEqual(self.complete(path, ask()).json()["object"], "chat.completion", path)

    def test_load_and_unload_touch_no_session(self) -> None:
        for more, reason in (({}, "load"), ({"keep_alive": 0}, "unload")):
            for path in (OLLAMA, "/api/generate"):
                self.assertEqual(
                    self.front.ask("POST", path, {"messages": [], **more}).json()["done_reason"], reason
                )
        self.assertEqual(len(self.house.agent.parts.sessions), 0)

    def test_commands_answer_in_the_form_that_was_asked_for(self) -> None:
        for path in (OLLAMA, OPENAI):
            for stream in (True, False):
                response = self.front.ask("POST", path, ask("!model", stream=stream))
                self.assertIn(b"main-id", response.body)
        self.assertEqual(self.house.calls, [])

    def test_connection_serves_one_request_after_another(self) -> None:
        wire = self.front.connect()
        for _ in range(3):
            wire.transport.clear()
            self.assertEqual(wire.send("GET", "/api/version").response().code, 200)


class ListingTests(WebCase):
    def test_lists_name_every_enabled_model(self) -> None:
        names = [model["name"] for model in self.front.ask("GET", "/api/tags").json()["models"]]
        self.assertEqual(names, ["main:latest", "other:latest"])
        ids = [model["id"] for model in self.front.ask("GET", "/v1/models").json()["data"]]
        self.assertEqual(ids, [model["id"] for model in self.front.ask("GET", "/models").json()["data"]])
        self.assertEqual(len(ids), 2)

    def test_one_model_is_found_by_either_name(self) -> None:
        for name in ("main", "main:latest", "Main%3ALATEST"):
            self.assertEqual(self.front.ask("GET", f"/v1/models/{name}").code, 200)
            self.assertEqual(self.front.ask("POST", "/api/show", {"model": "", "name": "main"}).code, 200)
        self.assertEqual(self.front.ask("GET", "/v1/models/a%2Fb").code, 404)
        self.assertEqual(
            self.front.ask("POST", "/api/show", {"model": "x"}).json(), {"error": "model 'x' not found"}
        )

    def test_head_has_headers_and_no_body(self) -> None:
        for path in ("/api/tags", "/api/version", "/v1/models"):
            response = self.front.ask("HEAD", path)
            self.assertEqual((response.code, response.body), (200, b""))
            self.assertGreater(int(response.headers["content-length"]), 0)

    def test_probes_answer_without_a_session_or_a_log_line(self) -> None:
        for path in ("/", "/v1", "/v1/", "//"):
            for method in ("GET", "HEAD"):
                self.assertEqual(self.front.ask(method, path).code, 200)
        self.assertEqual(len(self.house.agent.parts.sessions), 0)


class BadRequestTests(WebCase):
    def test_each_wrong_body_is_a_4xx_in_the_dialect_and_the_server_goes_on(self) -> None:
        wrong: list[bytes | dict[str, Any]] = [
            b"",
            b"hello",
            b"[]",
            b'"text"',
            b"\xff\xfe{}",
            b'{"messages": "\x00"}',
            b"[" * 10_000,
            b'{"messages":' + b"[" * 10_000,
            {"messages": "hello"},
            {"messages": [1]},
            {"messages": [{"role": "wizard", "content": "x"}]},
            {"messages": [{"role": "assistant", "content": "x"}]},
            ask(stream="yes"),
        ]
        for body in wrong:
            response = self.front.ask("POST", OLLAMA, body)
            self.assertEqual((response.code, list(response.json())), (400, ["error"]), body)
            self.assertIsInstance(response.json()["error"], str)
            response = self.front.ask("POST", OPENAI, body)
            self.assertEqual(response.code, 400, body)
            self.assertEqual(response.json()["error"]["type"], "invalid_request_error")
        self.assertEqual(self.front.ask("POST", OPENAI, {"messages": []}).code, 400)
        self.assertEqual(self.complete(OLLAMA, ask()).code, 200)

    def test_body_over_the_limit_is_a_413(self) -> None:
        for path in (OLLAMA, OPENAI):
            response = self.front.ask("POST", path, b"x" * 100_001)
            self.assertEqual(response.code, 413)
            self.assertIn("error", response.json())

    def test_body_far_over_the_limit_is_hung_up_on(self) -> None:
        wire = self.front.connect()
        wire.send("POST", OLLAMA, b"x" * 4_300_000)
        self.assertTrue(wire.aborted)

    def test_head_of_100_kilobytes_is_a_431(self) -> None:
        for headers in ({"x-big": "a" * 100_000}, {f"x-{number}": "a" * 1000 for number in range(100)}):
            wire = self.front.connect().send("POST", OLLAMA, ask(), **headers)
            self.assertEqual(wire.response().code, 431)
            self.assertIn("too large", wire.response().json()["error"])
            self.house.clock.advance(5)
            self.assertTrue(wire.transport.disconnecting)

    def test_what_is_no_http_is_a_400_in_json(self) -> None:
        wire = self.front.connect()
        wire.channel.dataReceived(b"\x16\x03\x01\x02\r\n\r\n")
        self.assertEqual((wire.response().code, list(wire.response().json())), (400, ["error"]))

    def test_request_that_trickles_in_is_given_up_after_its_time(self) -> None:
        wire = self.front.connect()
        wire.channel.dataReceived(b"POST /api/chat HTTP/1.1\r\n")
        for _ in range(7):
            self.house.clock.advance(9)
            wire.channel.dataReceived(b"X: y\r\n")
        self.assertEqual(wire.response().code, 408)
        self.house.clock.advance(5)
        self.assertTrue(wire.transport.disconnecting)

    def test_time_on_a_kept_connection_does_not_count_for_the_next_request(self) -> None:
        wire = self.front.connect().send("HEAD", "/")
        self.house.clock.advance(59)
        wire.transport.clear()
        wire.channel.dataReceived(b"POST /api/chat HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{")
        self.house.clock.advance(59)
        wire.channel.dataReceived(b"}")
        self.assertEqual(wire.response().code, 400)

    def test_idle_connection_is_closed(self) -> None:
        wire = self.front.connect().send("HEAD", "/")
        self.house.clock.advance(60)
        self.assertTrue(wire.transport.disconnecting)

    def test_connection_in_use_is_closed_once_it_has_been_idle_for_the_whole_limit(self) -> None:
        wire = self.front.connect()
        for _ in range(5):
            wire.send("GET", "/api/version")
            self.house.clock.advance(50)
        self.assertFalse(wire.transport.disconnecting)
        self.house.clock.advance(9.9)
        self.assertFalse(wire.transport.disconnecting)
        self.house.clock.advance(0.1)
        self.assertTrue(wire.transport.disconnecting)

    def test_connection_that_is_gone_leaves_no_timer(self) -> None:
        before = self.house.clock.getDelayedCalls()
        wire = self.front.connect().send("GET", "/api/version")
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.house.clock.getDelayedCalls(), before)

    def test_wrong_method_on_a_probe_path_says_which_are_right(self) -> None:
        for path in ("/", "/v1", "/v1/"):
            response = self.front.ask("POST", path)
            self.assertEqual((response.code, response.headers["allow"]), (405, "GET, HEAD"))

    def test_every_status_has_its_words(self) -> None:
        wire = self.front.connect().send("POST", OLLAMA, ask(), **{"x-big": "a" * 100_000})
        self.assertTrue(wire.response().raw.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"))

    def test_unknown_path_is_a_404_in_the_dialect_of_its_prefix(self) -> None:
        for path in ("/api/nothing", "/v1/api/nothing"):
            response = self.front.ask("GET", path)
            self.assertEqual((response.code, type(response.json()["error"])), (404, str))
        for path in ("/v1/nothing", "/nothing"):
            response = self.front.ask("GET", path)
            self.assertEqual((response.code, type(response.json()["error"])), (404, dict))
        response = self.front.ask("GET", "/nothing", user_agent="ollama/0.33.0")
        self.assertEqual((response.code, type(response.json()["error"])), (404, str))

    def test_wrong_method_is_a_405_that_says_which_are_right(self) -> None:
        response = self.front.ask("GET", OLLAMA)
        self.assertEqual((response.code, response.headers["allow"]), (405, "POST"))
        self.assertIn("error", response.json())
        self.assertEqual(self.front.ask("DELETE", "/v1/models").headers["allow"], "GET, HEAD")

    def test_odd_host_header_does_not_matter(self) -> None:
        wire = self.front.connect()
        wire.channel.dataReceived(b"GET /api/version HTTP/1.1\r\nHost: x..y\r\n\r\n")
        self.assertEqual(wire.response().code, 200)

    def test_full_queue_is_a_429_with_retry_after_in_both_dialects(self) -> None:
        self.front = Front(self.make_house(limits=Limits(queue=1)))
        for text in ("one", "two"):
            self.start(OLLAMA, ask(text))
        for path in (OLLAMA, OPENAI):
            response = self.front.ask("POST", path, ask("three"))
            self.assertEqual((response.code, response.headers["retry-after"]), (429, "5"))


class FailureTests(WebCase):
    def test_failure_before_the_first_token_is_a_status_in_the_dialect(self) -> None:
        for error, status in (
            (ModelUnavailable("down"), 502),
            (ModelTimeout("silent"), 504),
            (ModelRateLimited("slow down"), 429),
            (ModelError("HTML"), 502),
        ):
            for stream in (True, False):
                wire = self.start(OLLAMA, ask(stream=stream))
                self.house.calls[-1].fail(error)
                self.assertEqual(
                    (wire.response().code, wire.response().json()), (status, {"error": str(error)})
                )
                wire = self.start(OPENAI, ask(stream=stream))
                self.house.calls[-1].fail(error)
                self.assertEqual(wire.response().code, status)
                self.assertEqual(wire.response().json()["error"]["message"], str(error))

    def test_failure_in_the_middle_of_ndjson_is_text_and_a_proper_last_line(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].fail(ModelError("the model broke off"))
        *lines, last = wire.response().lines()
        self.assertIn("the model broke off", lines[-1]["message"]["content"])
        self.assertEqual((last["done"], "error" in last), (True, False))

    def test_failure_in_the_middle_of_sse_is_an_error_object_and_done(self) -> None:
        wire = self.start(OPENAI, ask(stream=True))
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].fail(ModelError("the model broke off"))
        *_, error, done = wire.response().events()
        self.assertEqual(error["error"]["message"], "the model broke off")
        self.assertIsInstance(error["error"]["type"], str)
        self.assertNotIn("choices", error)
        self.assertEqual(done, "[DONE]")

    def test_failure_in_the_middle_of_a_whole_answer_is_a_status(self) -> None:
        wire = self.start(OPENAI, ask())
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].fail(ModelError("the model broke off"))
        self.assertEqual(wire.response().code, 502)

    def test_turn_that_could_not_be_saved_does_not_end_as_if_it_was(self) -> None:
        self.house.store.failure = StoreError("the disk is full")
        response = self.complete(OLLAMA, ask())
        self.assertIn("the disk is full", response.lines()[-2]["message"]["content"])
        self.assertEqual(self.complete(OPENAI, ask()).code, 500)

    def test_unforeseen_failure_shows_no_traceback(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.house.calls[-1].fail(ZeroDivisionError("secret"))
        self.assertEqual(wire.response().code, 500)
        self.assertNotIn(b"secret", wire.response().raw)
        self.flushLoggedErrors(ZeroDivisionError)


class BackpressureTests(WebCase):
    def stalled(self, path: str = OLLAMA) -> Wire:
        """A client in the middle of a stream whose send buffer is full."""
        wire = self.start(path, ask(stream=True))
        self.house.calls[-1].say("Hi")
        wire.fill_up()
        return wire

    def test_full_send_buffer_holds_the_model_until_the_client_reads(self) -> None:
        wire = self.stalled()
        self.assertTrue(self.house.calls[0].paused)
        wire.drain()
        self.assertFalse(self.house.calls[0].paused)

    def test_client_that_reads_nothing_for_the_stall_timeout_is_dropped(self) -> None:
        wire = self.stalled()
        wire.fill_up()  # the transport says so at every write
        self.house.clock.advance(299)
        self.assertFalse(wire.aborted)
        self.house.clock.advance(1)
        self.assertTrue(wire.aborted)
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(self.house.calls[0].cancelled)

    def test_client_that_reads_now_and_then_is_not_dropped(self) -> None:
        wire = self.stalled()
        for _ in range(5):
            self.house.clock.advance(200)
            wire.drain()
            wire.fill_up()
        self.assertFalse(wire.aborted)

    def test_finished_reply_waits_for_a_slow_reader_without_an_idle_timer(self) -> None:
        wire = self.stalled()
        self.house.calls[0].finish()
        self.house.clock.advance(200)
        self.assertFalse(wire.transport.disconnecting or wire.aborted)
        wire.drain()
        self.assertTrue(wire.response().raw.endswith(b"0\r\n\r\n"))

    def test_client_that_leaves_stops_the_model_and_the_turn_is_kept_as_interrupted(self) -> None:
        for path in (OLLAMA, OPENAI):
            wire = self.start(path, ask(stream=True))
            self.house.calls[-1].say("Hi")
            wire.channel.connectionLost(Failure(ConnectionLost()))
            self.assertTrue(self.house.calls[-1].cancelled)
            # The second time it is the first message once more, and stands in for it.
            kept = self.house.store.messages["llama-192.168.1.20"]
            self.assertEqual([message.interrupted for message in kept], [False, True])
        self.assertEqual(len(self.front.site.connections), 0)

    def test_client_that_leaves_before_the_first_token_stops_the_model(self) -> None:
        for stream in (True, False):
            wire = self.start(OPENAI, ask(stream=stream))
            wire.channel.connectionLost(Failure(ConnectionLost()))
            self.assertTrue(self.house.calls[-1].cancelled)
        self.assertEqual(self.house.store.messages, {})

    def test_client_that_leaves_while_stalled_stops_the_timer(self) -> None:
        wire = self.stalled()
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([call for call in self.house.clock.getDelayedCalls() if call.getTime() >= 300], [])


class GarbageTests(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(gc.enable)
        gc.disable()

    def test_answered_requests_leave_nothing_for_the_garbage_collector(self) -> None:
        wire = self.front.connect()
        # The first ones fill caches.
        for path in (OLLAMA, OPENAI) * 2:
            gc.collect()
            wire.send("POST", path, ask("!help"))
            self.assertEqual(gc.collect(), 0, path)
