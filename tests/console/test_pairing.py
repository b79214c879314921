"""Links that bring a phone a key of its own."""

from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from llamaproxy.console import places
from llamaproxy.console.pairing import LINK_LASTS
from llamaproxy.seams.errors import AgentError
from llamaproxy.seams.oversight import Reloaded
from llamaproxy.web.guesses import FREE
from tests.support import Response

from .case import KEY, PagesCase


class PairingTests(PagesCase):
    def invite(self, **how: Any) -> str:
        """The code of a link, as `agentctl qr` gets it."""
        answer = self.front.ask("POST", "/console/pair", how, Authorization=f"Bearer {KEY}")
        url: str = answer.json()["url"]
        base, _, code = url.partition("/pair#")
        self.assertEqual(base, "http://phone")
        return code

    def arrive(self, code: str, name: str = "phone", **headers: str) -> Response:
        return self.front.ask("POST", "/pair", {"code": code, "name": name}, **headers)

    def test_link_makes_a_key_and_a_profile_once(self) -> None:
        code = self.invite(commands="safe")
        answer = self.arrive(code, "Anna").json()
        self.assertEqual((answer["name"], answer["base"]), ("Anna", "http://phone"))
        self.assertEqual(self.files.kept, [("Anna", answer["key"], "safe")])
        self.assertGreater(len(answer["key"]), 40)
        again = self.arrive(code)
        self.assertEqual(again.code, 403)
        self.assertIn("has been used, 0 seconds ago, from the address 192.168.1.20", again.json()["error"])
        self.assertEqual(len(self.files.kept), 1)

    def test_opening_the_page_uses_nothing_up(self) -> None:
        code = self.invite()
        for method in ("GET", "HEAD"):
            self.assertEqual(self.front.ask(method, "/pair").code, 200)
        self.assertEqual(self.arrive(code).code, 200)

    def test_link_is_not_good_for_long(self) -> None:
        code = self.invite()
        self.house.clock.advance(LINK_LASTS + 1)
        answer = self.arrive(code)
        self.assertEqual(answer.code, 403)
        self.assertIn("too old", answer.json()["error"])

    def test_nobody_but_the_operator_makes_links(self) -> None:
        cookie, _ = self.visit()
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": cookie}):
            answer = self.front.ask("POST", "/console/pair", {}, **headers)
            self.assertIn(answer.code, (401, 403))
        self.assertEqual(self.change("/console/pair", {}).code, 200)
        self.assertEqual(self.change("/console/pair", {"commands": "root"}).code, 400)

    def test_who_guesses_has_to_wait_and_then_even_a_right_one_does(self) -> None:
        code = self.invite()
        codes = [self.arrive(f"guess{number}").code for number in range(FREE + 5)]
        self.assertEqual(codes, [403] * FREE + [429] * 5)
        late = self.arrive(code)
        self.assertEqual(late.code, 429)
        self.assertIn("retry-after", late.headers)
        self.house.clock.advance(10)
        self.assertEqual(self.arrive(code).code, 200)

    def test_guesses_of_the_consoles_links_wait_as_well(self) -> None:
        ask = self.front.ask
        codes = [ask("POST", "/console/enter", {"code": f"guess{n}"}).code for n in range(FREE + 2)]
        self.assertEqual(codes, [401] * FREE + [429] * 2)

    def test_link_is_good_again_where_nothing_came_of_it(self) -> None:
        code = self.invite()
        self.files.failure = AgentError("The operator's files have a mistake.")
        self.assertEqual(self.arrive(code).code, 500)
        self.files.failure = None
        self.outcome = Reloaded(taken=False, lines=("/home/anna/llm-models.json: is no JSON",))
        answer = self.arrive(code)
        self.assertEqual(answer.code, 500)
        self.assertNotIn("/home/anna", answer.json()["error"])
        self.assertEqual(self.files.kept, [])
        self.outcome = Reloaded(taken=True, lines=("read again",))
        self.assertEqual(self.arrive(code).code, 200)

    def test_profile_that_cannot_be_taken_back_is_told_to_the_operator(self) -> None:
        code = self.invite()
        lines: list[str | None] = []
        observer = cast(Any, lambda event: lines.append(formatEvent(event)))
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

        def fails() -> Deferred[Reloaded]:
            self.files.failure = AgentError("The files cannot be written.")
            return succeed(Reloaded(taken=False, lines=("a mistake",)))

        self.reload = fails
        self.assertEqual(self.arrive(code, "Anna").code, 500)
        self.assertTrue([line for line in lines if "agentctl caller-remove Anna" in (line or "")], lines)

    def test_phone_that_leaves_meanwhile_leaves_nothing_behind_and_may_come_again(self) -> None:
        code = self.invite()
        reloading: Deferred[Reloaded] = Deferred()
        self.reload = lambda: reloading
        wire = self.front.connect().send("POST", "/pair", b'{"code": "%s", "name": "Anna"}' % code.encode())
        self.assertEqual([each[0] for each in self.files.kept], ["Anna"])
        wire.channel.connectionLost(Failure(ConnectionLost()))
        self.reload = lambda: succeed(self.outcome)
        reloading.callback(self.outcome)
        self.assertEqual(self.files.kept, [])
        self.assertEqual(self.arrive(code).code, 200)

    def test_pages_of_other_origins_cannot_use_it(self) -> None:
        code = self.invite()
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
        ):
            self.assertEqual(self.arrive(code, **headers).code, 403, headers)
        self.assertEqual(self.arrive(code, Origin="http://phone").code, 200)

    def test_address_is_one_that_a_phone_can_use(self) -> None:
        self.patch(places, "reachable_addresses", lambda bound: [bound or "10.0.0.7"])
        for at, host, bound, base in (
            ("10.0.0.1", "server.lan:11434", "", "http://server.lan:11434"),
            ("127.0.0.1", "localhost:11434", "", "http://10.0.0.7:11434"),
            ("127.0.0.1", "127.0.0.1:11434", "127.0.0.1", "http://127.0.0.1:11434"),
            ("127.0.0.1", "127.0.0.1:11434", "fd00::7", "http://[fd00::7]:11434"),
            # Through a proxy on the server's machine.
            ("127.0.0.1", "chat.home.arpa", "", "https://chat.home.arpa"),
        ):
            self.front.site.bound = bound
            proto = "https" if host == "chat.home.arpa" else "http"
            lines = f"POST /console/pair HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
            lines += f"X-Forwarded-Proto: {proto}\r\nContent-Length: 2\r\n\r\n{{}}"
            wire = self.front.connect(at=at)
            wire.channel.dataReceived(lines.encode())
            self.assertEqual(wire.response().json()["url"].partition("/pair#")[0], base)

    def test_what_is_no_code_is_told(self) -> None:
        for body in (b"", b"[]", b'{"code": 1}', b'{"name": "x"}', b'{"code": "\\ud83d"}', b"\xff"):
            self.assertEqual(self.front.ask("POST", "/pair", body).code, 400, body)
        for code in ("", "x" * 100_000):
            self.assertEqual(self.arrive(code).code, 403)
        self.assertEqual(self.arrive(self.invite(), "n" * 1000).code, 400)
