"""The door as it closes, and what it says as it opens."""

import shutil
import socket
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from llamaproxy.web.door import Door, place_of, port_problem, reachable_addresses, urls_at, welcome
from tests.support import Front, House, Wire

reactor = cast(Any, global_reactor)

ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class Port:
    """A port that is bound at once, and notes when it is closed."""

    closed = False

    def listen(self, factory: Any) -> Deferred["Port"]:
        return succeed(self)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 11434)

    def stopListening(self) -> None:
        self.closed = True


class DoorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)
        self.port = Port()
        self.door = Door(cast(Any, self.port), self.front.site, self.house.clock, 20)
        self.door.privilegedStartService()
        self.successResultOf(self.door.startService())

    def lose(self, wire: Wire) -> None:
        """The socket is closed."""
        wire.channel.connectionLost(Failure(ConnectionDone()))

    def test_closing_hangs_up_on_the_idle_and_waits_for_the_reply_under_way(self) -> None:
        idle, busy = self.front.connect(), self.front.connect()
        busy.send("POST", "/api/chat", ASK)
        self.house.calls[0].say("Hi")
        stopped = self.door.stopService()
        self.assertTrue(self.port.closed and idle.transport.disconnecting)
        self.assertFalse(busy.transport.disconnecting)
        self.lose(idle)
        self.house.calls[0].finish()
        self.assertTrue(busy.transport.disconnecting)
        self.assertTrue(busy.response().lines()[-1]["done"])
        # What was written may still be on its way out.
        self.assertNoResult(stopped)
        self.lose(busy)
        self.successResultOf(stopped)
        self.house.clock.advance(100)
        self.assertFalse(busy.aborted)

    def test_nothing_more_is_taken_from_a_connection_behind_its_last_reply(self) -> None:
        wire = self.front.connect().send("POST", "/api/chat", ASK)
        self.door.stopService()
        wire.send("POST", "/api/chat", ASK)
        self.house.calls[0].say("Hi")
        self.house.calls[0].finish()
        self.assertEqual(len(self.house.calls), 1)

    def test_end_of_the_grace_hangs_up_on_the_rest(self) -> None:
        wire = self.front.connect().send("POST", "/api/chat", ASK)
        stopped = self.door.stopService()
        self.house.clock.advance(19)
        self.assertFalse(wire.aborted)
        self.house.clock.advance(1)
        self.assertTrue(wire.aborted)
        self.lose(wire)
        self.successResultOf(stopped)
        self.assertTrue(self.house.calls[0].cancelled)

    def test_hurry_hangs_up_at_once(self) -> None:
        wire = self.front.connect().send("POST", "/api/chat", ASK)
        self.door.stopService()
        self.door.hurry()
        self.assertTrue(wire.aborted)


class UnixDoorTests(TestCase):
    async def test_unix_socket_is_listened_on_and_answered_at(self) -> None:
        house = House(folder=Path(self.mktemp()))
        self.addCleanup(house.close)
        # Its path has little room.
        path = Path(mkdtemp()) / "front"
        self.addCleanup(shutil.rmtree, path.parent)
        door = Door(UNIXServerEndpoint(reactor, str(path)), Front(house).site, reactor)
        await door.startService()
        self.addCleanup(door.stopService)
        answer = await deferToThread(self.ask, str(path))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'"version"' in answer)

    def ask(self, path: str) -> bytes:
        """Asks for the version there."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(path)
            client.sendall(b"GET /api/version HTTP/1.1\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: client.recv(4096), b""))


class AddressTests(SynchronousTestCase):
    def test_listener_on_one_address_is_reached_under_it(self) -> None:
        self.assertEqual(reachable_addresses("192.168.1.5"), ["192.168.1.5"])

    def test_listener_on_every_address_is_never_reached_under_the_wildcard(self) -> None:
        for host in ("", "0.0.0.0", "::"):
            found = reachable_addresses(host)
            self.assertTrue(found)
            self.assertNotIn(host, found)

    def test_address_that_is_not_ours_is_a_problem_in_words(self) -> None:
        self.assertIn("cannot listen on 203.0.113.9", port_problem("203.0.113.9", 11434) or "")

    def test_address_in_use_is_told_apart_from_one_that_cannot_be(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.assertIn("end what runs there", port_problem("127.0.0.1", taken.getsockname()[1]) or "")
        self.assertNotIn("end what runs there", port_problem("203.0.113.9", 11434) or "")

    def test_endpoint_string_tells_where_it_is(self) -> None:
        for endpoint, place in (
            ("tcp:80", ("http", "0.0.0.0", 80)),
            ("tcp6:80", ("http", "::", 80)),
            ("ssl:443:privateKey=k.pem:interface=192.168.1.5", ("https", "192.168.1.5", 443)),
            ("tcp:port=8080:interface=192.168.1.5", ("http", "192.168.1.5", 8080)),
            ("tcp6:80:interface=fd00\\:\\:1", None),
            ("unix:/run/llamaproxy.sock", None),
            ("systemd:domain=INET:index=0", None),
        ):
            self.assertEqual(place_of(endpoint), place, endpoint)

    def test_ipv6_address_stands_in_brackets(self) -> None:
        self.assertEqual(urls_at("https", "fd00::1", 443), ["https://[fd00::1]:443"])

    def test_welcome_without_a_url_makes_none_up(self) -> None:
        self.assertEqual(welcome([], "smollm2", "All."), ["Ready", "Model: smollm2. All."])

    def test_welcome_says_what_to_enter_where(self) -> None:
        lines = welcome(["http://192.168.1.5:11434", "http://10.0.0.1:11434"], "m", "All may come in.")
        self.assertEqual(lines[:2], ["Ready at http://192.168.1.5:11434", "Ready at http://10.0.0.1:11434"])
        text = "\n".join(lines)
        for words in (
            "OLLAMA_HOST=http://192.168.1.5:11434",
            "http://192.168.1.5:11434/v1",
            "All may come in.",
        ):
            self.assertIn(words, text)
