"""What a turn costs late in a long session, and what sessions at rest weigh."""

import socket
from contextlib import closing
from pathlib import Path
from time import monotonic, time

from .clients import address_of
from .machine import memory
from .servers import Server, llamaproxy, upstream
from .table import milliseconds, percentile, ratio, table

TURNS = 10_000
BLOCK = 500
AT_REST = 10_000
MODEL = "1000x1"
LIMIT = 50.0


def run() -> str:
    rows = []
    with upstream() as source:
        with llamaproxy(source.port, [MODEL]) as server:
            empty = memory(server.pid)
            blocks = _long_session(server)
        with llamaproxy(source.port, [MODEL], _fill) as server:
            full = memory(server.pid)
    first = blocks[0]
    for number, (cpu, p50) in enumerate(blocks):
        if number in (0, 1, len(blocks) // 2, len(blocks) - 1):
            turns = f"turns {number * BLOCK + 1:,} to {(number + 1) * BLOCK:,}"
            rows.append([turns, f"{cpu * 1e6:,.0f} us", milliseconds(p50), ratio(cpu, first[0])])
    columns = ["one session, 10 turns of history in each prompt", "CPU/turn", "p50", "x first block"]
    rest = f"{AT_REST:,} sessions at rest: {(full - empty) / 1024:+,.0f} KiB of memory at the start"
    return "\n".join([table(columns, rows), "", rest])


def _long_session(server: Server) -> list[tuple[float, float]]:
    """(Processor time a turn, median time of a turn) for each block of turns."""
    blocks: list[tuple[float, float]] = []
    until = monotonic() + LIMIT
    with closing(socket.socket()) as client:
        client.bind((address_of(0), 0))
        client.connect(("127.0.0.1", server.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(blocks) * BLOCK < TURNS and monotonic() < until:
            cpu, times = server.cpu(), []
            for turn in range(BLOCK):
                asked, answer = monotonic(), b""
                client.sendall(server.request(f"turn {turn}"))
                while not answer.endswith(b"0\r\n\r\n"):
                    answer += client.recv(65536)
                times.append(monotonic() - asked)
            blocks.append(((server.cpu() - cpu) / BLOCK, percentile(sorted(times), 0.5)))
    return blocks


def _fill(home: Path) -> None:
    """Puts sessions into the store of a home that no server uses yet."""
    from llamaproxy.seams.types import Message
    from llamaproxy.store.database import Database

    database = Database(home / "sessions.db", time)
    database.connection.execute("PRAGMA synchronous = OFF")
    turn = [Message(role="user", content="hello"), Message(role="assistant", content="hello to you")]
    for number in range(AT_REST):
        database.append(f"llama-{address_of(number)}", turn)
    database.close()
