from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import (
    ContextTooLong,
    ModelError,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from llamaproxy.seams.types import ModelRequest, ModelResult

from ..fakes import DONE, KEY, Call, Connection, Network, event, finish


class UpstreamTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()

    def call(self, **fields: object) -> tuple[Call, Connection]:
        """A call whose request has arrived."""
        call = Call(self.network, **fields)  # type: ignore[arg-type]
        return call, self.network.accept()

    def streaming(self, **fields: object) -> tuple[Call, Connection]:
        """A call that has its first delta."""
        call, connection = self.call(**fields)
        connection.begin()
        connection.send(event("one"))
        return call, connection

    def error_of(self, call: Call, kind: type[ModelError] = ModelError) -> ModelError:
        error = self.failureResultOf(call.done, ModelError).value
        self.assertIs(type(error), kind)
        return error

    def result_of(self, call: Call) -> ModelResult:
        return self.successResultOf(call.done)


class RefusalTests(UpstreamTestCase):
    def refused(
        self, kind: type[ModelError], status: int, body: bytes, *headers: str, **fields: object
    ) -> ModelError:
        call, connection = self.call(**fields)
        connection.answer(status, body, *headers)
        if kind is ModelUnavailable:
            self.network.next_attempt()
            self.network.accept().answer(status, body)
        return self.error_of(call, kind)

    def test_model_whose_server_is_down_is_named(self) -> None:
        call = Call(self.network)
        self.network.refuse()
        self.network.next_attempt()
        self.network.refuse()
        error = self.error_of(call, ModelUnavailable)
        self.assertIn(
            "Model 'm' cannot be reached: nothing listens at its address",
            str(error),
        )

    def test_address_of_the_server_is_in_the_log_and_not_in_the_error(self) -> None:
        with capturedLogs() as log:
            call = Call(self.network, host="http://127.0.0.1:8080/v1")
            self.network.refuse()
            self.network.next_attempt()
            self.network.refuse(ConnectError(string="no route to 127.0.0.1"))
            error = self.error_of(call, ModelUnavailable)
        self.assertNotIn("127.0.0.1", str(error))
        first, last = (formatEvent(event) for event in log)
        self.assertRegex(first, r"cannot be reached: .* \(127.0.0.1:8080\); trying once more$")
        self.assertRegex(last, r"connecting to its server failed \(127.0.0.1:8080\)$")

    def test_401_names_the_variable_to_set_and_hides_the_key(self) -> None:
        body = b'{"error": {"message": "Incorrect API key: %b"}}' % KEY.encode()
        error = self.refused(ModelError, 401, body, env_key="MODEL_KEY")
        self.assertIn("set the environment variable MODEL_KEY", str(error))
        self.assertIn("Incorrect API key: ***", str(error))

    def test_key_that_is_not_set_fails_before_anything_is_sent(self) -> None:
        call = Call(self.network, env_key="OTHER_KEY")
        self.assertIn("set the environment variable OTHER_KEY", str(self.error_of(call)))
        self.assertEqual(self.network.attempts, 0)

    def test_429_says_when_to_come_back(self) -> None:
        error = self.refused(ModelRateLimited, 429, b'{"error": {"message": "slow down"}}', "Retry-After: 17")
        self.assertEqual((error.retry_after, error.status), (17, 429))
        self.assertIn("slow down", str(error))

    def test_429_with_a_senseless_time_is_still_a_429(self) -> None:
        for value in ("-inf", "inf", "nan", "9" * 400, "1e999", "soon", "Mon, 01 Jan 0001 00:00:00 +2359"):
            error = self.refused(ModelRateLimited, 429, b'{"error": "slow down"}', f"Retry-After: {value}")
            self.assertIn(error.retry_after, (None, 1), value)

    def test_500_carries_the_first_line_of_what_the_server_said(self) -> None:
        body = b'{"error": {"message": "CUDA is out of memory\\nTraceback: ..."}}'
        error = self.refused(ModelError, 500, body)
        self.assertEqual(str(error), "Model 'm' answered 500: CUDA is out of memory")

    def test_message_is_bounded(self) -> None:
        error = self.refused(ModelError, 500, b"x" * 10_000)
        self.assertLess(len(str(error)), 400)

    def test_error_body_is_read_to_a_limit(self) -> None:
        call, connection = self.call()
        connection.answer(500, b"y" * 200_000, kind="text/plain")
        self.assertTrue(connection.closed)
        self.assertIn("yyy...", str(self.error_of(call)))

    def test_error_body_that_never_ends_gives_what_there_is(self) -> None:
        call, connection = self.call(idle_timeout=5)
        connection.answer(500, b"half", kind="text/plain", more=100)
        self.network.clock.advance(5)
        self.assertIn("answered 500", str(self.error_of(call)))

    def test_html_is_not_taken_for_a_stream(self) -> None:
        call, connection = self.call()
        connection.answer(200, b"<html>Welcome to the hotel</html>", kind="text/html")
        self.assertIn("an HTML page", str(self.error_of(call)))

    def test_redirect_is_an_error(self) -> None:
        places = {
            "Location: http://elsewhere/v1/chat": "moved to http://elsewhere/v1/chat;",
            "Location: https://me:secret@elsewhere:8443/v1?key=secret": "moved to https://elsewhere:8443/v1;",
            "Location: /login?next=secret": "moved to /login;",
            "Location: http://[bad": "moved, and not said where to",
            "X: y": "moved, and not said where to",
        }
        for header, place in places.items():
            error = self.refused(ModelError, 307, b"", header)
            self.assertIn(f"answered 307: it has {place}", str(error))
            self.assertNotIn("secret", str(error))

    def test_words_that_a_terminal_would_obey_are_shown_as_they_are(self) -> None:
        body = b'{"error": "\\u001b[31mred\\u202e \\u0084 \\u0007"}'
        error = self.refused(ModelError, 500, body)
        self.assertTrue(str(error).endswith(r"\x1b[31mred\u202e \x84 \x07"), str(error))

    def test_words_of_every_server_are_found(self) -> None:
        bodies = {
            b'{"error": "model not found"}': "model not found",
            b'[{"error": {"message": "quota"}}]': "quota",
            b'{"detail": "nope"}': "nope",
            b'{"message": "bad"}': "bad",
            b"": "no explanation",
            b"\xff\xfe": "\ufffd\ufffd",
            b'{"error": "\xe9t\xe9"}': "\ufffdt\ufffd",
        }
        for body, words in bodies.items():
            self.assertTrue(str(self.refused(ModelError, 404, body)).endswith(f"answered 404: {words}"), body)

    def test_refusal_that_is_nested_deeply_is_still_a_refusal(self) -> None:
        for body in (b"[" * 30_000 + b"]" * 30_000, b'{"error":' * 5000 + b'"x"' + b"}" * 5000):
            self.assertIn("answered 500: ", str(self.refused(ModelError, 500, body)))

    def test_prompt_that_is_too_long_is_told_apart_with_its_numbers(self) -> None:
        bodies = {
            b'{"error": {"message": "too big", "type": "exceed_context_size_error", "n_prompt_tokens": 900, '
            b'"n_ctx": 512}}': (900, 512),
            b'{"error": {"message": "This model\'s maximum context length is 8192 tokens. However, your messages '
            b'resulted in 9001 tokens.", "code": "context_length_exceeded"}}': (9001, 8192),
            b'{"error": {"message": "This model\'s maximum prompt length is 131072 but the request contains '
            b'200000 tokens."}}': (200000, 131072),
            b'{"error": {"message": "The input token count (1200) exceeds the maximum number of tokens allowed '
            b'(1000)."}}': (1200, 1000),
            b'{"error": "the input length exceeds the context length"}': (0, 0),
        }
        for body, numbers in bodies.items():
            error = self.refused(ContextTooLong, 400, body)
            assert isinstance(error, ContextTooLong)
            self.assertEqual((error.prompt_tokens, error.context_length), numbers, body)


class RetryTests(UpstreamTestCase):
    def test_client_that_leaves_while_a_refusal_is_read_has_nothing_asked_again(self) -> None:
        for status, body in ((503, b"later"), (400, b'{"error":{"message":"max_tokens is not supported"}}')):
            call, connection = self.call(max_tokens=5)
            connection.answer(status, body, more=100)
            call.done.cancel()
            self.failureResultOf(call.done, CancelledError)
            self.assertTrue(connection.closed)
            self.network.clock.advance(60)
            self.assertEqual((self.network.attempts, self.network.accepted), (self.network.accepted,) * 2)

    def test_server_that_says_when_to_come_back_is_asked_then(self) -> None:
        call, connection = self.call()
        connection.answer(503, b"later", "Retry-After: 3")
        self.network.clock.advance(2.9)
        self.assertEqual(self.network.attempts, 1)
        self.network.clock.advance(0.1)
        connection = self.network.accept()
        connection.begin()
        connection.send(event("hi") + finish() + DONE)
        self.result_of(call)

    def test_client_is_told_when_to_come_back_where_that_is_later(self) -> None:
        for status in (503, 529):
            call, connection = self.call()
            connection.answer(status, b"later", "Retry-After: 30")
            self.assertEqual(self.error_of(call, ModelUnavailable).retry_after, 30)

    def test_server_that_says_in_its_stream_that_it_is_overloaded_is_asked_once_more(self) -> None:
        overloaded = b'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
        for kind in ("OPENAI", "ANTHROPIC"):
            call, connection = self.call(kind=kind)
            connection.begin()
            connection.send(b": hello\n\n" + overloaded)
            self.network.next_attempt()
            connection = self.network.accept()
            connection.begin()
            connection.send(overloaded)
            self.assertIn("failed: Overloaded", str(self.error_of(call, ModelUnavailable)))

    def test_server_that_is_overloaded_in_the_middle_is_not_asked_again(self) -> None:
        call, connection = self.streaming()
        connection.send(b'data: {"error":{"code":503,"message":"Overloaded"}}\n\n')
        self.assertIn("failed: Overloaded", str(self.error_of(call)))
        self.assertEqual(call.listener.text, "one")

    def test_refused_connection_is_tried_once_more(self) -> None:
        call = Call(self.network)
        self.network.refuse()
        self.network.next_attempt()
        connection = self.network.accept()
        connection.begin()
        connection.send(event("hi") + finish() + DONE)
        self.result_of(call)
        self.assertEqual(call.listener.text, "hi")

    def test_overloaded_server_is_asked_once_more_and_not_twice(self) -> None:
        for status in (502, 503, 504):
            call, connection = self.call()
            connection.answer(status, b"later")
            self.network.next_attempt()
            self.network.accept().answer(status, b"later")
            self.error_of(call, ModelUnavailable)

    def test_connection_lost_before_the_first_delta_is_tried_once_more(self) -> None:
        call, connection = self.call()
        connection.begin()
        connection.send(b": hello\n\n")
        connection.cut()
        self.network.next_attempt()
        connection = self.network.accept()
        connection.begin()
        connection.send(event("hi") + DONE)
        self.result_of(call)
        self.assertEqual(call.listener.registrations, 1)

    def test_connection_lost_after_the_first_delta_is_an_error_at_once(self) -> None:
        call, connection = self.streaming()
        connection.cut()
        self.assertIn("broke off in the middle of its reply", str(self.error_of(call)))
        self.assertIsNone(call.listener.producer)

    def test_other_refusals_are_not_repeated(self) -> None:
        for status in (400, 401, 404, 429, 500):
            call, connection = self.call()
            connection.answer(status, b"no")
            self.failureResultOf(call.done, ModelError)
            self.network.next_attempt()


class TimeoutTests(UpstreamTestCase):
    def test_server_that_never_answers(self) -> None:
        call, connection = self.call(first_token_timeout=30)
        self.network.clock.advance(29)
        self.assertNoResult(call.done)
        self.network.clock.advance(1)
        self.assertIn("did not begin its reply within 30 seconds", str(self.error_of(call, ModelTimeout)))
        self.assertTrue(connection.closed)

    def test_one_timer_serves_a_call_however_long_its_limits(self) -> None:
        call, connection = self.call(first_token_timeout=200, idle_timeout=90, llm_call_timeout=1000)
        timers = self.network.clock.getDelayedCalls()
        connection.begin()
        connection.send(event("one"))
        self.assertEqual(self.network.clock.getDelayedCalls(), timers)
        self.network.clock.pump([10] * 8 + [9])
        self.assertNoResult(call.done)
        self.network.clock.advance(1)
        self.assertIn("fell silent for 90 seconds", str(self.error_of(call, ModelTimeout)))

    def test_comments_do_not_count_as_a_first_delta(self) -> None:
        call, connection = self.call(first_token_timeout=30)
        connection.begin()
        for _ in range(3):
            self.network.clock.advance(10)
            if not connection.closed:
                connection.send(b": still thinking\n\n")
        self.error_of(call, ModelTimeout)

    def test_half_a_frame_and_then_silence(self) -> None:
        call, connection = self.streaming(idle_timeout=20)
        connection.send(b'data: {"choices": [{"del')
        self.network.clock.advance(20)
        self.assertIn("fell silent for 20 seconds", str(self.error_of(call, ModelTimeout)))
        self.assertTrue(connection.closed)

    def test_stream_that_moves_never_falls_silent(self) -> None:
        call, connection = self.streaming(idle_timeout=20)
        for _ in range(10):
            self.network.clock.advance(19)
            connection.send(event("."))
        self.assertNoResult(call.done)
        self.assertEqual(len(self.network.clock.getDelayedCalls()), 1)

    def test_whole_call_is_bounded(self) -> None:
        call, connection = self.streaming(llm_call_timeout=100)
        for _ in range(10):
            self.assertNoResult(call.done)
            connection.send(event("."))
            self.network.clock.advance(10)
        self.assertIn("was not done after 100 seconds", str(self.error_of(call, ModelTimeout)))

    def test_limit_of_the_request_beats_that_of_the_entry(self) -> None:
        for seconds in (5, 500):
            call = Call(self.network, ModelRequest(messages=(), timeout=seconds), llm_call_timeout=100)
            connection = self.network.accept()
            connection.begin()
            for _ in range(seconds):
                self.assertNoResult(call.done)
                connection.send(event("."))
                self.network.clock.advance(1)
            self.assertIn(f"was not done after {seconds} seconds", str(self.error_of(call, ModelTimeout)))

    def test_no_limit_runs_while_the_receiver_holds_the_stream(self) -> None:
        call, _ = self.streaming(idle_timeout=20, llm_call_timeout=100)
        self.network.clock.advance(15)
        call.listener.hold()
        self.network.clock.advance(10_000)
        call.listener.release()
        self.assertNoResult(call.done)
        self.network.clock.advance(4)
        self.assertNoResult(call.done)
        self.network.clock.advance(1)
        self.error_of(call, ModelTimeout)

    def test_nothing_ticks_on_after_a_call(self) -> None:
        call, connection = self.streaming()
        connection.send(finish() + DONE)
        connection.end()
        self.result_of(call)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])


class CancelTests(UpstreamTestCase):
    def test_cancelling_closes_the_connection_before_the_answer(self) -> None:
        call, connection = self.call()
        call.done.cancel()
        self.failureResultOf(call.done, CancelledError)
        self.assertTrue(connection.closed)

    def test_cancelling_gives_up_connecting_without_another_attempt(self) -> None:
        call = Call(self.network)
        call.done.cancel()
        self.failureResultOf(call.done, CancelledError)
        self.network.next_attempt()
        self.assertEqual(self.network.attempts, 1)

    def test_cancelling_closes_the_connection_in_the_middle(self) -> None:
        call, connection = self.streaming()
        call.done.cancel()
        self.failureResultOf(call.done, CancelledError)
        self.assertTrue(connection.closed)
        self.assertIsNone(call.listener.producer)

    def test_cancelling_closes_a_connection_that_is_held(self) -> None:
        call, connection = self.streaming()
        call.listener.hold()
        call.done.cancel()
        self.failureResultOf(call.done, CancelledError)
        self.assertTrue(connection.closed)

    def test_nothing_is_delivered_after_cancelling(self) -> None:
        call, connection = self.streaming()
        call.done.cancel()
        connection.send(event("two"))
        self.failureResultOf(call.done, CancelledError)
        self.assertEqual(call.listener.text, "one")
