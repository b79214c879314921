"""The fast path against the plain one: whatever bytes come, however they are cut, both hear the same."""

import json
import socket
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http import _MalformedChunkedDataError

from llamaproxy.models.upstream import bare, bare_connection, repeats
from llamaproxy.models.upstream.bodies import beginning_of
from llamaproxy.seams.types import ModelDelta, ModelResult, Text
from llamaproxy.sockets.polling import Poll

from ..fakes import DONE, HELLO, Listener, Network, event, finish

reactor: Any = installed_reactor

TEXTS = (
    "a",
    " the",
    "",
    "\n\n",
    '"',
    "\\",
    '\\"',
    "é",
    "日本",
    "😀",
    "\u2028",
    "\x7f",
    '"content":"x"',
    "data: ",
)


def chunk(delta: str, **fields: Any) -> str:
    """The JSON text of a chunk with a `delta` that is JSON text itself."""
    rest = json.dumps({"id": "c-1", "object": "chat.completion.chunk", **fields})[:-1]
    return f'{rest}, "choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}'


def with_text(text: str, ascii_only: bool = True) -> str:
    return chunk(f'{{"content":{json.dumps(text, ensure_ascii=ascii_only)}}}')


def sse(data: str, end: str = "\n", field: str = "data: ") -> bytes:
    return ("".join(f"{field}{line}{end}" for line in data.split("\n")) + end).encode()


tokens = st.one_of(
    st.sampled_from(TEXTS).map(with_text),
    st.sampled_from(TEXTS).map(lambda text: with_text(text, ascii_only=False)),
    # Half an emoji, which JSON can say and UTF-8 cannot.
    st.sampled_from(["\\ud83d", "\\ude00", "\\ud83d\\ude00", "x\\ud83d"]).map(
        lambda e: chunk(f'{{"content":"{e}"}}')
    ),
    st.text(max_size=8).map(
        lambda text: with_text(text.encode("utf-8", "replace").decode(), ascii_only=False)
    ),
)
others = st.sampled_from(
    [
        chunk('{"role":"assistant","content":""}'),
        chunk('{"reasoning_content":"hm"}'),
        chunk('{"content":"x","reasoning":"y"}'),
        chunk('{"content":"x"}', usage={"prompt_tokens": 3, "completion_tokens": 4}),
        chunk('{"content":"other"}', created=2),
        chunk('{"content": "spaced"}'),
        chunk('{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}}]}'),
        '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
        '{"choices":[{"delta":{"content":"last"},"finish_reason":"length"}]}',
    ]
)
frames = st.one_of(
    *[tokens.map(sse)] * 6,
    others.map(sse),
    tokens.map(lambda data: sse(data, "\r\n")),
    tokens.map(lambda data: sse(data, field="data:")),
    tokens.map(lambda data: sse(data.replace(', "choices"', ',\n"choices"'))),
    st.sampled_from([b": keep-alive\n\n", b"event: x\nid: 7\n", b"\n", b"\r\n", b"retry: 1\n\n"]),
)
bad = st.sampled_from(
    [
        b"data: {broken\n\n",
        b'data: {"error": {"message": "GPU fell off"}}\n\n',
        chunk('{"content":"\x01"}').join(["data: ", "\n\n"]).encode(),
        b'data: {"id": "c-1", "object": "chat.completion.chunk", "choices":[{"index":0,"delta":{"content":"\xff"},'
        b'"finish_reason":null}]}\n\n',
    ]
)
ends = st.sampled_from([finish() + DONE, finish(), DONE, b"", b"data: {"])
bodies = st.builds(
    lambda before, broken, after, end: b"".join([*before, broken, *after, end]),
    st.lists(frames, max_size=12),
    st.one_of(*[st.just(b"")] * 4, bad),
    st.lists(frames, max_size=6),
    ends,
)


def framed(body: bytes, framing: str, sizes: Sequence[int]) -> bytes:
    """A response; `sizes` are those of its chunks, as far as they go."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    if framing == "close":
        return head + b"Connection: close\r\n\r\n" + body
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces, at = [], 0
    for size in [*sizes, len(body)]:
        if piece := body[at : at + size]:
            pieces.append(b"%X%b\r\n%b\r\n" % (len(piece), b";x=y" if size == 7 else b"", piece))
        at += size
    trailer = b"X-Trailer: 1\r\n" if framing == "trailer" else b""
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces) + b"0\r\n" + trailer + b"\r\n"


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    borders = [0, *sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[start:end] for start, end in pairwise(borders)]


def heard(segments: Sequence[bytes], fast: bool) -> tuple[list[ModelDelta], ModelResult | str]:
    """The deltas of a call that is answered with these segments, and how it ended."""
    lessons = repeats.MAX_LESSONS
    repeats.MAX_LESSONS = lessons if fast else 0
    try:
        network, listener, outcome = Network(), Listener(), list[Any]()
        call: Deferred[ModelResult] = network.model(plain_http=not fast).chat(HELLO, listener)
        call.addBoth(outcome.append)
        connection = network.accept()
        for segment in segments:
            connection.receive(segment)
        connection.cut(ConnectionDone())
        if not outcome:
            network.next_attempt()
            network.refuse()
    finally:
        repeats.MAX_LESSONS = lessons
    (end,) = outcome
    deltas = [delta for deltas in listener.segments for delta in deltas]
    return deltas, f"{type(end.value).__name__}: {end.value}" if isinstance(end, Failure) else end


class SameAsPlainTests(SynchronousTestCase):
    def check(self, segments: Sequence[bytes]) -> None:
        self.assertEqual(heard(segments, fast=True), heard(segments, fast=False))

    @settings(deadline=None, max_examples=300)
    @given(
        bodies,
        st.sampled_from(["chunked", "chunked", "trailer", "length", "close"]),
        st.lists(st.integers(1, 400), max_size=12),
        st.lists(st.integers(0, 4000), max_size=12),
    )
    def test_any_body_in_any_framing_cut_anywhere(
        self, body: bytes, framing: str, sizes: list[int], places: list[int]
    ) -> None:
        self.check(cut(framed(body, framing, sizes), places))

    def test_every_place_to_cut_once(self) -> None:
        texts = ["plain", "é😀", '\\"', "\n", "end"]
        body = b"".join(sse(with_text(text, ascii_only=False)) for text in texts) + finish() + DONE
        response = framed(body, "chunked", [len(sse(with_text("plain"))), 40, 7])
        expected = heard([response], fast=False)
        self.assertEqual(expected[0], [Text(text) for text in texts])
        for place in range(len(response)):
            self.assertEqual(heard(cut(response, [place]), fast=True), expected, place)

    def test_last_chunk_ends_the_body_wherever_it_is_cut(self) -> None:
        for framing in ("chunked", "trailer"):
            response = framed(event("hi"), framing, [])
            for place in range(1, len(response)):
                self.check(cut(response, [place]))

    def test_half_an_emoji_anywhere_in_a_frame(self) -> None:
        whole = [
            with_text("a"),
            chunk('{"content":"\\ud83d"}'),
            with_text("b"),
            chunk('{"content":"\\ude00 c"}'),
        ]
        said = [Text("a"), Text("\ud83d"), Text("b"), Text("\ude00 c")]
        for frames in (whole, [frame.replace("c-1", "\\ud83d") for frame in whole]):
            body = b"".join(map(sse, frames)) + finish() + DONE
            for segments in (
                [framed(body, "length", [])],
                cut(framed(body, "length", []), range(0, len(body), 50)),
            ):
                self.assertEqual(heard(segments, fast=True)[0], said)
                self.check(segments)

    def test_byte_by_byte(self) -> None:
        body = b"".join(sse(with_text(text, ascii_only=False)) for text in TEXTS) + finish() + DONE
        for framing in ("trailer", "length", "close"):
            self.check([bytes([byte]) for byte in framed(body, framing, [1, 2, 3, 200, 500])])


class OddAnswerTests(SynchronousTestCase):
    """Where HTTP itself is odd the words of an error may differ, but not the kind of outcome."""

    def check(self, answer: bytes) -> None:
        fast, plain = heard([answer], fast=True), heard([answer], fast=False)
        self.assertEqual(fast[0], plain[0], answer)
        kinds = [str(end).partition(":")[0] if isinstance(end, str) else end for _, end in (fast, plain)]
        self.assertEqual(kinds[0], kinds[1], answer)

    def test_heads(self) -> None:
        body = event("hi") + DONE
        length = b"Content-Length: %d\r\n" % len(body)
        for head in (
            b"HTTP/1.0 200 OK\r\n",
            b"HTTP/1.1 200\r\n" + length,
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + length,
            b"HTTP/1.1 200 OK\r\ncontent-length:   %d  \r\n" % len(body),
            b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 7, 9\r\n",
            b"HTTP/1.1 204 No Content\r\n",
            b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + length,
            b"HTTP/1.1 500 Oops\r\n" + length,
            b"ICY 200 OK\r\n",
            b"SSH-2.0-OpenSSH\r\n",
        ):
            self.check(head + b"\r\n" + body)

    def test_informational_answers_are_passed_over_as_long_as_they_are_few(self) -> None:
        real = framed(event("hi") + finish() + DONE, "length", [])
        early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        few, many = early * bare_connection.MAX_INFORMATIONAL, early * 2000
        for segments in ([few + real], [few, real], cut(few + real, range(0, len(few), 7))):
            self.assertEqual(heard(segments, fast=True)[0], [Text("hi")])
        for segments in ([many + real], [many[:5000], many[5000:], real]):
            self.assertEqual(heard(segments, fast=True)[0], [])

    def test_chunks_that_are_none(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        good = b"%x\r\n%b\r\n" % (len(event("hi")), event("hi"))
        for rest in (
            b"zz\r\n",
            b"-5\r\nhello\r\n",
            b"\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"ffffffffffffffffffff\r\n",
        ):
            self.check(head + good + rest)
        # The plain client's own complaints.
        self.flushLoggedErrors(_MalformedChunkedDataError)

    def test_answer_that_stops_in_the_middle(self) -> None:
        whole = framed(event("hi") + event("you") + DONE, "chunked", [len(event("hi"))])
        for size in range(len(whole)):
            self.check(whole[:size])


class GivenUpTests(SynchronousTestCase):
    def test_answer_that_was_received_before_its_request_was_given_up_is_of_no_interest(self) -> None:
        connection = bare_connection.Connection(Poll(None), lambda: 0.0, [])
        connection.makeConnection(transport := StringTransport())
        answer = connection.send(b"GET / HTTP/1.1\r\n\r\n")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        connection.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        self.assertTrue(transport.disconnected)


class RestTests(SynchronousTestCase):
    """What a crowd leaves behind."""

    def test_connections_that_nobody_has_used_for_long_are_let_go(self) -> None:
        now, idle = [0.0], list[bare_connection.Connection]()
        crowd = [bare_connection.Connection(Poll(None), lambda: now[0], idle) for _ in range(3)]
        for connection in crowd:
            connection.makeConnection(StringTransport())
            self.use(connection)
        self.assertEqual(idle, crowd)
        now[0] = bare_connection.MAX_REST - 1
        self.use(idle.pop())
        self.assertEqual(idle, crowd)
        now[0] += 2
        self.use(idle.pop())
        self.assertEqual(idle, crowd[2:])
        self.assertEqual([each.transport.disconnected for each in crowd], [True, True, False])

    def use(self, connection: bare_connection.Connection) -> None:
        """One request and its answer."""
        answer = connection.send(b"GET / HTTP/1.1\r\n\r\n")
        connection.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        self.successResultOf(answer).deliverBody(Protocol())
        connection.dataReceived(b"hi")


class EarlyAnswerTests(TestCase):
    """Against a real socket, for the reactor's own way to look at it is the point."""

    timeout = 20

    def setUp(self) -> None:
        self.door = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.door.close)

    def refuse(self) -> None:
        """Takes some of a request, refuses it, and hangs up on the rest."""
        connection, _ = self.door.accept()
        with connection:
            for _ in range(200):
                connection.recv(20_000)
            connection.sendall(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong"
            )

    async def ask(self, client: bare.BareClient, number: int) -> tuple[int, bytes]:
        """Sends a long request; status and body of the answer."""
        answer = await client.request("POST", f"http://127.0.0.1:{number}/", {}, bytes(20_000_000))
        return answer.code, await beginning_of(answer, 100)

    async def test_refusal_in_the_middle_of_a_long_request_is_heard(self) -> None:
        number = self.door.getsockname()[1]
        client = bare.BareClient(reactor, lambda uri: TCP4ClientEndpoint(reactor, "127.0.0.1", number))
        for _ in range(10):
            refused = deferToThread(self.refuse)
            answer = await self.ask(client, number)
            self.assertEqual(answer, (413, b"long"))
            await refused
