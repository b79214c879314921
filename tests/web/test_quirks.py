"""One test per row of the table: what the client would suffer without it."""

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.errors import ModelError, ModelUnavailable
from llamaproxy.web.guard import Guard
from tests.support import Front, Response, Wire
from tests.web.test_routes import OLLAMA, OPENAI, WebCase, ask

ENCHANTED = "Enchanted/1.8.1 (subj.Enchanted; build:51; iOS 17.4.1) Alamofire/5.9.1"
CLI = "ollama/0.33.0 (arm64 darwin) Go/go1.24"
GAP = 0.015


class EnchantedTests(WebCase):
    def chat(self, text: str = "hello") -> Wire:
        return self.start(OLLAMA, ask(text), user_agent=ENCHANTED)

    def wait(self, gaps: int = 1) -> None:
        self.house.clock.pump([GAP] * gaps)

    def contents(self, wire: Wire) -> list[str]:
        return [line["message"]["content"] for line in wire.response().lines()]

    def test_each_line_is_a_write_of_its_own_and_apart_from_the_next(self) -> None:
        wire = self.chat()
        self.house.calls[0].say("one ")
        self.house.calls[0].say("two ", "three")
        self.house.calls[0].finish()
        for lines in (1, 2, 3):
            self.assertEqual(len(wire.response().lines()), lines)
            self.wait()
        self.assertEqual(self.contents(wire), ["one ", "two three", ""])
        self.assertEqual([chunk.count(b"\n") for chunk in wire.response().chunks], [1, 1, 1])
        self.assertTrue(wire.response().lines()[-1]["done"])

    def test_first_word_is_not_held_back(self) -> None:
        wire = self.chat()
        self.house.calls[0].say("Hi")
        self.assertEqual(self.contents(wire), ["Hi"])

    def test_long_text_comes_in_lines_under_a_kilobyte_and_whole(self) -> None:
        text = "\N{WAVING HAND SIGN}" * 1000
        wire = self.chat()
        self.house.calls[0].say(text)
        self.house.calls[0].finish()
        self.wait(20)
        self.assertEqual("".join(self.contents(wire)), text)
        self.assertLess(max(map(len, wire.response().chunks)), 1000)

    def test_other_clients_are_not_paced(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.house.calls[0].say("a", "b")
        self.assertEqual(self.contents(wire), ["a", "b"])

    def test_backlog_holds_the_model_until_it_is_half_gone(self) -> None:
        self.chat()
        call = self.house.calls[0]
        call.say("x" * 20_000)
        self.assertTrue(call.paused)
        self.wait(300)
        self.assertFalse(call.paused)

    def test_full_send_buffer_stops_the_lines(self) -> None:
        wire = self.chat()
        self.house.calls[0].say("x" * 200)
        wire.fill_up()
        self.wait(10)
        self.assertEqual(len(wire.response().lines()), 1)
        wire.drain()
        self.wait(10)
        self.assertEqual("".join(self.contents(wire)), "x" * 200)

    def test_client_that_leaves_with_lines_waiting_leaves_no_timer(self) -> None:
        idle = self.house.clock.getDelayedCalls()
        wire = self.chat()
        self.house.calls[0].say("x" * 500)
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.house.clock.getDelayedCalls(), idle)
        self.assertTrue(self.house.calls[0].cancelled)

    def test_silence_is_broken_by_an_empty_line(self) -> None:
        wire = self.chat()
        self.house.clock.advance(8)
        self.house.calls[0].say("Hi")
        self.assertEqual(self.contents(wire), [""])
        self.wait()
        self.assertEqual(self.contents(wire), ["", "Hi"])

    def test_failure_is_read_as_an_answer_since_the_app_shows_only_a_number(self) -> None:
        wire = self.chat()
        self.house.calls[0].fail(ModelError("the model is down"))
        self.wait(2)
        self.assertIn("the model is down", self.contents(wire)[0])
        self.assertEqual([chunk.count(b"\n") for chunk in wire.response().chunks], [1, 1])


class OllamaCliTests(WebCase):
    def ask_stranger(self, agent: str) -> Response:
        front = Front(self.house, Guard(api_keys={"phone": "s3cret"}))
        return front.connect("8.8.8.8").send("POST", OLLAMA, ask(), user_agent=agent).response()

    def test_missing_key_is_a_403_as_a_401_shows_a_sign_in_page(self) -> None:
        response = self.ask_stranger(CLI)
        self.assertEqual((response.code, type(response.json()["error"])), (403, str))

    def test_library_of_the_same_family_can_send_a_key_and_gets_the_401(self) -> None:
        self.assertEqual(self.ask_stranger("ollama-python/0.6.2 (x86_64 linux) Python/3.11.7").code, 401)

    def test_failed_chat_is_an_answer_as_an_error_would_end_the_prompt(self) -> None:
        wire = self.start(OLLAMA, ask(), user_agent=CLI)
        self.house.calls[0].fail(ModelError("the model is down"))
        reason, last = wire.response().lines()
        self.assertIn("the model is down", reason["message"]["content"])
        self.assertEqual((wire.response().code, last["done"]), (200, True))

    def test_full_queue_is_an_answer_too(self) -> None:
        self.front = Front(self.make_house(limits=Limits(queue=0)))
        self.start(OLLAMA, ask())
        response = self.start(OLLAMA, ask("again"), user_agent=CLI).response()
        self.assertIn("already waiting", response.lines()[0]["message"]["content"])

    def test_failed_one_shot_is_an_error_so_that_a_script_sees_it(self) -> None:
        wire = self.start("/api/generate", {"model": "m", "prompt": "hello"}, user_agent=CLI)
        self.house.calls[0].fail(ModelError("the model is down"))
        self.assertEqual(
            (wire.response().code, wire.response().json()), (502, {"error": "the model is down"})
        )

    def test_spinner_is_left_alone(self) -> None:
        wire = self.start(OLLAMA, ask(), user_agent=CLI)
        self.house.clock.advance(60)
        self.assertEqual(wire.transport.value(), b"")


class RetryTests(WebCase):
    AI = "ai-sdk/openai-compatible/2.0.87 ai-sdk/provider-utils/4.0.1 runtime/node.js/v20.20.2"

    def failed(self, path: str, agent: str) -> Response:
        wire = self.start(path, ask(stream=True), user_agent=agent)
        self.house.calls[-1].fail(ModelUnavailable("the model is down"))
        return wire.response()

    def test_sdk_built_on_openais_is_told_not_to_act_twice(self) -> None:
        for agent in ("OpenAI/Python 3.54.0", "AsyncOpenAI/Python 3.54.0", "pydantic-ai/2.59.0"):
            response = self.failed(OPENAI, agent)
            self.assertEqual((response.code, response.headers["x-should-retry"]), (502, "false"))

    def test_sdk_may_try_again_where_nothing_was_done(self) -> None:
        self.front = Front(self.make_house(limits=Limits(queue=0)))
        self.start(OPENAI, ask())
        response = self.start(OPENAI, ask("again"), user_agent="OpenAI/JS 6.49.0").response()
        self.assertEqual((response.code, response.headers["retry-after"]), (429, "5"))
        self.assertNotIn("x-should-retry", response.headers)

    def test_ai_sdk_gets_a_status_that_it_does_not_repeat(self) -> None:
        response = self.failed(OPENAI, self.AI)
        self.assertEqual((response.code, response.json()["error"]["message"]), (424, "the model is down"))
        self.assertEqual(self.failed(OPENAI, "ai/6.0.326 ai-sdk/provider-utils/4.0.1").code, 424)

    def test_ollama_provider_of_the_ai_sdk_reads_openais_form_of_an_error(self) -> None:
        response = self.failed(OLLAMA, self.AI)
        self.assertEqual(response.json()["error"]["message"], "the model is down")
        self.assertEqual(self.failed(OLLAMA, "ollama-js/0.6.4").json(), {"error": "the model is down"})
