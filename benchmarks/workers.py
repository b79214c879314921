"""All cores: how much more two workers carry than one, with clients and an upstream that cost next to nothing."""

import socket
from collections.abc import Sequence

from msgspec import Struct

from .clients import Client, Crowd
from .machine import own_cpu
from .servers import Server, llamaproxy, upstream
from .table import ratio, table
from .upstream import MARK

STREAMS = 64
# Bytes that a client lets gather before it looks.
LOW_WATER = 64 * 1024
SETTLE = 1.5
SECONDS = 6.0
WORKERS = (1, 2)
MODEL = "0x0"


class Figures(Struct, frozen=True):
    """Tokens a second, tokens for each second of the server's processor time, and everyone's share of a core."""

    workers: int
    tokens: float
    per_core: float
    server: float
    harness: float
    upstream: float


class Sink(Crowd):
    """Clients that have the kernel throw away what comes, and count it."""

    def __init__(self) -> None:
        super().__init__()
        self._nothing = bytearray(1024 * 1024)
        self._sample = b""

    def frame_length(self) -> int:
        """Bytes from one token to the next; all are alike."""
        first = self._sample.index(MARK)
        return self._sample.index(MARK, first + 1) - first

    def _read(self, client: Client, heard: object) -> None:
        if self._sample.count(MARK) < 2:
            self._sample = client.socket.recv(262144)
        else:
            client.received += client.socket.recv_into(self._nothing, 0, socket.MSG_TRUNC)


def measure(server: Server, source: Server, workers: int) -> Figures:
    with Sink() as crowd:
        for client in crowd.connect(server.port, [server.request()] * STREAMS):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, LOW_WATER)
        crowd.run(10.0, until=lambda: all(client.received for client in crowd.clients))
        crowd.run(SETTLE)
        length = crowd.frame_length()
        before = sum(client.received for client in crowd.clients)
        cpu, source_cpu, own = server.cpu(), source.cpu(), own_cpu()
        took = crowd.run(SECONDS)
        own, cpu, source_cpu = own_cpu() - own, server.cpu() - cpu, source.cpu() - source_cpu
        tokens = (sum(client.received for client in crowd.clients) - before) / length
        return Figures(
            workers, tokens / took, tokens / max(cpu, 0.01), cpu / took, own / took, source_cpu / took
        )


def run() -> str:
    rows = []
    with upstream() as source:
        for workers in WORKERS:
            with llamaproxy(source.port, [MODEL], lambda home: None, "--workers", str(workers)) as server:
                rows.append(measure(server, source, workers))
    return "\n".join([_table(rows), "", _explanation()])


def _table(rows: Sequence[Figures]) -> str:
    columns = ["tokens/s", "x one worker", "tokens/CPU s", "server CPU", "client CPU", "upstream CPU"]
    cells = [
        [
            f"{row.workers}",
            f"{row.tokens:,.0f}",
            ratio(row.tokens, rows[0].tokens),
            f"{row.per_core:,.0f}",
            *(f"{share:.0%}" for share in (row.server, row.harness, row.upstream)),
        ]
        for row in rows
    ]
    return table([f"workers, {STREAMS} streams flat out", *columns], cells)


def _explanation() -> str:
    return "The clients have the kernel throw away what comes, so that the cores are the server's."
