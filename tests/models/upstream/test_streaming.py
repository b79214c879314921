from unittest.mock import patch

from llamaproxy.seams.errors import ModelUnavailable
from llamaproxy.seams.types import Text

from ..fakes import DONE, HELLO, Listener, event, finish
from .test_upstream import UpstreamTestCase


class DeltaStreamTests(UpstreamTestCase):
    def test_all_deltas_of_a_segment_come_in_one_call(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.send(event("a") + event("b") + event("c")[:20])
        connection.send(event("c")[20:] + finish() + DONE)
        self.result_of(call)
        self.assertEqual(call.listener.segments, [[Text("a"), Text("b")], [Text("c")]])

    def test_receiver_that_holds_stops_the_socket(self) -> None:
        call, connection = self.streaming()
        call.listener.hold()
        self.assertEqual(connection.transport.producerState, "paused")
        call.listener.release()
        self.assertEqual(connection.transport.producerState, "producing")

    def test_receiver_that_holds_from_the_start_stops_the_socket(self) -> None:
        call, connection = self.streaming(holding=True)
        self.assertEqual(connection.transport.producerState, "paused")
        self.assertEqual(call.listener.text, "one")

    def test_body_that_came_with_the_head_is_held_as_well(self) -> None:
        call, connection = self.call(holding=True)
        connection.answer(200, event("one"), kind="text/event-stream", more=1000)
        self.assertEqual(connection.transport.producerState, "paused")
        self.assertEqual(call.listener.text, "one")

    def test_stopping_the_producer_closes_the_connection(self) -> None:
        call, connection = self.streaming()
        assert call.listener.producer is not None
        call.listener.producer.stopProducing()
        self.failureResultOf(call.done)
        self.assertTrue(connection.closed)

    def test_last_frame_ends_the_call_before_the_response_ends(self) -> None:
        call, connection = self.streaming()
        connection.send(finish() + DONE)
        self.result_of(call)
        self.assertFalse(connection.closed)

    def test_response_that_does_not_end_after_its_last_frame_is_closed(self) -> None:
        call, connection = self.streaming()
        connection.send(finish() + DONE)
        self.network.clock.advance(1)
        self.assertTrue(connection.closed)
        self.result_of(call)

    def test_connection_is_kept_for_the_next_call(self) -> None:
        call, connection = self.streaming()
        connection.send(finish() + DONE)
        connection.end()
        self.result_of(call)
        listener = Listener()
        connection.transport.clear()
        again = call.model.chat(HELLO, listener)
        connection.begin()
        connection.send(event("two") + DONE)
        self.successResultOf(again)
        self.assertEqual((listener.text, self.network.attempts), ("two", 1))

    def test_connection_is_kept_also_after_a_body_that_came_with_the_head_was_held(self) -> None:
        call, connection = self.call(holding=True)
        chunks = b"".join(
            b"%x\r\n%b\r\n" % (len(data), data) for data in (event("one"), finish() + DONE, b"")
        )
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.receive(head + chunks)
        self.result_of(call)
        call.model.chat(HELLO, Listener())
        self.assertEqual((self.network.attempts, connection.transport.producerState), (1, "producing"))

    def test_response_that_has_ended_with_its_last_frame_leaves_no_timer(self) -> None:
        call, connection = self.call()
        chunk = event("one") + finish() + DONE
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        clock = self.network.clock
        with patch.object(clock, "callLater", wraps=clock.callLater) as timers:
            connection.receive(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk))
        self.result_of(call)
        timers.assert_not_called()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_finish_reason_is_enough_of_an_end(self) -> None:
        call, connection = self.streaming()
        connection.send(finish("length"))
        connection.end()
        self.assertEqual(self.result_of(call).finish_reason, "length")

    def test_stream_without_a_last_frame_broke_off(self) -> None:
        call, connection = self.streaming()
        connection.end()
        self.assertIn("broke off in the middle of its reply: its stream ended", str(self.error_of(call)))

    def test_empty_stream_broke_off_before_the_reply(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.end()
        self.network.next_attempt()
        self.network.clock.advance(0)
        connection.begin()
        connection.end()
        self.error_of(call, ModelUnavailable)

    def test_deltas_before_an_error_in_one_segment_are_delivered(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.send(event("last words") + b'data: {"error": {"message": "GPU fell off"}}\n\n')
        self.assertIn("failed: GPU fell off", str(self.error_of(call)))
        self.assertEqual(call.listener.text, "last words")
        self.assertTrue(connection.closed)

    def test_what_cannot_be_read_is_an_error(self) -> None:
        deep = b"[" * 100_000 + b"]" * 100_000
        for garbage in (b"{broken", b'{"choices": [}', b'{"id":%b}' % deep):
            for plain in (False, True):
                call, connection = self.streaming(plain_http=plain)
                connection.send(b"data: %b\n\n" % garbage)
                self.assertIn("sent what cannot be read", str(self.error_of(call)))
                self.assertTrue(connection.closed)

    def test_line_without_end_is_an_error(self) -> None:
        call, connection = self.streaming()
        for _ in range(9):
            connection.send(b"x" * 1024 * 1024)
        self.assertIn("a line of more than 8388608 bytes", str(self.error_of(call)))
        self.assertTrue(connection.closed)

    def test_bug_in_the_receiver_is_logged_and_ends_the_call(self) -> None:
        call, connection = self.call()
        call.listener.deltasReceived = lambda deltas: 1 / 0  # type: ignore[method-assign,assignment]
        connection.begin()
        connection.send(event("one"))
        self.error_of(call)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
