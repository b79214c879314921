"""Text that is none: half an emoji, bytes that are no UTF-8, wherever a client may put them. Words, never a 500."""

from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import Front, House, Response

# JSON values for the places marked with @@ in the bodies below.
HALF, NOT_UTF8 = rb'"a\ud83d"', (b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\xc3"')
OTHERS = (
    rb'"\udc00\ud800"',
    rb'"a\u0000b"',
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b"[" * 2000 + b"]" * 2000,
    b"true",
)
SIZE = b'"max_tokens":9,'
LAST = b'{"role":"user","content":"!help"}'
CHATS = ("/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens")
MESSAGES = (
    b'{"role":"user","content":@@},{"role":"assistant","content":"x"},%b',
    b'{"role":"assistant","content":@@},%b',
    b'{"role":"assistant","content":[{"type":"tool_use","id":@@,"name":"n","input":{"a":@@}}]},%b',
    b'{"role":"user","content":[{"type":"text","text":@@}]},%b',
    b'{"role":"user","content":[{"type":"image_url","image_url":{"url":@@}}]},%b',
    b'{"role":"user","content":"x","images":[@@]},%b',
    b'{"role":@@,"content":"x"},%b',
)
FIELDS = (
    b"model",
    b"system",
    b"tools",
    b"stop",
    b"format",
    b"user",
    b"metadata",
    b"whatever",
    b"temperature",
)
OTHER_BODIES = {
    "/api/generate": (b'{"prompt":@@,"stream":false}', b'{"prompt":"!help","system":@@,"stream":false}'),
    "/v1/completions": (b'{"prompt":@@}',),
    "/v1/responses": (b'{"input":@@}', b'{"input":[{"role":"user","content":@@},' + LAST + b"]}"),
    "/api/embed": (b'{"model":@@,"input":[@@]}',),
    "/v1/embeddings": (b'{"model":"m","input":@@}',),
    "/api/show": (b'{"model":@@}',),
    "/api/pull": (b'{"model":@@,"stream":false}',),
    "/api/create": (b'{"model":@@,"from":@@}',),
    "/api/copy": (b'{"source":@@,"destination":@@}',),
}
HEADERS = (
    "X-Llamaproxy-Depth",
    "X-Llamaproxy-Chat",
    "X-OpenWebUI-User-Id",
    "X-Llamaproxy-Task",
    "User-Agent",
    "Authorization",
    "x-api-key",
    "Origin",
    "Host",
    "Forwarded",
    "X-Forwarded-For",
    "X-Real-IP",
    "Content-Encoding",
    "x-stainless-retry-count",
    "anthropic-version",
    "Expect",
    "Cookie",
)
PATHS = (
    b"/api/\xff",
    b"/v1/models/\xff",
    b"/v1/models/%ff",
    b"/v1/models/%ed%a0%80",
    b"/api/blobs/%00",
    b"*",
    b"http://[/x",
)


def bodies() -> Iterator[tuple[str, bytes]]:
    """Every endpoint with places for odd values."""
    for path in CHATS:
        for messages in MESSAGES:
            yield path, b'{"model":"m","stream":false,%b"messages":[%b]}' % (SIZE, messages % LAST)
        for field in FIELDS:
            yield path, b'{"stream":false,%b"messages":[%b],"%b":@@}' % (SIZE, LAST, field)
    for path, others in OTHER_BODIES.items():
        yield from ((path, body) for body in others)


class OddBytesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)

    def send(self, head: bytes, body: bytes, address: str = "127.0.0.1") -> Response:
        wire = self.front.connect(address)
        wire.channel.dataReceived(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        for call in self.house.calls:
            if not call.result.called:
                call.answer("hi")
        return wire.response()

    def test_no_value_anywhere_in_a_body_is_a_500(self) -> None:
        for path, body in bodies():
            for value in (HALF, *NOT_UTF8, *OTHERS):
                response = self.send(
                    f"POST {path} HTTP/1.1\r\nHost: h\r\n".encode(), body.replace(b"@@", value)
                )
                self.assertIn(response.code, (200, 400, 403, 404), (path, body, value))
                self.assertTrue(response.json(), (path, body, value))

    def test_body_that_is_no_utf8_is_told_so_wherever_that_is(self) -> None:
        for path, body in bodies():
            for value in NOT_UTF8:
                response = self.send(
                    f"POST {path} HTTP/1.1\r\nHost: h\r\n".encode(), body.replace(b"@@", value)
                )
                self.assertEqual((response.code, b"UTF-8" in response.body), (400, True), (path, body))

    def test_no_value_of_a_header_is_a_500(self) -> None:
        body = b'{"messages":[%b],"stream":false}' % LAST
        for name in HEADERS:
            for value in (b"\xff", b"\xed\xa0\x80", b"\xc3\xa4", b"'\"", b"%00", b"\x7f", b"x" * 5000):
                for address in ("127.0.0.1", "192.168.1.2"):
                    own = b"" if name == "Host" else b"Host: h\r\n"
                    head = b"POST /api/chat HTTP/1.1\r\n%b%b: %b\r\n" % (own, name.encode(), value)
                    self.assertLess(self.send(head, body, address).code, 500, (name, value))

    def test_no_path_is_a_500(self) -> None:
        for path in PATHS:
            for method in (b"GET", b"POST", b"DELETE", b"HEAD"):
                self.assertLess(
                    self.send(b"%b %b HTTP/1.1\r\nHost: h\r\n" % (method, path), b"").code, 500, path
                )

    def test_half_a_character_in_a_message_is_told_so_however_old_it_is(self) -> None:
        texts = [MESSAGES[0], MESSAGES[1], MESSAGES[3]]
        for path in CHATS:
            for messages in texts:
                for value in (HALF, rb'"\udc00\ud800"', rb'"\ud83d\ud83d\ude00"'):
                    whole = b'{"model":"m","stream":false,%b"messages":[%b]}' % (SIZE, messages % LAST)
                    response = self.send(
                        f"POST {path} HTTP/1.1\r\nHost: h\r\n".encode(), whole.replace(b"@@", value)
                    )
                    self.assertEqual((response.code, b"half a character" in response.body), (400, True), path)
        self.assertEqual(self.house.store.messages, {})
