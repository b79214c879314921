"""Requests that are read at once, beside the same ones that Twisted's parser takes a line at a time."""

import gc
import re
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.web import heads
from llamaproxy.web.guard import Guard
from llamaproxy.web.heads import Head, whole
from tests.support import Front, House

HELLO = b'{"messages":[{"role":"user","content":"hello"}],"stream":false}'
HELP = b'{"messages":[{"role":"user","content":"!help"}]}'

METHODS = (b"POST", b"GET", b"HEAD", b"OPTIONS", b"get", b"PO ST", b"", b"P\x00", b"\xff")
TARGETS = (
    b"/api/chat",
    b"/v1/chat/completions",
    b"/api/version",
    b"/v1/messages",
    b"/",
    b"/v1",
    b"/api/tags?x",
    b"/console",
    b"/none",
    b"/api//chat/",
    b"http://elsewhere.example/api/version",
    b"http://192.168.1.1/api/chat",
    b"*",
    b"",
    b"/a b",
    b"/%ff",
    b"/\xc3\xa4",
    b"/\x7f",
)
VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ")
LINES = (
    b"Host: h",
    b"host:h",
    b"Host: evil.example",
    b"Host: a/b",
    b"User-Agent: ollama/0.1",
    b"user-agent:\tMozilla/5.0 (X11) ",
    b"Content-Type: text/plain",
    b"Authorization: Bearer right",
    b"Authorization: Bearer wrong",
    b"x-api-key: right",
    b"Origin: http://evil.example",
    b"Origin: http://localhost:3000",
    b"Origin: http://h",
    b"X-Forwarded-For: 9.9.9.9",
    b"X-Request-Id: mine",
    b"x-request-id: other",
    b"X-Llamaproxy-Depth: 1",
    b"X-Llamaproxy-Depth: x",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Keep-Alive, Upgrade",
    b"Cookie: a=b",
    b"Expect: 100-continue",
    b"Expect: other",
    b"Content-Encoding: gzip",
    b"Content-Encoding: identity",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Content-Length: 1",
    b"Content-Length: +1",
    b"Content-Length : 3",
    b"X-Odd: a\x00b",
    b"X-Odd: a\rb",
    b"X-Odd: a\nB: c",
    b"X-Odd: a\n",
    b" folded: x",
    b"\tx",
    b"no colon",
    b": no name",
    b"X Y: z",
    b"X\xff: z",
    b"X-\xc3\xa4: z",
    b"X-Value: \xff\xfe",
    b"X-Empty:",
    b"X-Long: " + b"x" * 3000,
)

requests = st.builds(
    lambda method, target, version, lines, body, length, place: b"\r\n".join(
        [
            b"%b %b %b" % (method, target, version),
            *lines[:place],
            *([b"%b: %d" % (length, len(body))] if length else []),
            *lines[place:],
            b"",
            body,
        ]
    ),
    st.sampled_from(METHODS) | st.just(b"POST"),
    st.sampled_from(TARGETS) | st.just(b"/api/chat"),
    st.sampled_from(VERSIONS),
    st.lists(st.sampled_from(LINES), max_size=4),
    st.sampled_from((b"", HELLO, HELP, b"{", HELP + b"GET / HTTP/1.1\r\n\r\n")),
    st.sampled_from((b"", b"Content-Length", b"content-length", b"CONTENT-LENGTH")),
    st.integers(0, 4),
)


class OneWayTests(SynchronousTestCase):
    """Both ways give the same."""

    def setUp(self) -> None:
        self.fronts = [
            Front(House(folder=Path(self.mktemp())), Guard(api_keys={"anna": "right"})) for _ in range(2)
        ]

    def answer(self, front: Front, pieces: list[bytes], address: str) -> tuple[bytes, bool]:
        wire = front.connect(address)
        for piece in pieces:
            wire.channel.dataReceived(piece)
        sent = re.sub(rb"(req_|msg_|chatcmpl-|resp_)\w+|Date: [^\r]*|\d+ms", b"", wire.transport.value())
        return sent, wire.transport.disconnecting

    def assert_same(self, request: bytes, address: str) -> None:
        at_once, in_pieces = self.fronts
        cut = max(1, len(request) - 1) if b"\r\n\r\n" not in request[:-1] else request.find(b"\r\n\r\n") + 2
        self.assertEqual(
            self.answer(at_once, [request], address),
            self.answer(in_pieces, [request[:cut], request[cut:]], address),
            request,
        )

    def test_each_oddity_alone_gets_the_same_answer(self) -> None:
        usual = b"Content-Length: %d" % len(HELP)
        for line in LINES:
            self.assert_same(
                b"\r\n".join([b"POST /api/chat HTTP/1.1", line, usual, b"", HELP]), "192.168.1.9"
            )
        for target in TARGETS:
            for method, version in ((b"GET", b"HTTP/1.1"), (b"POST", b"HTTP/1.1"), (b"GET", b"HTTP/1.0")):
                first = b"%b %b %b" % (method, target, version)
                self.assert_same(b"\r\n".join([first, b"Host: h", b"", b""]), "192.168.1.9")

    @settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests, st.sampled_from(("192.168.1.9", "9.9.9.9", "127.0.0.1")))
    def test_a_request_at_once_and_in_pieces_gets_the_same_answer(self, request: bytes, address: str) -> None:
        self.assert_same(request, address)

    def test_a_second_request_on_the_connection_is_judged_by_its_own_head(self) -> None:
        for front in self.fronts:
            front.site.guard.adopt(Guard(api_keys={"anna": "right"}, allow_from=("10.0.0.0/8",)))
            wire = front.connect("192.168.1.9")
            for key, code in ((b"right", b"200"), (b"wrong", b"401"), (b"right", b"200"), (b"", b"401")):
                wire.transport.clear()
                wire.channel.dataReceived(_get(b"Authorization: Bearer " + key))
                self.assertEqual(wire.transport.value()[9:12], code, key)

    def test_what_the_operator_changes_counts_for_the_next_request_on_a_connection(self) -> None:
        front = self.fronts[0]
        wire = front.connect("192.168.1.9")
        for guard, code in ((None, b"200"), (Guard(allow_from=("10.0.0.0/8",)), b"403"), (Guard(), b"200")):
            if guard is not None:
                front.site.guard.adopt(guard)
            wire.transport.clear()
            wire.channel.dataReceived(_get())
            self.assertEqual(wire.transport.value()[9:12], code)

    def test_an_idle_connection_holds_no_head(self) -> None:
        for address in ("192.168.1.9", "9.9.9.9"):
            for lines in ([b"X-Idle: y"], [b"X-Idle: y", *[b"X-%d: y" % number for number in range(400)]]):
                wire = self.fronts[0].connect(address)
                wire.channel.dataReceived(_get(*lines))
                self.assertIn(wire.transport.value()[9:12], (b"200", b"401"))
                # As others' requests have it forgotten.
                heads._read.cache_clear()
                gc.collect()
                held = [each for each in gc.get_objects() if type(each) is Head and each.get(b"x-idle")]
                self.assertEqual(held, [], address)
                self.assertFalse(wire.transport.disconnecting)


class WholeTests(SynchronousTestCase):
    """Which requests are read at once."""

    def test_what_the_usual_clients_send_is(self) -> None:
        agents = (b"ollama/0.6.2 (arm64 darwin) Go/go1.24", b"OpenAI/Python 1.99.9", b"Mozilla/5.0 (X11)")
        for agent in agents:
            data = (
                b"POST /api/chat HTTP/1.1\r\nHost: h:11434\r\nUser-Agent: %b\r\nContent-Length: 2\r\n\r\n{}"
                % agent
            )
            found = whole(data)
            assert found is not None
            self.assertEqual((found[0].path, found[1]), ("/api/chat", b"{}"))

    def test_heads_that_differ_only_in_the_length_of_the_body_are_one(self) -> None:
        first, second = whole(_post(b"{}")), whole(_post(HELLO))
        assert first is not None and second is not None
        self.assertIs(first[0], second[0])
        self.assertEqual((first[1], second[1]), (b"{}", HELLO))

    def test_what_is_not_there_as_a_whole_or_more_than_that_is_not(self) -> None:
        data = _post(HELLO)
        self.assertIsNotNone(whole(data))
        for cut in range(len(data)):
            self.assertIsNone(whole(data[:cut]), cut)
        self.assertIsNone(whole(data + b"G"))

    def test_a_long_head_is_not_remembered(self) -> None:
        self.assertIsNone(whole(_get(b"X-Long: " + b"x" * heads.LONGEST)))
        self.assertIsNone(whole(_get(*[b"X: y"] * (heads.MOST_LINES + 1))))

    def test_a_head_is_looked_at_once(self) -> None:
        look = mock.Mock(return_value=7)
        for _ in range(3):
            found = whole(_get(b"X-Once: y"))
            assert found is not None
            self.assertEqual(found[0].once(look), 7)
        look.assert_called_once()


def _get(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /api/version HTTP/1.1", b"Host: h", *lines, b"", b""])


def _post(body: bytes) -> bytes:
    return b"POST /api/chat HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
