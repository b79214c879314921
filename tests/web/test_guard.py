"""Who may come in, and as whom."""

from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from llamaproxy.seams.errors import BadRequest
from llamaproxy.web.guard import Guard
from tests.support import Front, House, Response

HELLO = {"messages": [{"role": "user", "content": "!session"}], "stream": False}


class GuardTests(SynchronousTestCase):
    def front(self, guard: Guard) -> Front:
        return Front(House(folder=Path(self.mktemp())), guard)

    def ask(self, guard: Guard, address: str, path: str = "/v1/chat/completions", **headers: str) -> Response:
        return self.front(guard).connect(address).send("POST", path, HELLO, **headers).response()

    def session(self, guard: Guard, address: str, **headers: str) -> str:
        body = self.ask(guard, address, **headers).json()["choices"][0]["message"]["content"]
        return str(body.split()[3].rstrip(":"))

    def test_rights_are_those_of_the_key_or_of_everybody(self) -> None:
        guard = Guard(api_keys={"anna": "a", "ben": "b"}, commands="safe", key_commands={"anna": "all"})
        self.assertEqual(self.rights(guard, "192.168.1.2"), ("safe", False))
        self.assertEqual(self.rights(guard, "192.168.1.2", authorization="Bearer b"), ("safe", False))
        self.assertEqual(self.rights(guard, "192.168.1.2", authorization="Bearer a"), ("all", True))

    def test_limits_are_shared_by_those_with_one_key_or_else_one_address(self) -> None:
        guard, request = Guard(api_keys={"anna": "a"}), self.asking(None)
        self.assertEqual(guard.caller(request).source, "192.168.1.2")
        request.requestHeaders.setRawHeaders(b"Authorization", [b"Bearer a"])
        self.assertEqual(guard.caller(request).source, "key anna")

    def test_depth_of_delegation_is_read_and_nonsense_refused(self) -> None:
        for sent, depth in ((None, 0), ("0", 0), ("2", 2)):
            self.assertEqual(Guard().caller(self.asking(depth=sent)).depth, depth)
        for nonsense in ("-1", "two", "1.5", "10000", "\u0662", b"\xff", b"\xed\xa0\xbd", b"1\x00"):
            with self.assertRaises(BadRequest):
                Guard().caller(self.asking(depth=nonsense))

    def test_what_an_agent_asks_has_no_rights_over_gates_wherever_it_comes_from(self) -> None:
        for address in ("127.0.0.1", "192.168.1.2"):
            caller = Guard().caller(self.asking("1", address))
            self.assertEqual((caller.rights, caller.owner), ("safe", False))
        self.assertEqual(Guard(commands="none").caller(self.asking("1")).rights, "none")

    def asking(self, depth: str | bytes | None, address: str = "192.168.1.2") -> Any:
        request = DummyRequest([])
        request.client = IPv4Address("TCP", address, 1)
        if depth is not None:
            sent = depth.encode() if isinstance(depth, str) else depth
            request.requestHeaders.setRawHeaders(b"X-Llamaproxy-Depth", [sent])
        return request

    def test_owner_comes_from_the_servers_own_machine_and_not_through_a_proxy_there(self) -> None:
        self.assertEqual(self.rights(Guard(), "127.0.0.1"), ("all", True))
        self.assertEqual(self.rights(Guard(), "192.168.1.2"), ("all", False))
        self.assertEqual(self.rights(Guard(), "127.0.0.1", x_forwarded_for="127.0.0.1"), ("all", False))
        proxied = Guard(trusted_proxies=("127.0.0.1",))
        self.assertEqual(self.rights(proxied, "127.0.0.1", x_forwarded_for="192.168.1.2"), ("all", False))
        self.assertEqual(self.rights(proxied, "127.0.0.1", x_forwarded_for="127.0.0.1"), ("all", False))

    def test_nobody_is_the_owner_without_all_rights(self) -> None:
        guard = Guard(api_keys={"ben": "b", "anna": "a"}, key_commands={"ben": "safe", "anna": "all"})
        self.assertEqual(self.rights(guard, "127.0.0.1", authorization="Bearer b"), ("safe", False))
        strict = Guard(api_keys={"anna": "a"}, commands="safe", key_commands={"anna": "all"})
        self.assertEqual(self.rights(strict, "127.0.0.1"), ("safe", False))
        self.assertEqual(self.rights(strict, "127.0.0.1", authorization="Bearer a"), ("all", True))

    def rights(self, guard: Guard, address: str, **headers: str) -> tuple[str, bool]:
        request = DummyRequest([])
        request.client = IPv4Address("TCP", address, 1)
        for name, value in headers.items():
            request.requestHeaders.setRawHeaders(name.replace("_", "-"), [value])
        caller = guard.caller(request)  # type: ignore[arg-type]  # DummyRequest does not declare its interface
        return caller.rights, caller.owner

    def test_local_networks_come_in_and_others_do_not(self) -> None:
        local = (
            "127.0.0.1",
            "127.0.1.9",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.7.7",
            "169.254.1.1",
            "100.64.0.1",
        )
        for address in (*local, "::1", "fd00::1", "fe80::1%eth0", "::ffff:192.168.1.1"):
            self.assertEqual(self.ask(Guard(), address).code, 200, address)
        for address in ("8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8"):
            response = self.ask(Guard(), address)
            self.assertEqual((response.code, response.json()["error"]["code"]), (403, "forbidden"), address)

    def test_allow_from_replaces_the_default(self) -> None:
        guard = Guard(allow_from=["8.8.8.0/24"])
        self.assertEqual(self.ask(guard, "8.8.8.8").code, 200)
        self.assertEqual(self.ask(guard, "192.168.1.1").code, 403)

    def test_stranger_with_a_key_comes_in_and_without_does_not(self) -> None:
        guard = Guard(api_keys={"phone": "s3cret"})
        self.assertEqual(self.ask(guard, "8.8.8.8", authorization="Bearer s3cret").code, 200)
        for header in ("Bearer wrong", "Bearer ", "Bearer", "Basic s3cret", "s3cret"):
            self.assertEqual(self.ask(guard, "8.8.8.8", authorization=header).code, 401, header)
        self.assertEqual(self.ask(guard, "8.8.8.8").json()["error"]["code"], "invalid_api_key")

    def test_local_caller_needs_no_key_and_may_send_any(self) -> None:
        guard = Guard(api_keys={"phone": "s3cret"})
        self.assertEqual(self.ask(guard, "192.168.1.2", authorization="Bearer ollama").code, 200)

    def test_probe_needs_no_key_where_a_key_would_do(self) -> None:
        self.assertEqual(
            self.front(Guard(api_keys={"phone": "s"})).connect("8.8.8.8").send("HEAD", "/").response().code,
            200,
        )
        self.assertEqual(self.front(Guard()).connect("8.8.8.8").send("HEAD", "/").response().code, 403)

    def test_refused_body_is_not_kept(self) -> None:
        wire = self.front(Guard()).connect("8.8.8.8")
        wire.send("POST", "/api/chat", b"x" * 200_000)
        self.assertEqual(wire.response().code, 403)

    def test_session_is_the_canonical_address(self) -> None:
        for address, session in (
            ("192.168.1.20", "llama-192.168.1.20"),
            ("::ffff:192.168.1.20", "llama-192.168.1.20"),
            ("FD00:0:0::1", "llama-fd00::1"),
            ("fe80::1%wlan0", "llama-fe80::1"),
        ):
            self.assertEqual(self.session(Guard(), address), session)

    def test_forwarded_address_counts_only_from_a_trusted_proxy(self) -> None:
        forwarded = {"x_forwarded_for": "10.9.9.9, 192.168.1.77"}
        self.assertEqual(self.session(Guard(), "127.0.0.1", **forwarded), "llama-127.0.0.1")
        guard = Guard(trusted_proxies=["127.0.0.0/8"])
        self.assertEqual(self.session(guard, "127.0.0.1", **forwarded), "llama-192.168.1.77")
        self.assertEqual(self.session(guard, "192.168.1.5", **forwarded), "llama-192.168.1.5")

    def test_stranger_behind_a_trusted_proxy_is_still_a_stranger(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.0/8"])
        self.assertEqual(self.ask(guard, "127.0.0.1", x_forwarded_for="8.8.8.8").code, 403)
        self.assertEqual(self.ask(guard, "127.0.0.1", x_forwarded_for="192.168.1.1, 8.8.8.8").code, 403)

    def test_port_beside_a_forwarded_address_does_not_matter(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.0/8"])
        for hop, session in (("192.168.1.7:4321", "llama-192.168.1.7"), ("[fd00::7]:4321", "llama-fd00::7")):
            self.assertEqual(self.session(guard, "127.0.0.1", x_forwarded_for=hop), session)
        for hop in ("8.8.8.8:1234", "[2001:4860::8888]:443", "[2001:4860::8888]"):
            self.assertEqual(self.ask(guard, "127.0.0.1", x_forwarded_for=hop).code, 403, hop)

    def test_client_whom_a_trusted_proxy_does_not_name_readably_does_not_come_in(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.0/8"])
        for hop in ("unknown", "garbage", "", "8.8.8.8,", "192.168.1.1, x"):
            response = self.ask(guard, "127.0.0.1", x_forwarded_for=hop)
            self.assertEqual(response.code, 403, hop)
            self.assertIn("X-Forwarded-For", response.json()["error"]["message"])
        for odd in (
            "",
            "192.168.1.1",
            "for=unknown",
            "for=_secret",
            'for="192.168.1.1',
            "for=192.168.1.1,",
            "by=10.0.0.1",
        ):
            self.assertEqual(self.ask(guard, "127.0.0.1", forwarded=odd).code, 403, odd)
        for silent in ({"via": "1.1 proxy"}, {"x_forwarded_proto": "https"}):
            self.assertEqual(self.ask(guard, "127.0.0.1", **silent).code, 403, silent)

    def test_client_is_named_by_the_last_hop_that_is_not_ours_in_whichever_header(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.0/8", "10.0.0.1"])
        for header, value in (
            ("x_forwarded_for", "8.8.8.8, 192.168.1.7, 10.0.0.1"),
            ("forwarded", "for=8.8.8.8, for=192.168.1.7;proto=https;by=10.0.0.1"),
            ("forwarded", 'For="8.8.8.8:1"; by=x,for="192.168.1.7:4711" , for=10.0.0.1'),
            ("x_real_ip", "192.168.1.7"),
        ):
            self.assertEqual(self.session(guard, "127.0.0.1", **{header: value}), "llama-192.168.1.7", value)
        ours = 'for="[fd00::7]:4711";host="a, b;for=8.8.8.8"'
        self.assertEqual(self.session(guard, "127.0.0.1", forwarded=ours), "llama-fd00::7")

    def test_headers_that_contradict_each_other_name_nobody(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.0/8", "10.0.0.1"])
        theirs = "192.168.1.7"
        for real, code in ((theirs, 200), ("10.0.0.1", 200), ("8.8.8.8", 403), ("x", 403)):
            answer = self.ask(guard, "127.0.0.1", x_forwarded_for=f"{theirs}, 10.0.0.1", x_real_ip=real)
            self.assertEqual(answer.code, code, real)
        for forwarded, code in ((f"for={theirs}", 200), ("for=192.168.1.8", 403), ("for=8.8.8.8", 403)):
            answer = self.ask(guard, "127.0.0.1", x_forwarded_for=theirs, forwarded=forwarded)
            self.assertEqual(answer.code, code, forwarded)

    def test_proxy_cannot_have_been_asked_from_loopback(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.0/8", "::1"])
        for loopback in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "127.0.0.1, ::1"):
            self.assertEqual(self.ask(guard, "127.0.0.1", x_forwarded_for=loopback).code, 403, loopback)
        self.assertEqual(self.ask(guard, "127.0.0.1", forwarded='for="[::1]"').code, 403)
        self.assertEqual(self.ask(guard, "127.0.0.1", x_real_ip="127.0.0.1").code, 403)

    def test_trusted_proxys_own_requests_come_in(self) -> None:
        guard = Guard(trusted_proxies=["127.0.0.0/8"])
        self.assertEqual(self.session(guard, "127.0.0.1"), "llama-127.0.0.1")

    def test_machine_itself_comes_in_under_the_address_that_it_was_asked_at(self) -> None:
        for address, code in (("203.0.113.9", 200), ("203.0.113.10", 403)):
            wire = self.front(Guard()).connect(address, at="203.0.113.9")
            self.assertEqual(wire.send("GET", "/api/version").response().code, code)

    def test_stranger_whom_a_proxy_on_this_machine_brings_is_not_the_machine_itself(self) -> None:
        wire = self.front(Guard()).connect("203.0.113.9", at="203.0.113.9")
        wire.send("GET", "/api/version", x_forwarded_for="8.8.8.8")
        self.assertEqual(wire.response().code, 403)

    def test_loopback_is_let_in_by_allow_from_alone_as_a_proxy_may_bring_others_from_there(self) -> None:
        wire = self.front(Guard(allow_from=["10.0.0.0/8"])).connect("127.0.0.1", at="127.0.0.1")
        self.assertEqual(wire.send("GET", "/api/version").response().code, 403)
