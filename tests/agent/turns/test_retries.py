"""What becomes of a message that comes again: it is answered once, and who came last hears that from its beginning."""

from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.agent.sessions.turn import MEMORY
from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.types import Access, Reasoning, Text
from llamaproxy.web.guard import Guard
from tests.support import Front, House, Response, ScriptedCall, ScriptedModel, ScriptedTool, Wire

OPENAI, OLLAMA, MESSAGES = "/v1/chat/completions", "/api/chat", "/v1/messages"


class RetryCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.open()

    def open(self, tools: tuple[ScriptedTool, ...] = (), guard: Guard | None = None, **limits: Any) -> None:
        self.house = House(ScriptedModel(), folder=Path(self.mktemp()), tools=tools, limits=Limits(**limits))
        self.addCleanup(self.house.close)
        self.front = Front(self.house, guard, heartbeat=0)

    def post(
        self,
        text: str = "hello",
        attempt: int | None = None,
        *,
        path: str = OPENAI,
        stream: bool = False,
        before: tuple[str, ...] = (),
        address: str = "192.168.1.20",
        **headers: str,
    ) -> Wire:
        """Sends a message, as the SDKs do for an `attempt`."""
        if attempt is not None:
            headers["x_stainless_retry_count"] = str(attempt)
        messages = [
            message
            for said in before
            for message in ({"role": "user", "content": said}, {"role": "assistant", "content": "x"})
        ]
        body = {"messages": [*messages, {"role": "user", "content": text}], "stream": stream}
        body |= {"model": "m", "max_tokens": 9} if path == MESSAGES else {}
        return self.front.connect(address).send("POST", path, body, **headers)

    def prompt(self, attempt: int | None = None) -> Wire:
        """Sends a message without a history."""
        headers = {} if attempt is None else {"x_stainless_retry_count": str(attempt)}
        return self.front.connect().send("POST", "/v1/completions", {"prompt": "hello"}, **headers)

    def hang_up(self, wire: Wire) -> None:
        wire.channel.connectionLost(Failure(ConnectionLost()))

    @property
    def call(self) -> ScriptedCall:
        """The one call of the model."""
        (call,) = self.house.calls
        return call

    @property
    def stored(self) -> list[str]:
        return [message.content for each in self.house.store.messages.values() for message in each]

    def answer(self, wire: Wire) -> str:
        """What a whole answer of OpenAI's says."""
        return str(wire.response().json()["choices"][0]["message"]["content"])

    def heard(self, response: Response) -> str:
        """What a stream of OpenAI's says."""
        chunks = [event for event in response.events() if event != "[DONE]"]
        return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


class RunningTurnTests(RetryCase):
    def test_retry_after_a_timeout_hears_the_turn_that_runs(self) -> None:
        self.hang_up(self.post(attempt=0))
        self.house.clock.advance(1)
        retry = self.post(attempt=1)
        self.call.answer("Hi")
        self.assertEqual(self.answer(retry), "Hi")
        self.assertEqual(self.stored, ["hello", "Hi"])

    def test_retry_hears_what_was_said_before_it_came(self) -> None:
        for stream in (False, True):
            self.open()
            first = self.post(attempt=0)
            self.call.send([Reasoning("hm"), Text("Hi")])
            self.hang_up(first)
            self.assertTrue(self.call.paused)
            retry = self.post(attempt=1, stream=stream)
            self.assertFalse(self.call.paused)
            self.call.answer(" there")
            self.assertEqual(self.heard(retry.response()) if stream else self.answer(retry), "Hi there")
            self.assertIn(b'"reasoning_content":"hm"', retry.response().body)
            self.assertEqual(self.stored, ["hello", "Hi there"])

    def test_both_connections_hear_the_turn_while_both_are_there(self) -> None:
        first = self.post(stream=True)
        self.call.say("Hi")
        second = self.post(stream=True)
        self.call.answer(" there")
        self.assertEqual(self.heard(first.response()), "Hi there")
        self.assertEqual(self.heard(second.response()), "Hi there")

    def test_several_that_wait_for_the_first_word_all_hear_it(self) -> None:
        wires = [self.post(attempt=attempt) for attempt in range(3)]
        self.call.answer("Hi")
        self.assertEqual([self.answer(wire) for wire in wires], ["Hi"] * 3)

    def test_failure_reaches_all_that_wait(self) -> None:
        wires = [self.post(attempt=attempt) for attempt in range(2)]
        self.call.fail(ModelError("down"))
        self.assertEqual([wire.response().code for wire in wires], [502, 502])

    def test_newest_connection_holds_the_model_and_older_ones_do_not(self) -> None:
        first = self.post(stream=True)
        self.call.say("a")
        second = self.post(stream=True)
        first.fill_up()
        self.assertFalse(self.call.paused)
        second.fill_up()
        self.assertTrue(self.call.paused)
        second.drain()
        self.assertFalse(self.call.paused)

    def test_older_connection_that_cannot_keep_up_ends_cleanly(self) -> None:
        first = self.post(stream=True)
        self.call.say("a")
        second = self.post(stream=True)
        first.fill_up()
        self.call.say("b")
        first.drain()
        *_, error, done = first.response().events()
        self.assertEqual((error["error"]["code"], done), ("continued_elsewhere", "[DONE]"))
        self.call.answer("c")
        self.assertEqual(self.heard(second.response()), "abc")

    def test_connection_that_is_left_by_one_goes_on_for_the_other(self) -> None:
        first, second = self.post(stream=True), self.post(stream=True)
        self.call.say("a")
        self.hang_up(second)
        self.call.answer("b")
        self.assertEqual(self.heard(first.response()), "ab")

    def test_retry_may_come_in_another_dialect(self) -> None:
        self.hang_up(self.post(attempt=0))
        retry = self.post(attempt=1, path=MESSAGES)
        other = self.post(path=OLLAMA)
        self.call.answer("Hi")
        self.assertEqual(retry.response().json()["content"][0]["text"], "Hi")
        self.assertEqual(other.response().json()["message"]["content"], "Hi")

    def test_retry_of_a_message_in_the_queue_takes_no_second_place(self) -> None:
        self.post("one")
        self.hang_up(self.post("two", 0))
        retry = self.post("two", 1)
        self.call.answer("1")
        self.house.calls[1].answer("2")
        self.assertEqual(self.answer(retry), "2")
        self.assertEqual(self.stored, ["one", "1", "two", "2"])

    def test_same_words_at_another_place_of_the_chat_are_a_new_message(self) -> None:
        self.post("hello")
        self.post("hello", before=("hello",))
        self.call.answer("1")
        self.assertEqual(len(self.house.calls), 2)

    def test_other_callers_never_join(self) -> None:
        self.open(guard=Guard(api_keys={"phone": "secret"}))
        self.post(attempt=0)
        self.post(attempt=1, address="192.168.1.21")
        self.post(attempt=1, authorization="Bearer secret")
        self.assertEqual(len(self.house.calls), 3)

    def test_prompt_without_a_history_is_a_new_one_unless_the_client_says_otherwise(self) -> None:
        self.prompt()
        self.prompt()
        self.call.answer("1")
        retry = self.prompt(1)
        self.assertEqual(len(self.house.calls), 2)
        self.house.calls[1].answer("2")
        self.assertEqual(retry.response().json()["choices"][0]["text"], "2")

    def test_header_that_is_no_count_is_ignored(self) -> None:
        for odd in ("-1", "x", "1" * 5000, "²"):
            wire = self.post(odd[:9], x_stainless_retry_count=odd)
            self.house.calls[-1].answer("Hi")
            self.assertEqual(wire.response().code, 200, odd[:9])


class WaitingTests(RetryCase):
    def test_turn_of_a_client_that_does_not_come_again_is_ended(self) -> None:
        self.hang_up(self.post(attempt=0))
        self.house.clock.advance(9.9)
        self.assertFalse(self.call.cancelled)
        self.house.clock.advance(0.1)
        self.assertTrue(self.call.cancelled)
        self.assertEqual(self.stored, [])

    def test_wait_begins_anew_with_every_try(self) -> None:
        for attempt in range(3):
            self.hang_up(self.post(attempt=attempt))
            self.house.clock.advance(8)
        self.assertFalse(self.call.cancelled)
        self.house.clock.advance(2)
        self.assertTrue(self.call.cancelled)

    def test_client_that_does_not_count_its_tries_is_not_waited_for(self) -> None:
        self.hang_up(self.post())
        self.assertTrue(self.call.cancelled)

    def test_client_that_left_in_the_middle_of_a_stream_is_not_waited_for(self) -> None:
        wire = self.post(attempt=0, stream=True)
        self.call.say("Hi")
        self.hang_up(wire)
        self.assertTrue(self.call.cancelled)

    def test_operator_can_turn_it_off(self) -> None:
        self.open(retry_wait=0.0)
        self.hang_up(self.post(attempt=0))
        self.assertTrue(self.call.cancelled)

    def test_another_message_does_not_wait_for_a_client_that_may_never_come(self) -> None:
        for wire in (self.post("one", 0), self.post("two", 0)):
            self.hang_up(wire)
        self.post("three")
        self.assertTrue(self.house.calls[0].cancelled)
        self.assertEqual([call.prompt()[-1] for call in self.house.calls[1:]], [("user", "three")])

    def test_end_of_the_server_does_not_wait(self) -> None:
        self.hang_up(self.post(attempt=0))
        self.house.close()
        self.assertTrue(self.call.cancelled)
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_retry_that_comes_too_late_stands_in_for_what_was_cut_short(self) -> None:
        for before in ((), ("one",)):
            self.open()
            for text in before:
                self.post(text)
                self.house.calls[-1].answer("1")
            wire = self.post("two", 0, before=before)
            self.house.calls[-1].say("so far")
            self.hang_up(wire)
            self.house.clock.advance(10)
            self.post("two", 1, before=before)
            self.house.calls[-1].answer("2")
            self.assertEqual(self.stored, [*[text for one in before for text in (one, "1")], "two", "2"])

    def test_retry_that_comes_too_late_for_a_bare_prompt_does_so_too(self) -> None:
        self.open(follow_edits=False)
        for attempt in range(2):
            wire = self.prompt(attempt)
            self.house.calls[-1].say("so far")
            self.hang_up(wire)
            self.house.clock.advance(10)
        self.prompt(0)
        self.house.calls[-1].answer("2")
        self.assertEqual(self.stored, ["hello", "so far", "hello", "2"])

    def test_retry_that_comes_too_late_takes_over_what_tools_have_done(self) -> None:
        tool = ScriptedTool()
        self.open(tools=(tool,))
        wire = self.post(attempt=0)
        self.call.call_tools(("clock", "{}"))
        self.hang_up(wire)
        self.house.clock.advance(10)
        self.assertTrue(self.house.calls[1].cancelled)
        retry = self.post(attempt=1)
        self.assertEqual([role for role, _ in self.house.calls[2].prompt()], ["user", "assistant", "tool"])
        self.house.calls[2].answer("noon")
        self.assertEqual(self.answer(retry), "noon")
        self.assertEqual(self.stored, ["hello", "", "noon", "noon"])
        self.assertEqual(len(tool.calls), 1)


class EndedTurnTests(RetryCase):
    def test_retry_of_a_turn_that_ended_meanwhile_gets_its_answer(self) -> None:
        self.hang_up(self.post(attempt=0))
        self.call.answer("Hi")
        self.assertEqual(self.answer(self.post(attempt=1)), "Hi")
        self.assertEqual(self.stored, ["hello", "Hi"])

    def test_retry_of_an_answer_that_was_lost_on_its_way_runs_no_tool_twice(self) -> None:
        tool = ScriptedTool()
        self.open(tools=(tool,))
        self.post(attempt=0)
        self.call.call_tools(("clock", "{}"))
        self.house.calls[1].answer("noon")
        self.house.clock.advance(MEMORY - 1)
        self.assertEqual(self.heard(self.post(attempt=1, stream=True).response()), "noon")
        self.assertEqual((len(tool.calls), len(self.house.calls)), (1, 2))

    def test_it_is_not_remembered_for_long(self) -> None:
        self.post(attempt=0)
        self.call.answer("Hi")
        self.house.clock.advance(MEMORY)
        self.post(attempt=1)
        self.assertEqual(len(self.house.calls), 2)

    def test_person_who_says_the_same_again_gets_another_answer(self) -> None:
        for attempt in (None, 0):
            self.open()
            self.post("one", attempt)
            self.call.answer("1")
            self.post("one", attempt, before=("one",))
            self.post("one", attempt)
            self.house.calls[1].answer("2")
            self.assertEqual(len(self.house.calls), 3)

    def test_retry_after_a_failure_is_a_new_try(self) -> None:
        self.post(attempt=0)
        self.call.fail(ModelError("down"))
        retry = self.post(attempt=1)
        self.house.calls[1].answer("Hi")
        self.assertEqual(self.answer(retry), "Hi")

    def test_next_message_on_the_same_connection_is_not_taken_for_the_one_that_is_ending(self) -> None:
        self.post()
        self.call.answer("1")
        self.post()
        self.assertEqual(len(self.house.calls), 2)

    def test_retry_after_a_restart_runs_no_tool_twice(self) -> None:
        tool = ScriptedTool()
        self.open(tools=(tool,))
        self.post("one")
        self.call.answer("1")
        self.post("two", 0, before=("one",))
        self.house.calls[1].call_tools(("clock", "{}"))
        self.house.calls[2].answer("noon")
        self.house.agent = self.house.new_agent()
        self.front = Front(self.house, heartbeat=0)
        retry = self.post("two", 1, before=("one",))
        self.assertEqual(self.house.calls[3].prompt()[-1], ("tool", "noon"))
        self.house.calls[3].answer("twelve")
        self.assertEqual(self.answer(retry), "twelve")
        self.assertEqual(self.stored, ["one", "1", "two", "", "noon", "twelve"])
        self.assertEqual(len(tool.calls), 1)

    def test_retry_of_a_turn_that_the_user_has_stopped_stays_stopped(self) -> None:
        wire = self.post(attempt=0)
        self.call.say("half")
        self.hang_up(wire)
        self.post("!stop")
        self.assertEqual(self.answer(self.post(attempt=1)), "half\n\n[stopped]")
        self.assertEqual(len(self.house.calls), 1)

    def test_question_that_is_asked_again_much_later_is_a_new_one_even_as_a_retry(self) -> None:
        for send in (self.post, self.prompt):
            self.open()
            send(attempt=0)
            self.call.answer("1")
            self.house.clock.advance(3600)
            send(attempt=1)
            self.house.calls[1].answer("2")
            self.assertEqual(self.stored, ["hello", "1", "hello", "2"])

    def test_retried_command_runs_once(self) -> None:
        self.post("hello")
        self.call.answer("Hi")
        self.assertEqual(self.answer(self.post("!reset", 0)), "Forgotten: 2 messages.")
        self.assertEqual(self.answer(self.post("!reset", 1)), "Forgotten: 2 messages.")

    def test_retry_of_a_turn_that_asked_for_leave_hears_the_question_again(self) -> None:
        tool = ScriptedTool("clock", access=Access(operation="read", gate="clock"))
        self.open(tools=(tool,), gate_mode="ask")
        self.hang_up(self.post(attempt=0))
        self.call.call_tools(("clock", "{}"))
        question = self.answer(self.post(attempt=1))
        self.assertIn("!yes", question)
        self.assertNotIn("still open", question)
        code = question.partition("!yes ")[2][:4]
        self.hang_up(self.post(f"!yes {code}", 0))
        self.house.calls[1].answer("noon")
        self.assertEqual(self.answer(self.post(f"!yes {code}", 1)), "noon")
        self.assertEqual(len(tool.calls), 1)

    def test_deleted_session_gives_no_old_answers(self) -> None:
        self.post(attempt=0)
        self.call.answer("Hi")
        self.post("!session 101 delete", address="127.0.0.1")
        self.post(attempt=1)
        self.assertEqual(len(self.house.calls), 2)
