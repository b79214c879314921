"""The names under which the server may be asked, and those that a web page has bent to its address."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.web.guard import Guard
from llamaproxy.web.hosts import Hosts, is_readable
from tests.support import Front, Response
from tests.web.test_routes import OLLAMA, OPENAI, WebCase, ask

FOREIGN = "evil.example"


class HostsTests(SynchronousTestCase):
    def test_addresses_and_local_names_are_known(self) -> None:
        for host in (
            b"",
            b"192.168.1.5",
            b"192.168.1.5:11434",
            b"8.8.8.8",
            b"[::1]:11434",
            b"127.1",
            b"localhost:11434",
            b"app.localhost",
            b"server",
            b"Mini.Local:11434",
            b"mini.local.",
            b"nas.lan",
            b"host.docker.internal",
            b"box.home.arpa",
            b"agent.tail1234.ts.net",
            b"x..y",
        ):
            self.assertTrue(Hosts(machine="mini").knows(host), host)

    def test_names_that_anybody_can_register_are_not(self) -> None:
        for host in (
            b"evil.example",
            b"evil.example:11434",
            b"local.evil.example.",
            b"evil.example..",
            b"evil.example..:11434",
            b"evil.example.\xb2",
            b"evil.example:",
            b"notlocal.net",
            b"a.xlan",
        ):
            self.assertFalse(Hosts(machine="mini").knows(host), host)

    def test_machines_own_name_is_known(self) -> None:
        self.assertTrue(Hosts(machine="Mini.Example.org").knows(b"mini.example.org:11434"))

    def test_operators_names_are_known_exactly_by_domain_or_all(self) -> None:
        self.assertTrue(Hosts(["Chat.Example.org"]).knows(b"chat.example.org"))
        self.assertFalse(Hosts(["chat.example.org"]).knows(b"x.chat.example.org"))
        self.assertTrue(Hosts(["*.example.org"]).knows(b"a.b.example.org"))
        self.assertFalse(Hosts(["*.example.org"]).knows(b"badexample.org"))
        self.assertTrue(Hosts(["*"]).knows(b"evil.example"))

    def test_what_is_no_host_cannot_be_read(self) -> None:
        for host in (
            b"localhost:18100.evil.example",
            b"evil.example@127.0.0.1",
            b"localhost\tx",
            b"a/b",
            b"[::1",
            b"x:1:2",
        ):
            self.assertFalse(is_readable(host), host)
        for host in (
            b"",
            b"mini",
            b"mini:",
            b"M_ini.Local:11434",
            b"[::1]:11434",
            b"[fe80::1%eth0]",
            b"::1",
            b"x..y",
        ):
            self.assertTrue(is_readable(host), host)


class RebindingTests(WebCase):
    def ask_as(self, host: str, guard: Guard | None = None, path: str = OLLAMA, **headers: str) -> Response:
        wire = Front(self.house, guard).connect("127.0.0.1")
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Length: 2"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        wire.channel.dataReceived("\r\n".join(lines).encode() + b"\r\n\r\n{}")
        return wire.response()

    def test_page_under_a_foreign_name_is_refused_in_the_dialect_with_the_key_to_set(self) -> None:
        response = self.ask_as(FOREIGN, origin=f"http://{FOREIGN}")
        self.assertEqual((response.code, "llama_hosts" in response.json()["error"]), (403, True))
        response = self.ask_as(FOREIGN, path=OPENAI)
        self.assertEqual((response.code, response.json()["error"]["code"]), (403, "forbidden"))

    def test_what_cannot_be_read_is_refused_for_its_form(self) -> None:
        for path in (OLLAMA, OPENAI):
            response = self.ask_as("127.0.0.1:11434.evil.example", path=path)
            self.assertEqual((response.code, "cannot be read" in str(response.json()["error"])), (400, True))

    def test_known_name_comes_in(self) -> None:
        self.assertEqual(self.ask_as("mini.local").code, 400)
        self.assertEqual(self.ask_as(FOREIGN, Guard(hosts=[FOREIGN])).code, 400)

    def test_trusted_proxy_may_serve_any_name_when_it_passes_something_on(self) -> None:
        guard, page = Guard(trusted_proxies=["127.0.0.1"]), f"http://{FOREIGN}"
        self.assertEqual(self.ask_as(FOREIGN, guard, x_forwarded_for="192.168.1.2").code, 400)
        secure = self.ask_as(FOREIGN, guard, x_forwarded_for="192.168.1.2", origin=f"https://{FOREIGN}")
        self.assertEqual(secure.code, 400)
        self.assertEqual(self.ask_as(FOREIGN, guard).code, 403)
        self.assertEqual(self.ask_as(FOREIGN, guard, origin=page).code, 403)

    def test_page_in_a_browser_on_the_proxys_machine_is_no_proxy(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.1"])
        page = {"x_forwarded_for": "192.168.1.2", "origin": f"http://{FOREIGN}"}
        self.assertEqual(self.ask_as(FOREIGN, guard, **page).code, 403)
        self.assertEqual(
            self.ask_as(FOREIGN, Guard((), {}, ["127.0.0.1"], hosts=[FOREIGN]), **page).code, 400
        )

    def test_forwarding_header_of_a_page_does_not_make_it_a_proxy(self) -> None:
        self.assertEqual(self.ask_as(FOREIGN, x_forwarded_for="127.0.0.1").code, 403)

    def test_who_knows_a_key_may_use_any_name(self) -> None:
        guard = Guard(api_keys={"phone": "s3cret"})
        self.assertEqual(self.ask_as(FOREIGN, guard, authorization="Bearer s3cret").code, 400)
        self.assertEqual(self.ask_as(FOREIGN, guard, authorization="Bearer wrong").code, 403)

    def test_request_without_a_host_comes_in(self) -> None:
        wire = self.front.connect()
        wire.channel.dataReceived(b"GET /api/version HTTP/1.0\r\n\r\n")
        self.assertEqual(wire.response().code, 200)

    def test_streams_are_not_started_for_a_foreign_name(self) -> None:
        self.ask_as(FOREIGN)
        self.assertEqual((self.house.calls, ask()["model"]), ([], "gemini25"))
