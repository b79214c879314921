from typing import Any

from llamaproxy.sockets.sending import together

from .test_routes import WebCase


class OutflowTests(WebCase):
    """How many writes an answer takes is part of its price."""

    def setUp(self) -> None:
        super().setUp()
        self.wire = self.front.connect()
        self.writes: list[bytes] = []
        really_write = self.wire.transport.write

        def write(data: bytes) -> None:
            self.writes.append(data)
            really_write(data)

        self.patch(self.wire.transport, "write", write)

    def chat(self, text: str, **fields: Any) -> None:
        body = {"model": "main", "messages": [{"role": "user", "content": text}], **fields}
        self.wire.send("POST", "/api/chat", body)

    def test_answer_that_is_there_at_once_is_one_write(self) -> None:
        for path in ("/", "/api/version", "/api/tags", "/api/ps"):
            self.wire.send("GET", path)
        self.chat("!help")
        self.chat("!help", stream=False)
        self.assertEqual(len(self.writes), 6)
        self.assertTrue(self.writes[4].endswith(b"0\r\n\r\n"))

    def test_segment_of_a_stream_is_one_write_and_the_first_takes_the_head_along(self) -> None:
        self.chat("hello")
        self.assertEqual(self.writes, [])
        call = self.house.calls[-1]
        call.say("one", " two")
        call.say(" three")
        self.assertEqual([write.count(b'"content"') for write in self.writes], [2, 1])
        self.assertTrue(self.writes[0].startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_answer_without_a_body_still_has_its_head(self) -> None:
        self.wire.send("HEAD", "/")
        self.wire.send("OPTIONS", "/api/chat")
        self.assertEqual([write.split(b" ")[1] for write in self.writes], [b"200", b"204"])
        self.assertTrue(all(write.endswith(b"\r\n\r\n") for write in self.writes))

    def test_connection_that_is_to_close_says_everything_before(self) -> None:
        self.wire.send("GET", "/api/version", Connection="close")
        self.assertEqual(self.wire.response().code, 200)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_answer_is_out_before_what_came_behind_its_request_is_refused(self) -> None:
        self.chat("hello")
        self.wire.channel.dataReceived(b"GARBAGE\r\n\r\n")
        with together:
            self.house.calls[-1].answer("hi")
        first, second = self.wire.transport.value().split(b"HTTP/1.1 ")[1:]
        self.assertTrue(first.endswith(b"\r\n0\r\n\r\n"))
        self.assertTrue(second.startswith(b"400 "))
