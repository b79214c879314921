"""Small requests, with and without a model: how many of them one core answers in a second."""

import select
import socket
from collections.abc import Iterator
from itertools import count, repeat
from time import monotonic

from .clients import address_of
from .machine import own_cpu
from .servers import Server, available_peers, get, llamaproxy, post, relay, upstream
from .table import ratio, table

CONNECTIONS = 16
SETTLE = 0.5
SECONDS = 3.0
VERSION, TAGS = get("/api/version"), get("/api/tags")


class _Connection:
    """Asks one thing after the other."""

    def __init__(self, number: int, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.socket()
        self.socket.bind((address_of(number), 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._answer = b""

    def ask(self) -> None:
        """Sends the next request."""
        self.socket.sendall(next(self._requests))

    def received(self) -> bool:
        """Reads; whether an answer is complete, and the next one asked for."""
        self._answer += self.socket.recv(65536)
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return False
        assert head.startswith(b"HTTP/1.1 200"), self._answer
        _, sized, length = head.lower().partition(b"content-length:")
        complete = len(body) >= int(length.split(b"\r\n")[0]) if sized else body.endswith(b"0\r\n\r\n")
        if complete:
            self._answer = b""
            self.ask()
        return complete


def turns() -> Iterator[bytes]:
    """Messages whose answer is two tokens; no two are the same, as that would be noticed."""
    for number in count():
        yield post("/api/chat", {"model": "m", "messages": [{"role": "user", "content": f"go {number}"}]})


def rate(server: Server, requests: Iterator[bytes]) -> tuple[float, float, float]:
    """Requests a second, requests for each second of the server's processor time, and the clients' own share."""
    connections = {}
    epoll = select.epoll()
    for number in range(CONNECTIONS):
        connection = _Connection(number, server.port, requests)
        connections[connection.socket.fileno()] = connection
        epoll.register(connection.socket, select.EPOLLIN)
        connection.ask()

    def ask_for(seconds: float) -> tuple[int, float]:
        begin, answers = monotonic(), 0
        while (now := monotonic()) < begin + seconds:
            answers += sum(connections[fd].received() for fd, _ in epoll.poll(0.1))
        return answers, now - begin

    ask_for(SETTLE)
    cpu, own = server.cpu(), own_cpu()
    answers, took = ask_for(SECONDS)
    cpu, own = server.cpu() - cpu, own_cpu() - own
    for connection in connections.values():
        connection.socket.close()
    epoll.close()
    return answers / took, answers / max(cpu, 0.01), own / took


def run() -> str:
    peers, notes = available_peers()
    rows: list[tuple[str, float, float, float]] = []
    with upstream() as source:
        with llamaproxy(source.port, ["0x2"]) as server:
            body = {"model": "m", "messages": [{"role": "user", "content": "!help"}]}
            for name, requests in (
                ("/api/version", repeat(VERSION)),
                ("/api/tags", repeat(TAGS)),
                ("!help, streamed", repeat(post("/api/chat", body))),
                ("!help, whole", repeat(post("/api/chat", {**body, "stream": False}))),
                ("a turn of two tokens", turns()),
            ):
                rows.append((f"llamaproxy {name}", *rate(server, requests)))
        if relay in peers:
            with relay(source.port, "0x0") as server:
                rows.append(("Starlette /api/version", *rate(server, repeat(VERSION))))
    usual = rows[-1][2] if relay in peers else 0.0
    columns = [f"{CONNECTIONS} connections", "requests/s", "requests/CPU s", "x Starlette", "client CPU"]
    cells = [
        [name, f"{each:,.0f}", f"{per_core:,.0f}", ratio(per_core, usual), f"{own:.0%}"]
        for name, each, per_core, own in rows
    ]
    return "\n".join([table(columns, cells), "", *notes])
