"""Bad clients and bad models: each is told so in the client's dialect, and the server goes on."""

from collections.abc import Callable, Iterator

from .case import AcceptanceCase
from .phone import DIALECTS, OLLAMA, OPENAI, Dialect
from .program import Program
from .upstream import Call

MEBIBYTE = 1024 * 1024


class TroubleCase(AcceptanceCase):
    """A server that must be none the worse for it."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        self.home.models["m"] |= {"connect_timeout": 1, "first_token_timeout": 0.3, "idle_timeout": 0.3}
        self.home.door = {"request_timeout": 1, "stall_timeout": 1}

    async def check_unharmed(self, server: Program) -> None:
        """Somebody else gets an answer, and the log holds no traceback."""
        self.upstream.script = lambda call: call.answer("fine")
        for dialect in DIALECTS:
            response = await (await self.ask(dialect, "how are you?", "127.0.9.9")).response()
            self.assertEqual(dialect.text(response), "fine")
        self.assertNotIn(b"Traceback", server.output)
        self.assertEqual((server.status, server.errors), (None, b""))


def bad_bodies(dialect: Dialect) -> Iterator[tuple[str, bytes, int]]:
    """A name, a body, and the status that it gets."""
    yield "nothing", b"", 400
    yield "not JSON", b"hello", 400
    yield "not an object", b"[]", 400
    yield "a wrong type", b'{"model":7,"messages":[]}', 400
    yield "messages of a wrong type", b'{"messages":"hello"}', 400
    yield "no messages", b'{"model":"m"}', 400
    yield "an unknown role", b'{"messages":[{"role":"pope","content":"hello"}]}', 400
    yield "no user message", b'{"messages":[{"role":"system","content":"hello"}]}', 400
    yield "invalid UTF-8", b'{"messages":[{"role":"user","content":"\xff"}]}', 400
    yield "a NUL byte", b'{"messages":[{"role":"user","content":"\x00"}]}', 400
    yield "10,000 brackets", b'{"messages":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400
    yield "33 MiB", b'{"messages":"' + b"x" * (33 * MEBIBYTE) + b'"}', 413


class BadClientTests(TroubleCase):
    async def check(self, dialect: Dialect) -> None:
        server = await self.serve()
        for name, body, status in bad_bodies(dialect):
            phone = await self.dial()
            phone.request("POST", dialect.path, body)
            response = await phone.response()
            self.assertEqual((response.code, name), (status, name))
            self.assertTrue(dialect.error(response))
        await self.check_unharmed(server)

    async def test_bad_bodies_are_refused_in_ollamas_dialect(self) -> None:
        await self.check(OLLAMA)

    async def test_bad_bodies_are_refused_in_openais_dialect(self) -> None:
        await self.check(OPENAI)

    async def test_header_of_100_kilobytes_is_refused(self) -> None:
        server = await self.serve()
        for dialect in DIALECTS:
            phone = await self.dial()
            phone.request("POST", dialect.path, b"{}", "X-Long: " + "x" * 100_000)
            self.assertEqual((await phone.response()).code, 431)
        await self.check_unharmed(server)

    async def test_head_that_trickles_in_is_given_up(self) -> None:
        server = await self.serve()
        phone = await self.dial()
        phone.send(b"POST /api/chat HTTP/1.1\r\nHost: server\r\nX-Slow: ")
        self.assertEqual((await phone.response()).code, 408)
        await self.check_unharmed(server)

    async def test_body_that_never_comes_is_given_up(self) -> None:
        server = await self.serve()
        phone = await self.dial()
        phone.send(b"POST /api/chat HTTP/1.1\r\nHost: server\r\nContent-Length: 100\r\n\r\n{")
        self.assertEqual((await phone.response()).code, 408)
        await self.check_unharmed(server)


HALF = b'data: {"choices":[{"delta":{"content":"Hal'
ERROR = b'{"error":{"message":"no such luck","type":"x"}}'


def bad_beginnings() -> Iterator[tuple[str, Callable[[Call], None], int]]:
    """A name, what the model's server does instead of an answer, and the status that it becomes."""
    yield "401", lambda call: call.refuse(401, ERROR), 424
    yield "429", lambda call: call.refuse(429, ERROR), 429
    yield "500", lambda call: call.refuse(500, ERROR), 502
    yield "HTML", lambda call: call.refuse(200, b"<html>Welcome</html>", "text/html"), 502
    yield "not a stream", lambda call: call.refuse(200, b'{"hello":"world"}'), 502
    yield "half a frame, then silence", lambda call: call.send(HALF), 504
    yield "silence", lambda call: None, 504
    yield "a cut before the first word", Call.cut, 502


class BadModelTests(TroubleCase):
    async def test_failure_before_the_first_word_is_a_status_in_the_dialect(self) -> None:
        server = await self.serve()
        for dialect in DIALECTS:
            for stream in (True, False):
                for name, script, status in bad_beginnings():
                    self.upstream.script = script
                    response = await (await self.ask(dialect, f"{name}, {stream}", stream=stream)).response()
                    self.assertEqual((response.code, name), (status, name))
                    self.assertTrue(dialect.error(response))
        await self.check_unharmed(server)

    async def test_server_that_is_down_is_a_502_in_the_dialect(self) -> None:
        await self.upstream.stop()
        server = await self.serve()
        for dialect in DIALECTS:
            for stream in (True, False):
                response = await (await self.ask(dialect, "hello", stream=stream)).response()
                self.assertEqual(response.code, 502)
                self.assertIn("cannot be reached", dialect.error(response))
        await self.upstream.listen()
        self.assertEqual((server.status, server.errors), (None, b""))

    async def test_failure_in_the_middle_reaches_the_user(self) -> None:
        def cut(call: Call) -> None:
            call.say("Good ", "mor")
            call.cut()

        def silence(call: Call) -> None:
            call.say("Good ", "mor")
            call.send(HALF)

        def report(call: Call) -> None:
            call.say("Good ", "mor")
            call.send(b"data: " + ERROR + b"\n\n")

        server = await self.serve()
        for script, reason in ((cut, "broke off"), (silence, "fell silent"), (report, "no such luck")):
            self.upstream.script = script
            for dialect in DIALECTS:
                streamed = await (await self.ask(dialect, "hello")).response()
                self.assertEqual(streamed.code, 200)
                self.assertTrue(dialect.text(streamed).startswith("Good mor"))
                self.assertIn(reason, dialect.broken_off(streamed))
                whole = await (await self.ask(dialect, "hello", stream=False)).response()
                self.assertGreaterEqual(whole.code, 500)
                self.assertIn(reason, dialect.error(whole))
        await self.check_unharmed(server)
