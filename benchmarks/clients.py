"""The crowd in front of a server: many connections on one epoll, in the benchmark's own process.

Each client comes from a loopback address of its own, since an address is a session.
"""

import select
import socket
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Self

from .upstream import MARK, delays

Heard = Callable[["Client", bytes, float], None]


def address_of(number: int) -> str:
    """The loopback address of a client; all of 127.0.0.0/8 is this machine."""
    return f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


class Client:
    """One connection, and what came over it: tokens, and the times of its request and its first token."""

    __slots__ = ("asked", "first", "received", "request", "socket", "tokens")

    def __init__(self, number: int, request: bytes, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((address_of(number), 0))
        self.socket.setblocking(False)
        self.request = request
        self.asked = self.first = 0.0
        self.tokens = self.received = 0


class Crowd:
    """Clients that connect, ask and read. Use as a context manager; leaving hangs up on all."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self._epoll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        self.delays: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for client in self.clients:
            client.socket.close()
        self._epoll.close()

    def connect(
        self, port: int, requests: Iterable[bytes], first_number: int = 0, receive_buffer: int = 0
    ) -> list[Client]:
        """Lets new clients connect, all at once; each sends its request when it is through.

        `receive_buffer` is what their kernel keeps for them, in bytes; 0 leaves that to it, which is megabytes here.
        """
        new = [Client(first_number + i, request, receive_buffer) for i, request in enumerate(requests)]
        for client in new:
            client.asked = monotonic()
            client.socket.connect_ex(("127.0.0.1", port))
            self._by_fd[client.socket.fileno()] = client
            self._epoll.register(client.socket, select.EPOLLOUT)
        self.clients += new
        return new

    def hold(self, clients: Iterable[Client]) -> None:
        """These stop reading."""
        for client in clients:
            self._epoll.modify(client.socket, 0)

    def release(self, clients: Iterable[Client]) -> None:
        """These read on."""
        for client in clients:
            self._epoll.modify(client.socket, select.EPOLLIN)

    def run(
        self, seconds: float, heard: Heard | None = None, until: Callable[[], bool] = lambda: False
    ) -> float:
        """Reads for that long, or until `until` (asked after each round) holds; the seconds that it took.

        `heard` is called with each piece of data and its time; without it tokens are counted only.
        """
        begin = now = monotonic()
        end = begin + seconds
        while now < end and not until():
            for fd, event in self._epoll.poll(min(0.1, end - now)):
                client = self._by_fd[fd]
                if event & select.EPOLLOUT:
                    self._epoll.modify(fd, select.EPOLLIN)
                    client.socket.send(client.request)
                else:
                    self._read(client, heard)
            now = monotonic()
        return now - begin

    def note_delays(self, client: Client, data: bytes, now: float) -> None:
        """A `heard` that keeps each token's time on the way in `delays`."""
        self.delays += delays(data, now)

    def _read(self, client: Client, heard: Heard | None) -> None:
        data = client.socket.recv(262144)
        if not data:
            self._epoll.unregister(client.socket)
            return
        client.received += len(data)
        tokens = data.count(MARK)
        if tokens and not client.tokens:
            client.first = monotonic()
        client.tokens += tokens
        if heard is not None:
            heard(client, data, monotonic())
