"""Apps' own errands: answered in each of the three ways, and never a part of the session."""

import json
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.errands import MOST_OF_ALL, MOST_OF_ONE
from llamaproxy.seams.errors import ModelUnavailable
from tests.support import Front, House, Response, ScriptedModel, Wire

CHATS = ("/api/chat", "/v1/chat/completions")
TITLE = (
    '### Task:\nWrite a title.\n### Output:\nJSON format: { "title": "your title" }\n### Chat History:\n'
    "<chat_history>\nUSER: bake me a cake\nASSISTANT: \n</chat_history>"
)
MERGE = 'Here is a set of responses from various models to the user query: "x"\n\nMerge: """a""" """b"""'


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": False, **more}


def text_of(response: Response) -> str:
    body = response.json()
    message = body["choices"][0]["message"] if "choices" in body else body["message"]
    return str(message["content"])


class HousekeepingCase(SynchronousTestCase):
    mode: Any = "local"

    def setUp(self) -> None:
        self.house = House(ScriptedModel("main"), folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house, housekeeping=self.mode)

    def assert_no_trace(self) -> None:
        self.assertEqual(self.house.store.messages, {})
        self.assertEqual(self.house.store.settings, {})
        self.assertEqual(len(self.house.agent.parts.sessions), 0)


class LocalTests(HousekeepingCase):
    def test_a_title_is_answered_at_once_without_a_model_or_a_session(self) -> None:
        for path in CHATS:
            answer = text_of(self.front.ask("POST", path, ask(TITLE)))
            self.assertEqual(json.loads(answer), {"title": "Bake me a cake"})
        self.assertEqual(self.house.calls, [])
        self.assert_no_trace()

    def test_a_title_does_not_wait_for_the_running_turn(self) -> None:
        for path in CHATS:
            self.front.connect().send("POST", path, ask("bake me a cake", stream=True))
            self.assertIn("Bake me", text_of(self.front.ask("POST", path, ask(TITLE))))
            call = self.house.calls[-1]
            call.say("Sure")
            call.finish()
        kept = [message.content for message in self.house.store.messages["llama-192.168.1.20"]]
        self.assertEqual(kept, ["bake me a cake", "Sure"] * 2)

    def test_what_is_asked_as_a_stream_is_answered_as_a_stream(self) -> None:
        header = {"x-llamaproxy-task": "title_generation"}
        lines = self.front.ask("POST", CHATS[0], ask(TITLE, stream=True), **header).lines()
        self.assertEqual("".join(line["message"]["content"] for line in lines), '{"title": "Bake me a cake"}')
        self.assertIs(lines[-1]["done"], True)
        *_, finish, done = self.front.ask("POST", CHATS[1], ask(TITLE, stream=True), **header).events()
        self.assertEqual((finish["choices"][0]["finish_reason"], done), ("stop", "[DONE]"))
        self.assert_no_trace()

    def test_the_other_endpoints_of_a_conversation_know_errands_too(self) -> None:
        header = {"x-llamaproxy-task": "title_generation"}
        for path, body in [
            ("/v1/responses", {"input": TITLE}),
            ("/v1/messages", ask(TITLE, max_tokens=100)),
            ("/v1/completions", {"prompt": TITLE}),
            ("/api/generate", {"prompt": TITLE}),
        ]:
            for stream in (True, False):
                asked = {"model": "m", **body, "stream": stream}
                response = self.front.ask("POST", path, asked, **header)
                self.assertEqual(response.code, 200, path)
                self.assertIn(b"Bake me a cake", response.body, path)
        self.assertEqual(self.house.calls, [])
        self.assert_no_trace()

    def test_a_title_by_generate_is_plain_text(self) -> None:
        role = "You are a title generator for a chat application."
        body = {"model": "m", "system": role, "prompt": f"{role} Now this message: bake me a cake"}
        lines = self.front.ask("POST", "/api/generate", body).lines()
        self.assertEqual("".join(line["response"] for line in lines), "Bake me a cake")
        self.assert_no_trace()

    def test_what_takes_a_model_is_asked_of_one_beside_the_session(self) -> None:
        wire = self.front.connect().send("POST", CHATS[1], ask(MERGE))
        self.assertEqual(self.house.calls[0].prompt(), [("user", MERGE)])
        self.house.calls[0].say("both")
        self.house.calls[0].finish()
        self.assertEqual(text_of(wire.response()), "both")
        self.assert_no_trace()

    def test_what_takes_a_model_fails_with_the_models_error(self) -> None:
        for path in CHATS:
            wire = self.front.connect().send("POST", path, ask(MERGE))
            self.house.calls[-1].fail(ModelUnavailable("the model is down"))
            self.assertEqual(wire.response().code, 502)
            self.assertIn(b"the model is down", wire.response().body)
        self.assert_no_trace()


class BoundTests(HousekeepingCase):
    """Errands give the model away as it is, so nobody has more than a few of them at the same time."""

    def ask(self, address: str, path: str = CHATS[0], **headers: str) -> Wire:
        return self.front.connect(address).send("POST", path, ask(MERGE), **headers)

    def test_one_caller_has_a_few_at_a_time_and_others_have_theirs(self) -> None:
        raw = {"x-llamaproxy-task": "anything_at_all"}
        wires = [self.ask("192.168.1.20", CHATS[number % 2], **raw) for number in range(60)]
        refused = [wire.response() for wire in wires if wire.transport.value()]
        self.assertEqual((len(self.house.calls), len(refused)), (MOST_OF_ONE, 60 - MOST_OF_ONE))
        self.assertEqual({(r.code, r.headers["retry-after"]) for r in refused}, {(429, "5")})
        self.ask("192.168.1.21", **raw)
        self.assertEqual(len(self.house.calls), MOST_OF_ONE + 1)
        self.house.calls[0].answer("done")
        self.ask("192.168.1.20", **raw)
        self.assertEqual(len(self.house.calls), MOST_OF_ONE + 2)

    def test_all_callers_together_have_some_more(self) -> None:
        wires = [self.ask(f"192.168.1.{number}", CHATS[1]) for number in range(60)]
        self.assertEqual(len(self.house.calls), MOST_OF_ALL)
        last = wires[-1].response()
        self.assertEqual((last.code, last.json()["error"]["code"]), (503, "overloaded"))

    def test_who_leaves_makes_room(self) -> None:
        wires = [self.ask("192.168.1.20") for _ in range(MOST_OF_ONE)]
        wires[0].channel.connectionLost(Failure(ConnectionLost()))
        self.ask("192.168.1.20")
        self.assertEqual(len(self.house.calls), MOST_OF_ONE + 1)

    def test_it_is_one_deeper_than_its_caller_and_no_model_has_one(self) -> None:
        self.ask("192.168.1.20")
        self.assertEqual(self.house.calls[0].request.depth, 1)
        self.ask("192.168.1.20", X_Llamaproxy_Depth="1")
        self.assertEqual(self.house.calls[1].request.messages[0].role, "system")
        self.assertEqual(len(self.house.agent.parts.sessions), 1)


SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
NAMING = "<session>\nbake me a cake\n</session>\n\nWrite the title"
HISTORY = [
    {"role": "user", "content": "bake me a cake"},
    {"role": "assistant", "content": "Sure"},
]


class EveryDialectTests(HousekeepingCase):
    """The same errands at each endpoint, streamed and whole, with no header that says what they are."""

    PATHS = (
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    )

    def body(self, path: str, text: str, stream: bool) -> dict[str, Any]:
        if path in ("/api/generate", "/v1/completions"):
            return {"model": "m", "prompt": text, "stream": stream}
        if path == "/v1/responses":
            return {"model": "m", "input": [{"role": "user", "content": text}], "stream": stream}
        return ask(text, stream=stream, **({"max_tokens": 100} if path == "/v1/messages" else {}))

    def test_open_webuis_own_prompt_is_known(self) -> None:
        for path in self.PATHS:
            for stream in (True, False):
                response = self.front.ask("POST", path, self.body(path, TITLE, stream))
                self.assertEqual(response.code, 200, path)
                self.assertIn(b"Bake me a cake", response.body, (path, stream))
        self.assertEqual(self.house.calls, [])
        self.assert_no_trace()

    def test_title_that_is_asked_for_by_a_schema_is_known(self) -> None:
        for path, more in (
            ("/api/chat", {"format": SCHEMA}),
            (
                "/v1/chat/completions",
                {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            ),
            ("/v1/responses", {"text": {"format": {"type": "json_schema", "name": "t", "schema": SCHEMA}}}),
            ("/v1/messages", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
        ):
            for stream in (True, False):
                asked = {**self.body(path, NAMING, stream), **more}
                response = self.front.ask("POST", path, asked)
                self.assertIn(b"Bake me a cake", response.body, (path, stream))
        self.assertEqual(self.house.calls, [])
        self.assert_no_trace()

    def test_two_messages_under_a_title_generators_prompt_are_an_errand(self) -> None:
        users = [{"role": "user", "content": each} for each in ("Generate a title:\n", '"bake me a cake"')]
        for path, system in (("/api/chat", True), ("/v1/chat/completions", True), ("/v1/messages", False)):
            prompt = "You are a title generator"
            asked = ask("", stream=True, max_tokens=100)
            asked["messages"] = [{"role": "system", "content": prompt}, *users] if system else users
            response = self.front.ask("POST", path, asked if system else {**asked, "system": prompt})
            self.assertIn(b"Bake me a cake", response.body, path)
        self.assertEqual(self.house.calls, [])
        self.assert_no_trace()

    def test_title_that_comes_with_the_chat_while_the_next_turn_runs_touches_nothing(self) -> None:
        wish = {"role": "user", "content": "Generate a concise 3-7 word title for this conversation"}
        self.front.connect().send("POST", CHATS[1], ask("bake me a cake", stream=True))
        self.house.calls[0].answer("Sure")
        again = {"role": "user", "content": "and a pie"}
        self.front.connect().send("POST", CHATS[1], {**ask("", stream=True), "messages": [*HISTORY, again]})
        title = self.front.ask("POST", CHATS[1], {**ask(""), "messages": [*HISTORY, wish]})
        self.assertEqual(text_of(title), "Bake me a cake")
        self.house.calls[1].answer("With apples")
        kept = [message.content for message in self.house.store.messages["llama-192.168.1.20"]]
        self.assertEqual(kept, ["bake me a cake", "Sure", "and a pie", "With apples"])

    def test_summary_is_made_by_a_model_apart_of_the_chat_that_the_app_shows(self) -> None:
        wish = {"role": "user", "content": "You are performing a CONTEXT CHECKPOINT COMPACTION. Go."}
        for stream in (False, True):
            asked = {"model": "m", "input": [*HISTORY, wish], "stream": stream, "max_output_tokens": 128_000}
            wire = self.front.connect().send("POST", "/v1/responses", asked)
            request = self.house.calls[-1].request
            self.assertIn("USER: bake me a cake\n\nASSISTANT: Sure", request.messages[-1].content)
            self.assertTrue(request.messages[-1].content.endswith("COMPACTION. Go."))
            self.assertEqual((request.session_id, request.tools, request.options.max_tokens), ("", (), 8000))
            self.house.clock.advance(8)
            self.assertIs(b"keep-alive" in wire.transport.value(), stream)
            self.house.calls[-1].answer("A cake was baked.")
            self.assertIn(b"A cake was baked.", wire.response().body)
        self.assert_no_trace()

    def test_client_that_leaves_ends_what_a_model_was_asked_for_it(self) -> None:
        for stream in (False, True):
            wire = self.front.connect().send("POST", CHATS[1], ask(MERGE, stream=stream))
            wire.channel.connectionLost(Failure(ConnectionLost()))
            self.assertTrue(self.house.calls[-1].cancelled)


class ModelTests(HousekeepingCase):
    mode = "model"

    def title(self, path: str = CHATS[0]) -> Any:
        return self.front.connect().send("POST", path, ask(TITLE))

    def test_the_model_answers_without_history_tools_or_a_session(self) -> None:
        for path in CHATS:
            wire = self.title(path)
            request = self.house.calls[-1].request
            self.assertEqual([(m.role, m.content) for m in request.messages], [("user", TITLE)])
            self.assertEqual((request.tools, request.session_id, request.options.think), ((), "", False))
            self.house.calls[-1].say('{"title":', ' "Cake"}')
            self.house.calls[-1].finish()
            self.assertEqual(text_of(wire.response()), '{"title": "Cake"}')
        self.assert_no_trace()

    def test_it_runs_beside_the_turn_of_the_session(self) -> None:
        self.front.connect().send("POST", CHATS[0], ask("bake me a cake"))
        wire = self.title()
        self.assertEqual(len(self.house.calls), 2)
        self.house.calls[1].say('{"title": "Cake"}')
        self.house.calls[1].finish()
        self.assertEqual(wire.response().code, 200)

    def test_an_answer_that_the_app_cannot_use_is_replaced(self) -> None:
        wire = self.title()
        self.house.calls[0].say("A fine title would be Cake.")
        self.house.calls[0].finish()
        self.assertEqual(json.loads(text_of(wire.response())), {"title": "Bake me a cake"})

    def test_a_model_that_fails_is_replaced(self) -> None:
        wire = self.title()
        self.house.calls[0].fail(ModelUnavailable("down"))
        self.assertEqual(json.loads(text_of(wire.response())), {"title": "Bake me a cake"})

    def test_a_client_that_leaves_stops_the_model(self) -> None:
        wire = self.title()
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(self.house.calls[0].cancelled)

    def test_a_stopping_server_stops_the_model_and_says_so(self) -> None:
        wire = self.title()
        self.house.close()
        self.assertTrue(self.house.calls[0].cancelled)
        self.assertEqual(wire.response().code, 503)


class OffTests(HousekeepingCase):
    mode = "off"

    def test_everything_is_a_message_of_the_user(self) -> None:
        wire = self.front.connect()
        wire.send("POST", CHATS[0], ask(TITLE), **{"x-llamaproxy-task": "title_generation"})
        self.house.calls[0].say("Hm?")
        self.house.calls[0].finish()
        self.assertEqual(text_of(wire.response()), "Hm?")
        self.assertEqual(len(self.house.store.messages["llama-192.168.1.20"]), 2)
