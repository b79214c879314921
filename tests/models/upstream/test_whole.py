"""Answers that are no stream, or packed, or without end."""

import gzip
import zlib

from msgspec import json

from llamaproxy.models.upstream.unpacking import STEP
from llamaproxy.seams.errors import ModelError

from ..fakes import DONE, HELLO, Call, Listener, event, finish
from .test_upstream import UpstreamTestCase

WHOLE = b'{"choices":[{"message":{"content":"one"},"finish_reason":"stop"}]}'
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)


class WholeTests(UpstreamTestCase):
    """Servers that do not stream, though they were asked to."""

    def test_whole_answer_is_read_and_asked_for_once(self) -> None:
        for plain in (False, True):
            call, connection = self.call(plain_http=plain)
            connection.answer(200, WHOLE)
            self.result_of(call)
            self.assertEqual(call.listener.text, "one")
        self.assertEqual(self.network.attempts, 2)

    def test_receiver_that_holds_at_the_end_keeps_no_connection_from_the_next_call(self) -> None:
        call, connection = self.call(holding=True)
        connection.receive(COUNTED)
        self.result_of(call)
        self.assertEqual(connection.transport.producerState, "producing")
        again = call.model.chat(HELLO, Listener())
        connection.receive(COUNTED)
        self.successResultOf(again)
        self.assertEqual(self.network.attempts, 1)

    def test_error_with_a_status_of_200_is_told_in_its_words_and_asked_for_once(self) -> None:
        for body in (b'{"error":{"message":"no such luck"}}', b'{"detail":"no such luck"}', b"no such luck"):
            call, connection = self.call()
            connection.answer(200, body)
            self.assertIn("no such luck", str(self.error_of(call)))

    def test_json_that_is_no_answer_is_told(self) -> None:
        for kind in ("OPENAI", "ANTHROPIC", "OLLAMA"):
            call, connection = self.call(kind=kind)
            connection.answer(200, b'{"hello":"world"}')
            self.assertIn('something other than a stream: {"hello":"world"}', str(self.error_of(call)))


class PackedTests(UpstreamTestCase):
    """Nobody asks for it, and some proxies do it all the same."""

    BODY = event("one") + event("two " * 50_000) + finish() + DONE

    def answered(self, body: bytes, coding: str, holding: bool = False) -> Call:
        call, connection = self.call(holding=holding)
        connection.answer(200, body, f"Content-Encoding: {coding}", kind="text/event-stream")
        return call

    def test_packed_stream_is_read(self) -> None:
        raw = zlib.compressobj(wbits=-15)
        for coding, packed in (
            ("gzip", gzip.compress(self.BODY)),
            ("x-gzip", gzip.compress(self.BODY)),
            ("deflate", zlib.compress(self.BODY)),
            ("Deflate", raw.compress(self.BODY) + raw.flush()),
            ("identity", self.BODY),
        ):
            call = self.answered(packed, coding)
            self.result_of(call)
            self.assertEqual(call.listener.text, "one" + "two " * 50_000, coding)

    def test_packed_json_in_place_of_a_stream_is_read(self) -> None:
        call = self.answered(gzip.compress(WHOLE), "gzip")
        self.result_of(call)
        self.assertEqual((call.listener.text, self.network.attempts), ("one", 1))

    def test_packed_refusal_is_told_in_its_words(self) -> None:
        call, connection = self.call()
        connection.answer(404, gzip.compress(b'{"error":"no such model"}'), "Content-Encoding: gzip")
        self.assertIn("answered 404: no such model", str(self.error_of(call)))

    def test_receiver_that_holds_is_sent_no_more_than_a_step(self) -> None:
        call = self.answered(gzip.compress(event("x" * 1000) * 1000 + finish() + DONE), "gzip", holding=True)
        self.assertLess(len(call.listener.text), 2 * STEP)
        call.listener.release()
        self.result_of(call)
        self.assertEqual(len(call.listener.text), 1_000_000)

    def test_what_cannot_be_unpacked_is_an_error_in_words(self) -> None:
        for coding, body, words in (
            ("gzip", b"not packed at all", "packed in a way that cannot be read"),
            ("br", b"x", "packs its answers in a way that nobody asked for"),
            ("gzip, gzip", b"x", "packs its answers in a way that nobody asked for"),
        ):
            call = self.answered(body, coding)
            if not call.done.called:
                self.network.next_attempt()
                self.network.accept().answer(200, body, f"Content-Encoding: {coding}")
            self.assertIn(words, str(self.failureResultOf(call.done, ModelError).value))


class BoundTests(UpstreamTestCase):
    def test_arguments_without_end_are_refused_in_words(self) -> None:
        call, connection = self.call()
        connection.begin()
        piece = {"index": 0, "function": {"name": "f", "arguments": "x" * 1_000_000}}
        frame = b"data: " + json.encode({"choices": [{"delta": {"tool_calls": [piece]}}]}) + b"\n\n"
        for _ in range(20):
            if not connection.closed:
                connection.send(frame)
        words = "sent what cannot be read: tool calls of more than 16777216 bytes"
        self.assertIn(words, str(self.error_of(call)))
        self.assertTrue(connection.closed)

    def test_lines_of_one_event_without_end_are_refused_in_words(self) -> None:
        for line in (b"data: x\n", b"data:\n"):
            call, connection = self.call()
            connection.begin()
            for _ in range(20):
                if not connection.closed:
                    connection.send(line * 10_000)
            self.assertIn("a line of more than 8388608 bytes", str(self.error_of(call)))
            self.assertTrue(connection.closed)
