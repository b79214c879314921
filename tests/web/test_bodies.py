"""Large bodies are read apart, so that nobody else waits for one; small ones where they are."""

from collections.abc import Callable
from threading import get_ident
from typing import Any

from msgspec import json
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from llamaproxy.dialects.body import MOST_ENTRIES
from llamaproxy.seams.errors import BadRequest, Crowded
from llamaproxy.web.bodies import LARGE, MOST_WAITING, THREADS, InThreads
from tests.support import Front, Wire
from tests.web.test_routes import WebCase

PATHS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": [{"role": "user", "content": "hello"}]},
    "/api/generate": {"prompt": "hello"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
    "/v1/completions": {"prompt": "hello"},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]},
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "hello"}]},
    "/v1/embeddings": {"input": "hello"},
    "/api/embed": {"input": "hello"},
    "/api/embeddings": {"prompt": "hello"},
}


MANY = [{"role": "user", "content": "a"}] * (MOST_ENTRIES + 1)
PARTS = [{"role": "user", "content": [{"type": "text", "text": "a"}] * (MOST_ENTRIES + 1)}]
ENDLESS = (
    ("/api/chat", {"messages": MANY}),
    ("/v1/chat/completions", {"messages": MANY}),
    ("/v1/chat/completions", {"messages": PARTS}),
    ("/v1/responses", {"input": MANY}),
    ("/v1/responses", {"input": PARTS}),
    ("/v1/messages", {"max_tokens": 9, "messages": MANY}),
    ("/v1/messages", {"max_tokens": 9, "messages": PARTS}),
    ("/v1/messages/count_tokens", {"messages": MANY}),
)


class Held:
    """Reads nothing until the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Callable[[bytes], Any], bytes]] = []

    def read(self, parse: Callable[[bytes], Any], body: bytes) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append((done, parse, body))
        return done

    def go(self) -> None:
        done, parse, body = self.waiting.pop()
        try:
            done.callback(parse(body))
        except BadRequest:
            done.errback(Failure())


class EndlessTests(WebCase):
    """Each message and each part is looked at, so that their number has a bound, and not their size alone."""

    def test_more_messages_or_parts_than_any_chat_has_are_refused_in_words(self) -> None:
        for path, body in ENDLESS:
            with self.subTest(path=path, keys=list(body)):
                answer = Front(self.house).ask("POST", path, {"model": "m", **body})
                self.assertEqual(answer.code, 400)
                self.assertIn(f"array of length <= {MOST_ENTRIES}", answer.body.decode())


class LargeTests(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.reader = Held()
        self.front = Front(self.house, reader=self.reader)

    def send(self, path: str, size: int = LARGE) -> Wire:
        body = json.encode({"model": "m", "stream": False, **PATHS[path]})
        return self.front.connect().send("POST", path, body + b" " * (size + 1 - len(body)))

    def test_every_endpoint_that_takes_much_has_it_read_apart(self) -> None:
        for path in PATHS:
            wire = self.send(path)
            self.assertEqual((wire.transport.value(), len(self.reader.waiting)), (b"", 1), path)
            self.reader.go()
            for call in self.house.calls:
                if not call.result.called:
                    call.answer("hi")
            self.assertIn(wire.response().code, (200, 400), path)

    def test_small_body_is_read_at_once(self) -> None:
        self.send("/api/chat", LARGE - 1)
        self.assertEqual((len(self.reader.waiting), len(self.house.calls)), (0, 1))

    def test_others_are_answered_meanwhile(self) -> None:
        self.send("/api/chat")
        self.assertEqual(self.front.ask("GET", "/api/version").code, 200)

    def test_what_makes_no_sense_is_told_in_the_dialect(self) -> None:
        for path in ("/api/chat", "/v1/messages"):
            wire = self.front.connect().send("POST", path, b"[" + b" " * LARGE)
            self.reader.go()
            self.assertEqual((wire.response().code, "error" in wire.response().json()), (400, True))

    def test_client_that_leaves_meanwhile_has_nothing_asked(self) -> None:
        wire = self.send("/api/chat")
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.house.calls, [])

    def test_client_that_leaves_once_it_is_read_stops_the_model(self) -> None:
        wire = self.send("/api/chat")
        self.reader.go()
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([call.cancelled for call in self.house.calls], [True])


class ThreadTests(TestCase):
    def setUp(self) -> None:
        self.reader = InThreads(reactor)  # type: ignore[arg-type]
        self.reader.start()

    async def test_work_is_done_elsewhere_and_its_outcome_comes_back(self) -> None:
        read, where = await self.reader.read(lambda body: (body, get_ident()), b"x")
        self.assertEqual(read, b"x")
        self.assertNotEqual(where, get_ident())

        def refuse(body: bytes) -> None:
            raise BadRequest("no")

        with self.assertRaises(BadRequest):
            await self.reader.read(refuse, b"x")

    async def test_so_many_wait_and_not_one_more(self) -> None:
        reading = [self.reader.read(len, b"x") for _ in range(THREADS + MOST_WAITING)]
        with self.assertRaises(Crowded):
            self.reader.read(len, b"x")
        await DeferredList(reading)
        self.assertEqual(await self.reader.read(len, b"x"), 1)
