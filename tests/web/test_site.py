"""What arrives from real networks: every way of framing a request that HTTP allows, and some that it does not."""

import gzip
import zlib
from itertools import product

from backports import zstd
from msgspec import json

from llamaproxy.web.guard import Guard
from llamaproxy.web.site import LINGER_SECONDS
from tests.support import Front, Response, Wire
from tests.web.test_routes import OLLAMA, OPENAI, WebCase, ask

WHOLE = json.encode(ask("!session", stream=False))


class RawCase(WebCase):
    """Sends bytes as they are."""

    def raw(self, data: bytes) -> Wire:
        wire = self.front.connect()
        wire.channel.dataReceived(data)
        return wire

    def head(self, *lines: bytes, version: bytes = b"1.1", target: bytes = b"/api/chat") -> bytes:
        return b"\r\n".join([b"POST %s HTTP/%s" % (target, version), b"Host: h", *lines, b"", b""])


class FramingTests(RawCase):
    def test_body_in_chunks_is_put_together(self) -> None:
        wire = self.raw(self.head(b"Transfer-Encoding: chunked"))
        for piece in (WHOLE[:10], WHOLE[10:]):
            wire.channel.dataReceived(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.assertEqual(wire.transport.value(), b"")
        wire.channel.dataReceived(b"0\r\n\r\n")
        self.assertEqual(wire.response().code, 200)

    def test_chunked_body_over_the_limit_is_a_413(self) -> None:
        wire = self.raw(self.head(b"Transfer-Encoding: chunked"))
        wire.channel.dataReceived(b"%x\r\n%s\r\n0\r\n\r\n" % (100_001, b"x" * 100_001))
        self.assertEqual(wire.response().code, 413)

    def test_content_type_does_not_matter(self) -> None:
        for kind in (
            "application/x-www-form-urlencoded",
            "text/plain",
            "multipart/form-data",
            "nonsense",
            "",
        ):
            response = self.front.ask("POST", OPENAI, WHOLE, content_type=kind)
            self.assertEqual(response.code, 200, kind)

    def test_whole_url_as_the_target_is_its_path(self) -> None:
        for target in (b"http://h/api/chat", b"HTTP://h:11434//v1/api/chat/?x=1"):
            wire = self.raw(self.head(b"Content-Length: %d" % len(WHOLE), target=target) + WHOLE)
            self.assertEqual(wire.response().code, 200, target)
        self.assertEqual(self.raw(b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").response().code, 200)

    def test_host_that_is_named_twice_is_refused_also_when_it_is_the_same(self) -> None:
        for second in (b"h", b"evil.example"):
            wire = self.raw(b"GET /api/version HTTP/1.1\r\nHost: h\r\nhost: %s\r\n\r\n" % second)
            self.assertEqual((wire.response().code, "host" in wire.response().json()["error"]), (400, True))

    def test_host_of_a_whole_url_counts_in_place_of_the_header(self) -> None:
        for target, code in (
            (b"http://evil.example/", 403),
            (b"http://x@evil.example:1", 403),
            (b"http://h/", 200),
        ):
            wire = self.raw(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % target)
            self.assertEqual(wire.response().code, code, target)
        wire = self.raw(b"GET http://h/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        self.assertEqual(wire.response().code, 200)

    def test_what_stands_behind_an_odd_framing_is_no_request(self) -> None:
        second = b"GET /api/version HTTP/1.1\r\nHost: h\r\n\r\n"
        for lines in (
            [b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: identity", b"Content-Length: 2"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Content-Length: 2"],
            [b"Transfer-Encoding: chunked, identity"],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: \x0bchunked"],
            [b"Content-Length: 2", b"Content-Length: 3"],
        ):
            for body in (b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n"):
                wire = self.raw(self.head(*lines) + body + second)
                response = wire.response()
                self.assertEqual(response.code, 400, lines)
                self.assertNotIn(b"0.33", wire.transport.value(), lines)
                self.assertEqual(wire.transport.value().count(b"HTTP/1.1 "), 1, lines)

    def test_http_1_0_gets_a_plain_stream_that_ends_with_the_connection(self) -> None:
        body = json.encode(ask())
        wire = self.raw(self.head(b"Content-Length: %d" % len(body), version=b"1.0") + body)
        self.house.calls[0].say("Hi")
        self.assertFalse(wire.transport.disconnecting)
        self.house.calls[0].finish()
        self.assertTrue(wire.transport.disconnecting)
        self.assertNotIn("transfer-encoding", wire.response().headers)
        self.assertEqual([line["done"] for line in wire.response().lines()], [False, True])

    def test_two_chats_sent_at_once_are_answered_in_order(self) -> None:
        body = json.encode(ask())
        request = self.head(b"Content-Length: %d" % len(body)) + body
        wire = self.raw(request + request)
        self.assertEqual(len(self.house.calls), 1)
        for answer in ("first", "second"):
            self.house.calls[-1].say(answer)
            self.house.calls[-1].finish()
        sent = wire.transport.value()
        self.assertEqual((sent.count(b"HTTP/1.1 200"), len(self.house.calls)), (2, 2))
        self.assertLess(sent.index(b"first"), sent.index(b"second"))

    def test_connection_close_is_obeyed(self) -> None:
        wire = self.front.connect().send("GET", "/api/version", connection="close")
        self.assertTrue(wire.transport.disconnecting)

    def test_error_leaves_the_connection_open_for_the_next_request(self) -> None:
        wire = self.front.connect().send("POST", OLLAMA, b"{")
        wire.transport.clear()
        self.assertEqual(wire.send("GET", "/api/version").response().code, 200)


class BeginningTests(RawCase):
    """What a connection begins with, before there is a request."""

    def test_what_can_never_be_a_request_is_answered_and_closed_at_once(self) -> None:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32, 64))
        for data in (
            hello,
            hello[:2],
            hello + b"\r\n" * 3,
            b"\x05\x01\x00",
            b"\x80\x2e\x01",
            b"{",
            b"/api/tags",
            b"\x00",
            b"GET\x00",
            b"GET /\x01",
            b"GET / FTP",
            b"GET / HTTP/1.1 x",
            b"A" * 33,
            b"\r\n\r\n\x00\r\nQUIT\n",
        ):
            wire = self.raw(data)
            self.assertEqual(wire.response().code, 400, data)
            self.assertTrue(wire.transport.disconnecting, data)
        self.assertIn(b"http://", self.raw(hello).response().body)

    def test_it_is_known_from_the_first_byte_that_is_wrong(self) -> None:
        wire = self.raw(b"")
        for byte in b"GET":
            wire.channel.dataReceived(bytes([byte]))
        self.assertEqual(wire.transport.value(), b"")
        wire.channel.dataReceived(b"\x00")
        self.assertEqual(wire.response().code, 400)

    def test_request_may_come_byte_by_byte(self) -> None:
        wire = self.raw(b"")
        for byte in b"GET /api/version HTTP/1.1\r\nHost: h\r\n\r\n":
            wire.channel.dataReceived(bytes([byte]))
        self.assertEqual(wire.response().code, 200)

    def test_requests_in_a_row_are_all_answered_wherever_the_network_cuts_them(self) -> None:
        kinds = (
            self.head(b"Content-Length: %d" % len(WHOLE)) + WHOLE,
            self.head(b"Content-Length: 2", target=b"/api/show") + b"{}",
            self.head(b"Transfer-Encoding: chunked", target=b"/api/show") + b"2\r\n{}\r\n0\r\n\r\n",
            b"GET /api/version HTTP/1.1\nHost: h\n\n",
            b"\r\nGET /api/version HTTP/1.1\r\nHost: h\r\n\r\n",
        )
        for row in product(kinds, repeat=3):
            data = b"".join(row)
            for piece in (len(data), 1, 7, 40):
                wire = self.raw(b"")
                for start in range(0, len(data), piece):
                    wire.channel.dataReceived(data[start : start + piece])
                sent = wire.transport.value()
                self.assertEqual((sent.count(b"HTTP/1.1 "), sent.count(b"understood")), (3, 0), (row, piece))

    def test_single_lf_ends_a_line(self) -> None:
        for head in (
            b"POST /api/chat HTTP/1.1\nHost: h\nContent-Length: %d\n\n",
            b"POST /api/chat HTTP/1.1\r\nHost: h\nContent-Length: %d\r\n\n",
        ):
            self.assertEqual(self.raw(head % len(WHOLE) + WHOLE).response().code, 200, head)

    def test_single_cr_does_not(self) -> None:
        for head in (b"GET /api/version HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", b"GET / HTTP/1.1\r\r\n\r\n"):
            self.assertEqual(self.raw(head).response().code, 400, head)

    def test_lines_of_a_chunked_body_are_read_strictly(self) -> None:
        wire = self.raw(self.head(b"Transfer-Encoding: chunked") + b"2\n{}\n0\n\n")
        self.assertEqual(wire.transport.value(), b"")

    def test_empty_lines_before_a_request_are_forgiven_on_each(self) -> None:
        wire = self.raw(b"")
        for blank in (b"\r\n", b"\r\n\r\n", b"\n\n", b""):
            wire.channel.dataReceived(blank)
            wire.channel.dataReceived(b"GET /api/version HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertEqual(wire.response().code, 200, blank)
            wire.transport.clear()
        self.assertEqual(self.raw(b"\r\n" * 9 + b"GET / HTTP/1.1\r\n\r\n").response().code, 400)


class ExpectTests(WebCase):
    def expect(self, length: int, front: Front | None = None, address: str = "192.168.1.20") -> Wire:
        wire = (front or self.front).connect(address)
        wire.channel.dataReceived(
            b"POST /api/chat HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            % length
        )
        return wire

    def check_final(self, wire: Wire, code: int) -> None:
        self.assertEqual(wire.response().code, code)
        self.assertIsInstance(wire.response().json()["error"], str)
        self.assertEqual(wire.response().headers["connection"], "close")
        self.assertTrue(wire.transport.disconnecting)

    def test_body_that_may_come_is_waved_in(self) -> None:
        wire = self.expect(len(WHOLE))
        self.assertEqual(wire.transport.value(), b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.transport.clear()
        wire.channel.dataReceived(WHOLE)
        self.assertEqual(wire.response().code, 200)

    def test_body_over_the_limit_is_refused_before_it_is_sent(self) -> None:
        self.check_final(self.expect(100_001), 413)

    def test_strangers_body_is_refused_before_it_is_sent(self) -> None:
        self.check_final(self.expect(100, address="8.8.8.8"), 403)
        front = Front(self.house, Guard(api_keys={"phone": "s3cret"}))
        self.check_final(self.expect(100, front, address="8.8.8.8"), 401)


class EncodingTests(WebCase):
    def send(self, body: bytes, encoding: str, path: str = OPENAI) -> Response:
        return self.front.ask("POST", path, body, content_encoding=encoding)

    def test_compressed_bodies_are_read(self) -> None:
        bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        for encoding, body in (
            ("gzip", gzip.compress(WHOLE)),
            ("X-GZIP", gzip.compress(WHOLE)),
            ("deflate", zlib.compress(WHOLE)),
            ("deflate", bare.compress(WHOLE) + bare.flush()),
            ("zstd", zstd.compress(WHOLE)),
            ("identity", WHOLE),
            ("", WHOLE),
        ):
            self.assertEqual(self.send(body, encoding).code, 200, encoding)

    def test_body_that_inflates_over_the_limit_is_a_413(self) -> None:
        bomb = b" " * 50_000_000
        for encoding, body in (("gzip", gzip.compress(bomb)), ("zstd", zstd.compress(bomb))):
            self.assertLess(len(body), 100_000)
            self.assertEqual(self.send(body, encoding).code, 413)

    def test_body_may_fill_the_limit_after_it_is_inflated(self) -> None:
        body = WHOLE + b" " * (100_000 - len(WHOLE))
        self.assertEqual(self.send(gzip.compress(body), "gzip").code, 200)
        self.assertEqual(self.send(gzip.compress(body + b" "), "gzip").code, 413)

    def test_broken_or_cut_body_is_a_400_in_the_dialect(self) -> None:
        good = gzip.compress(WHOLE)
        for encoding, body in (
            ("gzip", WHOLE),
            ("gzip", good[:-10]),
            ("gzip", good[:20] + b"\xff" * 20),
            ("gzip", good + b"more"),
            ("deflate", good),
            ("zstd", good),
            ("zstd", zstd.compress(WHOLE)[:-3]),
        ):
            response = self.send(body, encoding, OLLAMA)
            self.assertEqual((response.code, type(response.json()["error"])), (400, str), encoding)

    def test_other_encodings_are_a_415_that_names_the_known_ones(self) -> None:
        for encoding in ("br", "gzip, gzip", "odd"):
            response = self.send(WHOLE, encoding)
            self.assertEqual(response.code, 415)
            self.assertIn("gzip", response.json()["error"]["message"])

    def test_body_inflates_as_it_arrives(self) -> None:
        wire = self.front.connect()
        body = gzip.compress(WHOLE)
        wire.channel.dataReceived(
            b"POST /api/chat HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        )
        for start in range(len(body)):
            wire.channel.dataReceived(body[start : start + 1])
        self.assertEqual(wire.response().code, 200)

    def test_header_on_a_request_without_a_body_does_not_matter(self) -> None:
        self.assertEqual(self.front.ask("GET", "/api/version", content_encoding="gzip").code, 200)


class LingerTests(WebCase):
    def test_answer_to_a_broken_head_is_given_time_to_arrive(self) -> None:
        wire = self.front.connect().send("POST", OLLAMA, b"", x_big="a" * 100_000)
        self.house.clock.advance(LINGER_SECONDS - 0.1)
        self.assertFalse(wire.transport.disconnecting)
        self.house.clock.advance(0.1)
        self.assertTrue(wire.transport.disconnecting)
