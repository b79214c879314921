"""More connections than there are descriptors: who waits with nothing gives way, and nobody who is answered does."""

import resource

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.sockets import descriptors
from tests.support import Wire
from tests.web.test_routes import OLLAMA, WebCase, ask

HEAD = b"POST /api/chat HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"


class CrowdTests(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.front.site.connections._most = 4

    def connect(self, sent: bytes = b"") -> Wire:
        wire = self.front.connect()
        if sent:
            wire.channel.dataReceived(sent)
        return wire

    def gone(self, *wires: Wire) -> list[bool]:
        return [wire.channel not in list(self.front.site.connections) for wire in wires]

    def test_who_says_nothing_gives_way_first_and_then_who_takes_their_time(self) -> None:
        slow, beginning, silent = self.connect(HEAD), self.connect(b"GET /"), self.connect()
        answered = self.connect(b"GET /api/version HTTP/1.1\r\nHost: h\r\n\r\n")
        for gone in ([0, 0, 1, 0], [0, 0, 1, 1]):
            self.connect(HEAD)
            self.assertEqual(self.gone(slow, beginning, silent, answered), gone)
        self.connect(HEAD)
        self.assertEqual(self.gone(slow, beginning), [True, False])

    def test_who_is_answered_stays_and_who_comes_then_is_served(self) -> None:
        turns = [self.connect().send("POST", OLLAMA, ask("hello")) for _ in range(5)]
        self.assertEqual(self.gone(*turns), [False] * 5)
        self.assertEqual(self.front.ask("GET", "/api/version").code, 200)

    def test_it_is_told_in_a_line_and_not_in_one_for_each(self) -> None:
        with capturedLogs() as events:
            for _ in range(20):
                self.connect()
            self.house.clock.advance(61)
            for _ in range(20):
                self.connect()
        self.assertEqual(len([event for event in events if "give way" in event["log_format"]]), 2)


class LimitTests(SynchronousTestCase):
    def test_the_usual_limit_is_raised_as_far_as_the_system_lets_us(self) -> None:
        endless = resource.RLIM_INFINITY
        for soft, hard, wanted in (
            (1024, 4096, 4096),
            (1024, 1_000_000, descriptors.WANTED),
            (1024, endless, descriptors.WANTED),
            (100_000, 1_000_000, 100_000),
            (4096, 4096, 4096),
        ):
            asked: list[tuple[int, int]] = []
            self.patch(resource, "getrlimit", lambda _, soft=soft, hard=hard: (soft, hard))
            self.patch(resource, "setrlimit", lambda _, limits, asked=asked: asked.append(limits))
            self.assertEqual(descriptors.available(), wanted)
            self.assertEqual(asked, [] if wanted == soft else [(wanted, hard)])

    def test_a_system_that_does_not_let_us_is_believed(self) -> None:
        def refuse(*_: object) -> None:
            raise ValueError("current limit exceeds maximum limit")

        self.patch(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
        self.patch(resource, "setrlimit", refuse)
        self.assertEqual(descriptors.available(), 256)
