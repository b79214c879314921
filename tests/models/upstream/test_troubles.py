"""What goes wrong on the way to a model's server, and what its server tells by it."""

import errno

from twisted.internet import error as net
from twisted.logger import capturedLogs, formatEvent

from llamaproxy.models.upstream.secrets import MIN_SECRET
from llamaproxy.seams.errors import ModelError, ModelTimeout, ModelUnavailable

from ..fakes import KEY, Call
from .test_upstream import UpstreamTestCase


class TroubleTests(UpstreamTestCase):
    def test_troubles_on_the_way_are_told_in_words(self) -> None:
        troubles: dict[Exception, str] = {
            net.ConnectionRefusedError(): "nothing listens at its address",
            net.DNSLookupError("x"): "the name of its server is not known",
            net.NoRouteError(): "there is no way to its server in the network",
            net.TimeoutError(): "no connection within 7 seconds (connect_timeout)",
            net.ConnectError(errno.EMFILE, "/etc/x"): "this machine has no connection left to make",
            net.ConnectError(9999, "/etc/x"): "connecting to its server failed",
        }
        for trouble, words in troubles.items():
            call = Call(self.network, connect_timeout=7)
            self.network.refuse(trouble)
            self.network.next_attempt()
            self.network.refuse(trouble)
            error = self.error_of(call, ModelUnavailable)
            self.assertEqual(str(error), f"Model 'm' cannot be reached: {words}")

    def test_answer_that_is_no_http_is_told_as_that(self) -> None:
        for raw, words in (
            (b"SSH-2.0-OpenSSH\r\n\r\n", "failed: its answer cannot be read: it does not begin as HTTP does"),
            (b"\x15\x03\x01\x00\x02\r\n\r\n", "it speaks TLS, and its host would begin with https://"),
            (b"HTTP/1.1 200 OK\r\nno token: x\r\n\r\n", "read: a line of its head is no header"),
            (b"HTTP/1.1 200 OK\r\nConnection: \xff\r\n\r\n", "read: a line of its head is no header"),
        ):
            call, connection = self.call()
            connection.receive(raw)
            self.network.next_attempt()
            self.network.accept().receive(raw)
            self.assertIn(words, str(self.error_of(call, ModelUnavailable)))

    def test_limits_say_what_they_are(self) -> None:
        call, _ = self.call(first_token_timeout=30)
        self.network.clock.advance(30)
        words = "did not begin its reply within 30 seconds (first_token_timeout)"
        self.assertIn(words, str(self.error_of(call, ModelTimeout)))
        call, _ = self.streaming(idle_timeout=20)
        self.network.clock.advance(20)
        words = "fell silent for 20 seconds in the middle of its reply (idle_timeout)"
        self.assertIn(words, str(self.error_of(call, ModelTimeout)))


class KeyTests(UpstreamTestCase):
    """A server may send back what it was shown; the client and the log hear none of it."""

    def heard(self, raw: bytes, **fields: object) -> str:
        """What the client and the log hear of an answer."""
        with capturedLogs() as log:
            call = Call(self.network, env_key="MODEL_KEY", **fields)  # type: ignore[arg-type]
            connection = self.network.accept()
            connection.receive(raw)
            if not call.done.called and not connection.closed:
                connection.cut()
            if not call.done.called:
                self.network.next_attempt()
                connection = self.network.accept()
                connection.receive(raw)
                if not connection.closed:
                    connection.cut()
            error = self.failureResultOf(call.done, ModelError).value
        self.flushLoggedErrors()
        return "\n".join([str(error), error.said, *(formatEvent(event) or "" for event in log)])

    def test_key_is_in_no_error_and_no_log_whatever_the_server_sends(self) -> None:
        key = KEY.encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
        stream = head + b"Content-Length: 500\r\n\r\n"
        for plain in (False, True):
            for raw in (
                b"Authorization: Bearer %b\r\n\r\n" % key,
                b"%b\r\n\r\n" % key,
                b"POST /v1/chat/completions %b\r\n\r\n" % key,
                head + b"Bearer %b: no token\r\n\r\n" % key,
                head + b"Content-Length: %b\xff\r\n\r\n" % key,
                b"HTTP/1.1 500 %b\r\nContent-Length: 0\r\n\r\n" % key,
                b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n%b" % (len(key), key),
                b"HTTP/1.1 307 X\r\nLocation: http://%b/\r\nContent-Length: 0\r\n\r\n" % key,
                head + b"Content-Encoding: %b\r\nContent-Length: 2\r\n\r\nhi" % key,
                head + b"Transfer-Encoding: %b\r\n\r\n" % key,
                head + b"Transfer-Encoding: chunked\r\n\r\n%b\r\n" % key,
                head + b"Content-Length: %d\r\n\r\n%b" % (len(key), key),
                stream + b'data: {"error":"%b %b"}\n\n' % (b"x" * 285, key),
                stream + b'data: {"error":{"message":"no %b"}}\n\n' % key,
                stream + b'data: {"%b": oops\n\n' % key,
            ):
                heard = self.heard(raw, plain_http=plain)
                self.assertNotIn(KEY[:MIN_SECRET], heard, (plain, raw))
