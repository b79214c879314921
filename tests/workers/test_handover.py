"""Two sites in one process stand for two workers: connections pass between them as between processes."""

import socket
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Any

from msgspec import json
from twisted.internet import reactor as installed_reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import Port
from twisted.trial.unittest import TestCase

from llamaproxy.sockets.eager import waiting
from llamaproxy.sockets.sending import together
from llamaproxy.workers.handover import PATIENCE, Handover, inbox_pair
from llamaproxy.workers.steering import owner_of
from tests.machine import until
from tests.support import Front, House, ScriptedCall
from tests.web.sockets import Peer

reactor: Any = installed_reactor

# Rows of requests that are tried; also where the dice begin.
ROWS = 60


class SteppedReactor:
    """The real reactor, or another one, but for its clock."""

    def __init__(self, real: Any = reactor) -> None:
        self.clock = Clock()
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def callLater(self, *call: Any) -> Any:
        return self.clock.callLater(*call)


def addresses(worker: int) -> Iterator[str]:
    """Addresses whose sessions are that worker's, of two."""
    return (a for i in count(1) if owner_of(f"llama-{(a := f'127.0.0.{i}')}", 2) == worker)


class Worker:
    """One of the two: its house and site, and the port that leads to it."""

    def __init__(self, folder: Path, number: int, inboxes: list[tuple[socket.socket, socket.socket]]) -> None:
        self.house = House(folder=folder)
        self.site = Front(self.house).site
        self.reactor = SteppedReactor()
        self.handover = Handover(
            self.reactor, number, inboxes[number][0], [writing for _, writing in inboxes]
        )

    @property
    def calls(self) -> list[ScriptedCall]:
        return self.house.calls

    async def listen(self) -> Port:
        port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.site)
        self.number = port.getHost().port
        return port


class HandoverCase(TestCase):
    """Clients come to the first worker; the second one has no port that they know."""

    timeout = 20

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.inboxes = [inbox_pair() for _ in range(2)]
        self.here, self.there = (Worker(Path(self.mktemp()), i, self.inboxes) for i in range(2))
        self.here.handover.serve(self.here.site)
        port = await self.here.listen()
        self.addCleanup(self.tidy)
        self.addCleanup(port.stopListening)
        self.ours, self.theirs = next(addresses(0)), next(addresses(1))

    async def tidy(self) -> None:
        """Ends what is open."""
        for worker in (self.here, self.there):
            worker.site.hang_up()
            worker.house.close()
            worker.handover.stop()
        for pair in self.inboxes:
            for end in pair:
                end.close()
        await deferLater(reactor, 0)

    async def connect(self, address: str) -> Peer:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.here.number, bindAddress=(address, 0))
        peer: Peer = await connectProtocol(endpoint, Peer())
        self.addCleanup(lambda: peer.transport.abortConnection())
        return peer

    async def ask(self, address: str, text: str = "hello") -> Peer:
        peer = await self.connect(address)
        peer.transport.write(self.request(text))
        return peer

    def request(self, text: str, header: str = "") -> bytes:
        body = json.encode({"model": "main", "messages": [{"role": "user", "content": text}]})
        head = f"POST /api/chat HTTP/1.1\r\nHost: h\r\n{header}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def answer(self, worker: Worker, peer: Peer, text: str) -> None:
        """The worker's model answers, and the client hears it."""
        await until(lambda: bool(worker.calls))
        worker.calls.pop().answer(text)
        await peer.hear(b"0\r\n\r\n")
        self.assertIn(text.encode(), peer.heard)
        peer.heard = b""

    def fill_the_inbox(self) -> None:
        """Packets that mean nothing, as many as it takes."""
        try:
            while True:
                self.inboxes[1][1].send(bytes(1000))
        except BlockingIOError:
            pass


class OwnerTests(HandoverCase):
    async def test_request_for_another_workers_session_is_answered_there(self) -> None:
        self.there.handover.serve(self.there.site)
        peer = await self.ask(self.theirs)
        await self.answer(self.there, peer, "from there")
        self.assertEqual((len(self.here.site.connections), len(self.there.site.connections)), (0, 1))
        (session,) = self.there.house.agent.parts.sessions
        self.assertEqual(session.session_id, f"llama-{self.theirs}")

    async def test_connection_that_was_ready_for_writing_as_well_goes_without_a_word(self) -> None:
        peer = await self.connect(self.theirs)
        await until(lambda: bool(self.here.site.connections))
        (channel,) = self.here.site.connections
        transport: Any = channel.transport
        peer.transport.write(self.request("hello"))
        await until(lambda: not self.here.site.connections)
        # As the reactor does after the reading of a socket that is ready for both.
        self.assertIsNone(transport.doWrite())
        self.there.handover.serve(self.there.site)
        await self.answer(self.there, peer, "from there")

    async def test_header_that_nobody_can_read_is_answered(self) -> None:
        self.there.handover.serve(self.there.site)
        for name in ("X-Llamaproxy-Depth", "Host", "Forwarded", "Authorization", "Origin"):
            for value in (b"\xff", b"\xed\xa0\x80", b"\xc3"):
                for address in (self.ours, self.theirs):
                    peer = await self.connect(address)
                    head = b"" if name == "Host" else b"Host: h\r\n"
                    head += b"%b: %b\r\nConnection: close\r\n" % (name.encode(), value)
                    peer.transport.write(b"POST /api/chat HTTP/1.1\r\n%bContent-Length: 2\r\n\r\n{}" % head)
                    await peer.hear(b"HTTP/1.1 4")

    def row(self, dice: Random) -> list[bytes]:
        """Requests for sessions of both workers, in all framings, of which each is answered at once."""
        chats = [
            next(n for n in map(str, count()) if owner_of(f"llama-{self.ours}-{n}", 2) == w) for w in (0, 1)
        ]
        body = json.encode({"messages": [{"role": "user", "content": "!whoami"}], "stream": False})
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:]))
        made = []
        for _ in range(dice.randint(1, 7)):
            head = (
                f"POST /api/chat HTTP/1.1\r\nHost: h\r\nX-Llamaproxy-Chat: {dice.choice(chats)}\r\n".encode()
            )
            made.append(
                dice.choice(
                    (
                        b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body),
                        b"%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (head, chunks),
                        b"\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\nX: y\r\n\r\n" % (head, chunks),
                        b"GET /api/version HTTP/1.1\r\nHost: h\r\n\r\n",
                        b"POST /api/show HTTP/1.1\nHost: h\nContent-Length: 2\n\n{}",
                    )
                )
            )
        return made

    async def heard(self, peer: Peer, answers: int) -> None:
        await until(lambda: peer.heard.count(b"HTTP/1.1 ") >= answers)

    async def test_rows_of_requests_for_both_workers_are_all_answered_however_they_are_cut(self) -> None:
        self.there.handover.serve(self.there.site)
        dice = Random(ROWS)
        for _ in range(ROWS):
            requests = self.row(dice)
            data = b"".join(requests)
            cuts = sorted(dice.sample(range(1, len(data)), dice.randint(0, 6)))
            peer = await self.connect(self.ours)
            for start, end in pairwise([0, *cuts, len(data)]):
                peer.transport.write(data[start:end])
                await deferLater(reactor, 0)
            await self.heard(peer, len(requests))
            self.assertEqual(peer.heard.count(b"HTTP/1.1 "), len(requests))
            self.assertEqual(peer.heard.count(b"Session: "), data.count(b"X-Llamaproxy-Chat"))
            peer.transport.abortConnection()

    async def test_request_for_an_own_session_stays(self) -> None:
        peer = await self.ask(self.ours)
        await self.answer(self.here, peer, "from here")

    async def test_connection_stays_where_it_has_come_to(self) -> None:
        self.there.handover.serve(self.there.site)
        peer = await self.ask(self.theirs)
        for turn in range(3):
            await self.answer(self.there, peer, f"answer {turn}")
            peer.transport.write(self.request("go on"))
        await until(lambda: bool(self.there.calls))
        self.assertEqual(len(self.here.site.connections), 0)

    async def test_what_needs_no_session_is_answered_at_once_by_whoever_is_asked(self) -> None:
        peer = await self.connect(self.theirs)
        peer.transport.write(b"GET /api/tags HTTP/1.1\r\nHost: h\r\n\r\n")
        await peer.hear(b'"models"')
        self.assertEqual(len(self.here.site.connections), 1)

    async def test_answer_that_waits_for_its_client_moves_along(self) -> None:
        self.there.handover.serve(self.there.site)
        peer = await self.connect(self.ours)
        chat = next(name for name in map(str, count()) if owner_of(f"llama-{self.ours}-{name}", 2) == 1)
        peer.transport.write(self.request("one") + self.request("two", f"X-Llamaproxy-Chat: {chat}\r\n"))
        await until(lambda: bool(self.here.calls))
        with together:
            # What this writes leaves at the end, when the next request is on its way already.
            self.here.calls.pop().answer("from here")
        await until(lambda: bool(self.there.calls))
        self.there.calls.pop().answer("from there")
        await peer.hear(b"from there")
        _, first, second = peer.heard.split(b"HTTP/1.1 200 OK")
        self.assertIn(b"from here", first)
        self.assertTrue(first.endswith(b"0\r\n\r\n"))
        self.assertIn(b"from there", second)

    async def test_client_that_left_on_the_way_is_forgotten(self) -> None:
        peer = await self.ask(self.theirs)
        await until(lambda: not self.here.site.connections)
        peer.transport.abortConnection()
        await peer.lost
        other = await self.ask(self.theirs, "me, too")
        self.there.handover.serve(self.there.site)
        await self.answer(self.there, other, "from there")

    async def test_request_that_comes_while_the_worker_ends_is_its_last(self) -> None:
        self.there.handover.serve(self.there.site)
        closed = self.there.site.close()
        peer = await self.ask(self.theirs)
        await until(lambda: bool(self.there.calls))
        self.there.calls.pop().answer("from there")
        await peer.lost
        self.assertIn(b"from there", peer.heard)
        self.assertTrue(closed.called)


class FullInboxTests(HandoverCase):
    async def test_connection_waits_for_room_and_then_goes(self) -> None:
        self.fill_the_inbox()
        peers = [await self.ask(self.theirs, f"{number}") for number in range(3)]
        await until(lambda: len(self.here.site.connections) == 3)
        self.there.handover.serve(self.there.site)
        await until(lambda: not self.here.site.connections)
        for _ in peers:
            await until(lambda: bool(self.there.calls))
            self.there.calls.pop().answer("from there")
        for peer in peers:
            await peer.hear(b"from there")

    async def test_connection_that_waited_too_long_is_told_so_in_its_dialect(self) -> None:
        self.fill_the_inbox()
        peer = await self.ask(self.theirs)
        await until(lambda: bool(self.here.reactor.clock.getDelayedCalls()))
        self.here.reactor.clock.advance(PATIENCE)
        await peer.hear(b"is away")
        response = peer.response()
        self.assertEqual(response.code, 503)
        self.assertIn("is away", response.json()["error"])

    async def test_body_stays_behind_its_head_also_when_the_client_takes_earlier_answers_meanwhile(
        self,
    ) -> None:
        self.fill_the_inbox()
        peer = await self.connect(self.theirs)
        await until(lambda: bool(self.here.site.connections))
        (channel,) = self.here.site.connections
        transport: Any = channel.transport
        for end, option in ((peer.transport, socket.SO_RCVBUF), (transport, socket.SO_SNDBUF)):
            end.getHandle().setsockopt(socket.SOL_SOCKET, option, 4096)
        peer.transport.pauseProducing()
        head, _, body = self.request("hello").partition(b"\r\n\r\n")
        peer.transport.write(b"GET /api/tags HTTP/1.1\r\nHost: h\r\n\r\n" * 150 + head + b"\r\n\r\n")
        await until(lambda: bool(self.here.reactor.clock.getDelayedCalls()))
        self.assertTrue(waiting(transport))
        peer.transport.write(body)
        peer.transport.resumeProducing()
        await until(lambda: peer.heard.count(b"200 OK") == 150)
        self.there.handover.serve(self.there.site)
        await self.answer(self.there, peer, "from there")

    async def test_client_that_leaves_while_it_waits_is_forgotten(self) -> None:
        self.fill_the_inbox()
        await self.ask(self.theirs)
        await until(lambda: bool(self.here.reactor.clock.getDelayedCalls()))
        self.here.site.hang_up()
        await until(lambda: not self.here.site.connections)
        self.assertEqual(self.here.reactor.clock.getDelayedCalls(), [])
