"""Signs of life: what a client hears while there is nothing to say."""

from collections.abc import Sequence

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from llamaproxy.seams.errors import ModelError
from tests.support import Front, Wire
from tests.web.test_routes import OLLAMA, OPENAI, WebCase, ask

COMMENT = b": keep-alive\n\n"


class HeartbeatTests(WebCase):
    def wait(self, seconds: float) -> None:
        self.house.clock.advance(seconds)

    def timers(self) -> Sequence[IDelayedCall]:
        return self.house.clock.getDelayedCalls()

    def silences(self, wire: Wire) -> int:
        """How many empty lines of an Ollama stream have come."""
        lines = wire.response().lines()
        return sum(not line["done"] and line["message"]["content"] == "" for line in lines)

    def test_nothing_is_sent_before_the_time_so_that_a_failure_can_be_a_status(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.wait(7.9)
        self.assertEqual(wire.transport.value(), b"")
        self.house.calls[-1].fail(ModelError("down"))
        self.assertEqual(wire.response().code, 502)

    def test_ollama_client_that_waits_gets_an_empty_chunk_every_eight_seconds(self) -> None:
        wire = self.start(OLLAMA, ask())
        for beats in (1, 2, 3):
            self.wait(8)
            self.assertEqual(self.silences(wire), beats)
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].finish()
        contents = [line["message"]["content"] for line in wire.response().lines()]
        self.assertEqual((wire.response().code, contents), (200, ["", "", "", "Hi", ""]))

    def test_openai_client_that_waits_gets_the_role_once_and_then_comments(self) -> None:
        wire = self.start(OPENAI, ask(stream=True))
        self.wait(8)
        self.wait(8)
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].finish()
        body = wire.response().body
        self.assertEqual((body.count(COMMENT), body.count(b'"role"')), (2, 1))
        self.assertLess(body.index(b'"role"'), body.index(COMMENT))
        self.assertEqual(wire.response().headers["content-type"], "text/event-stream")

    def test_turn_that_waits_behind_another_is_kept_alive_too(self) -> None:
        self.start(OLLAMA, ask("first"))
        second = self.start(OLLAMA, ask("second"))
        self.wait(8)
        self.assertEqual((len(self.house.calls), self.silences(second)), (1, 1))

    def test_silence_in_the_middle_is_counted_from_the_last_word(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.wait(5)
        self.house.calls[-1].say("Hi")
        self.wait(7.9)
        self.assertEqual(self.silences(wire), 0)
        self.wait(0.1)
        self.assertEqual(self.silences(wire), 1)

    def test_stream_that_keeps_talking_gets_none_and_has_one_timer(self) -> None:
        wire = self.start(OLLAMA, ask())
        before = len(self.timers())
        for _ in range(100):
            self.house.calls[-1].say("word ")
            self.wait(1)
        self.assertEqual(self.silences(wire), 0)
        self.assertLessEqual(len(self.timers()), before)

    def test_failure_after_a_heartbeat_is_told_in_the_stream(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.wait(8)
        self.house.calls[-1].fail(ModelError("the model broke off"))
        *_, reason, last = wire.response().lines()
        self.assertIn("the model broke off", reason["message"]["content"])
        self.assertEqual((wire.response().code, last["done"]), (200, True))
        wire = self.start(OPENAI, ask(stream=True))
        self.wait(8)
        self.house.calls[-1].fail(ModelError("the model broke off"))
        *_, error, done = wire.response().events()
        self.assertEqual((error["error"]["message"], done), ("the model broke off", "[DONE]"))

    def test_operator_sets_the_time_or_turns_it_off(self) -> None:
        for seconds, beats in ((3.0, 1), (0.0, 0)):
            self.front = Front(self.house, heartbeat=seconds)
            wire = self.start(OLLAMA, ask())
            self.wait(5)
            self.house.calls[-1].say("Hi")
            self.assertEqual(self.silences(wire), beats)
            self.house.calls[-1].finish()

    def test_answer_that_is_not_streamed_gets_none(self) -> None:
        wire = self.start(OPENAI, ask())
        self.wait(100)
        self.assertEqual(wire.transport.value(), b"")

    def test_full_send_buffer_gets_none(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.house.calls[-1].say("Hi")
        wire.fill_up()
        self.wait(100)
        self.assertEqual(self.silences(wire), 0)
        wire.drain()
        self.wait(8)
        self.assertEqual(self.silences(wire), 1)

    def test_buffer_that_a_heartbeat_filled_holds_the_model_from_its_first_word(self) -> None:
        wire = self.start(OLLAMA, ask())
        self.wait(8)
        wire.fill_up()
        self.house.calls[-1].say("Hi")
        self.assertTrue(self.house.calls[-1].paused)
        wire.drain()
        self.assertFalse(self.house.calls[-1].paused)

    def test_client_that_leaves_after_a_heartbeat_stops_the_model_and_every_timer(self) -> None:
        idle = self.timers()
        wire = self.start(OLLAMA, ask())
        self.wait(8)
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(self.house.calls[-1].cancelled)
        self.assertEqual((self.timers(), len(self.front.site.connections)), (idle, 0))

    def test_finished_stream_leaves_no_timer(self) -> None:
        idle = self.timers()
        wire = self.start(OLLAMA, ask())
        self.wait(8)
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].finish()
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.timers(), idle)
