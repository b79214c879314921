"""All cores: how much more two workers carry than one, with clients and an upstream that cost next to nothing.

One worker and two take turns, and beside each pair stands what two processes that have nothing to do with each other
get out of the machine then: more than that no server could.
"""

import socket
import subprocess
import sys
from collections.abc import Sequence
from statistics import median

from .clients import Client, Crowd
from .servers import Server, llamaproxy, upstream
from .table import ratio, table
from .unpaced import Figures, watch
from .upstream import MARK

STREAMS = 64
# Bytes that a client lets gather before it looks.
LOW_WATER = 64 * 1024
SETTLE = 1.5
SECONDS = 4.0
ROUNDS = 3
MODEL = "0x0"

# Prints how often it comes around in a second.
LOOP = """
import time
count, end = 0, time.perf_counter() + 1.5
while time.perf_counter() < end:
    for number in range(1000):
        text = b"%d" % number + b"x" * 200
        count += len({"text": text, "parts": text.split(b"9")})
print(count)
"""


class Sink(Crowd):
    """Clients that have the kernel throw away what comes, and count its bytes."""

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


def measure(server: Server, source: Server, name: str) -> Figures:
    with Sink() as crowd:
        for client in crowd.connect(server.port, [server.request()] * STREAMS):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, LOW_WATER)
        crowd.run(10.0, until=lambda: all(client.received for client in crowd.clients))
        crowd.run(SETTLE)
        length = crowd.frame_length()
        return watch(name, crowd, server, source, SECONDS, lambda client: client.received / length)


def run() -> str:
    rows, gains, limits = [], [], []
    with upstream() as source:
        for number in range(1, ROUNDS + 1):
            pair = []
            for workers in (1, 2):
                with llamaproxy(source.port, [MODEL], lambda home: None, "--workers", f"{workers}") as server:
                    pair.append(measure(server, source, f"{workers}, round {number}"))
            rows += pair
            gains.append(pair[1].tokens / pair[0].tokens)
            limits.append(_loops(2) / _loops(1))
    return "\n".join([_table(rows), "", _explanation(gains, limits)])


def _loops(processes: int) -> int:
    """How often that many processes go around together."""
    command = [sys.executable, "-c", LOOP]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(int(process.communicate()[0]) for process in running)


def _table(rows: Sequence[Figures]) -> str:
    columns = ["tokens/s", "x one worker", "tokens/CPU s", "server CPU", "client CPU", "upstream CPU"]
    cells = [
        [
            row.name,
            f"{row.tokens:,.0f}",
            ratio(row.tokens, rows[index - index % 2].tokens),
            f"{row.per_core:,.0f}",
            *(f"{share:.0%}" for share in (row.server, row.harness, row.upstream)),
        ]
        for index, row in enumerate(rows)
    ]
    return table([f"workers, {STREAMS} streams flat out", *columns], cells)


def _explanation(gains: Sequence[float], limits: Sequence[float]) -> str:
    return (
        f"Two workers carry {median(gains):.2f} times what one does (the median of {_listed(gains)}). Two loops in "
        f"Python that share nothing got {_listed(limits)} times what one got, in the same rounds. The clients have "
        "the kernel throw away what comes, and what they and the upstream take of the two cores, in the last two "
        "columns, the workers cannot have."
    )


def _listed(figures: Sequence[float]) -> str:
    return ", ".join(f"{figure:.2f}" for figure in figures)
