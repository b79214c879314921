"""A model of the hand-over: rows of requests that two workers share are answered as one worker alone would.

Each worker has a reactor of its own that turns when it is told to, so that whatever may happen between two of its turns
can: bytes come, the client reads or does not, the other worker hands over, inboxes are full.
"""

import re
import select
import socket
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import json
from twisted.internet.defer import Deferred, succeed
from twisted.internet.pollreactor import PollReactor
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.interfaces import IDeltaReceiver
from llamaproxy.seams.types import ModelRequest, ModelResult, Text
from llamaproxy.workers.handover import Handover, inbox_pair
from llamaproxy.workers.steering import owner_of
from tests.support import Front, House, ScriptedModel

from .test_handover import SteppedReactor

# Two of the chats that an app at this address may name, one for each worker's sessions.
ADDRESS = "127.0.0.1"
CHATS = [next(n for n in map(str, count()) if owner_of(f"llama-{ADDRESS}-{n}", 2) == w) for w in (0, 1)]
# What the kernel takes at each end, and an answer that is more than that.
ROOM, LONG = 16 * 1024, 40 * 1024
# Rounds without anything new after which nothing will come any more; a real socket may need a moment.
QUIET = 40


class Echo(ScriptedModel):
    """Answers with what it was told, at once or in a second, and at length if so asked."""

    def __init__(self) -> None:
        super().__init__()
        self.house: House

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        said = request.messages[-1].content
        result: Deferred[ModelResult] = Deferred()

        def answer() -> None:
            receiver.deltasReceived([Text(said), *([Text("x" * LONG)] if "long" in said else [])])
            if not result.called:
                result.callback(ModelResult())

        if "later" in said:
            self.house.clock.callLater(1, answer)
            return result
        receiver.deltasReceived([Text(said)])
        return succeed(ModelResult())


class Asked(NamedTuple):
    """One request of a row."""

    worker: int
    text: str
    framing: str
    padding: int = 0

    def bytes(self) -> bytes:
        """As it is sent."""
        if self.framing == "get":
            return b"GET /api/version HTTP/1.1\r\nHost: h\r\n\r\n"
        if self.framing == "nonsense":
            return b"POST /api/chat HTTP/1.1\nHost: h\nX-Llamaproxy-Chat: %b\nContent-Length: 1\n\n{" % (
                CHATS[self.worker].encode()
            )
        content = {"messages": [{"role": "user", "content": self.text}], "stream": "stream" in self.text}
        body = json.encode(content) + b" " * self.padding
        head = f"POST /api/chat HTTP/1.1\r\nHost: h\r\nX-Llamaproxy-Chat: {CHATS[self.worker]}\r\n".encode()
        if self.framing == "length":
            return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        cut = len(body) // 3
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]))
        blank, trailer = (b"\r\n", b"X: y\r\n") if self.framing == "trailer" else (b"", b"")
        return b"%b%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (blank, head, chunks, trailer)


rows = st.lists(
    st.builds(
        Asked,
        st.integers(0, 1),
        st.sampled_from(["!whoami", "now", "later", "long later", "stream long later", "long later"]),
        st.sampled_from(["length", "length", "chunked", "trailer", "get", "nonsense"]),
        st.sampled_from([0, 0, 0, 5_000, 30_000, 90_000]),
    ),
    min_size=1,
    max_size=8,
)
# What happens next, with a number that means bytes or a worker.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.one_of(st.integers(1, 300), st.integers(1_000, 200_000))),
        *[st.tuples(st.just("turn"), st.integers(0, 1))] * 2,
        *[st.tuples(st.just("time"), st.integers(0, 1))] * 2,
        st.tuples(st.just("read"), st.integers(1, 60_000)),
        st.tuples(st.just("fill"), st.integers(0, 1)),
    ),
    min_size=5,
    max_size=50,
)


def house_of(folder: Path) -> House:
    model = Echo()
    model.house = House(model, folder=folder)
    return model.house


class Worker:
    """One of the two."""

    def __init__(self, folder: Path, number: int, inboxes: Sequence[tuple[socket.socket, socket.socket]]):
        self.house = house_of(folder)
        self.site = Front(self.house).site
        self.reactor: Any = SteppedReactor(PollReactor())
        ways = [writing for _, writing in inboxes]
        self.handover = Handover(self.reactor, number, inboxes[number][0], ways)
        self.handover.serve(self.site)

    def turn(self) -> None:
        for _ in range(3):
            self.reactor.iterate(0)


class Client:
    """Sends a row, as much at a time as it is told, and reads likewise."""

    def __init__(self, worker: Worker, data: bytes) -> None:
        self.left, self.heard, self.closed = data, b"", False
        with socket.create_server((ADDRESS, 0)) as door:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
            self.socket.connect(door.getsockname())
            accepted, _ = door.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self.socket.setblocking(False)
        with accepted:
            worker.reactor.adoptStreamConnection(accepted.fileno(), accepted.family, worker.site)

    def send(self, most: int) -> None:
        try:
            self.left = self.left[self.socket.send(self.left[:most]) :]
        except BlockingIOError:
            pass
        except OSError:
            self.left = b""

    def read(self, most: int) -> None:
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.heard += data
        self.closed |= not data


def answers(heard: bytes) -> list[tuple[int, str]]:
    """The status of each answer and what it says, without what is another each time."""
    found = []
    while heard:
        head, end, rest = heard.partition(b"\r\n\r\n")
        assert end, heard[:500]
        if b"chunked" in head:
            body = b""
            while (size := int(rest.partition(b"\r\n")[0], 16)) > 0:
                start = rest.index(b"\r\n") + 2
                body, rest = body + rest[start : start + size], rest[start + size + 2 :]
            heard = rest[5:]
        else:
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body, heard = rest[:size], rest[size:]
            assert len(body) == size, heard[:500]
        found.append((int(head[9:12]), said(body)))
    return found


def said(body: bytes) -> str:
    lines = [json.decode(line) for line in body.splitlines()]
    text = "".join(line["message"]["content"] if "message" in line else str(line) for line in lines)
    # Each worker counts its sessions by itself.
    return re.sub(r" \(\d+\), by", ", by", text)


class RowTests(SynchronousTestCase):
    """A row goes to the first worker, whoever it is for."""

    def setUp(self) -> None:
        self.inboxes = [inbox_pair() for _ in range(2)]
        self.workers = [Worker(Path(self.mktemp()), number, self.inboxes) for number in range(2)]
        self.alone = Front(house_of(Path(self.mktemp())))

    def tearDown(self) -> None:
        for worker in self.workers:
            worker.site.hang_up()
            worker.house.close()
            worker.handover.stop()
            worker.reactor.removeAll()
            worker.reactor.iterate(0)
        for pair in self.inboxes:
            for end in pair:
                end.close()

    @settings(
        deadline=None,
        max_examples=60,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(rows, min_size=1, max_size=2), steps)
    # The first answer ends in the very moment in which there is room for the rest of it, and the way is full.
    @example(
        [[Asked(0, "long later", "length"), Asked(1, "!whoami", "length", 30_000)]],
        [("send", 1000), ("turn", 0), ("turn", 0), ("time", 0), ("fill", 1)],
    )
    def test_two_workers_answer_as_one_alone(
        self, asked: list[list[Asked]], happens: list[tuple[str, int]]
    ) -> None:
        data = [b"".join(request.bytes() for request in row) for row in asked]
        clients = [Client(self.workers[0], each) for each in data]
        for number, (what, much) in enumerate(happens):
            match what:
                case "send":
                    clients[number % len(clients)].send(much)
                case "turn":
                    self.workers[much].turn()
                case "time":
                    self.workers[much].house.clock.advance(1)
                    self.workers[much].turn()
                case "read":
                    clients[number % len(clients)].read(much)
                case _:
                    self.fill(much)
        expected = [self.of_one(each) for each in data]
        self.finish(clients, [len(each) for each in expected])
        self.assertEqual([answers(client.heard) for client in clients], expected)
        self.assertEqual(self.flushLoggedErrors(), [])
        for client in clients:
            client.socket.close()
        for worker in self.workers:
            worker.turn()
            self.assertEqual(worker.reactor.clock.getDelayedCalls(), [])

    def of_one(self, data: bytes) -> list[tuple[int, str]]:
        """What a worker that has all sessions answers."""
        wire = self.alone.connect(ADDRESS)
        wire.channel.dataReceived(data)
        for _ in range(30):
            self.alone.house.clock.advance(1)
        return answers(wire.transport.value())

    def finish(self, clients: list[Client], most: list[int]) -> None:
        """All that was not sent or read is, until nothing happens any more."""
        quiet = 0
        while quiet < QUIET:
            before = [(len(client.left), len(client.heard)) for client in clients]
            for client in clients:
                client.send(1_000_000)
                client.read(1_000_000)
            for worker in self.workers:
                worker.turn()
                worker.house.clock.advance(0.1)
            after = [(len(client.left), len(client.heard)) for client in clients]
            quiet = 0 if before != after else quiet + 1
            if quiet > QUIET // 2:
                select.select([client.socket for client in clients if not client.closed], [], [], 0.01)

    def fill(self, worker: int) -> None:
        """Packets that mean nothing, as many as its inbox takes."""
        try:
            while True:
                self.inboxes[worker][1].send(bytes(1000))
        except BlockingIOError:
            pass
