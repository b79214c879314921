"""From a request to its first token: for one client, and for a thousand that come in the same instant."""

import socket
from contextlib import closing
from time import monotonic

from .clients import Crowd, address_of
from .servers import Server, available_peers, llamaproxy, upstream
from .table import milliseconds, percentile, table
from .upstream import MARK

TURNS = 300
CROWD = 1000
PATIENCE = 20.0
# One token a reply for the single client; the crowd's replies go on.
SHORT, LONG = "1x1", "1x0"


def alone(server: Server) -> list[float]:
    """Sorted times to the first token of one client's turns, one after the other on one connection."""
    times = []
    with closing(socket.socket()) as client:
        client.bind((address_of(CROWD), 0))
        client.connect(("127.0.0.1", server.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for turn in range(TURNS):
            client.sendall(server.request(f"turn {turn}", SHORT))
            asked, first, answer = monotonic(), 0.0, b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += client.recv(65536)
                if not first and MARK in answer:
                    first = monotonic()
            times.append(first - asked)
    return sorted(times)


def together(server: Server) -> tuple[list[float], int]:
    """Sorted times to the first token of a crowd that connects at once, and how many never got one."""
    with Crowd() as crowd:
        clients = crowd.connect(server.port, [server.request("go", LONG)] * CROWD)
        crowd.run(PATIENCE, until=lambda: all(client.tokens for client in clients))
        begin = min(client.asked for client in clients)
        times = sorted(client.first - begin for client in clients if client.tokens)
        return times, CROWD - len(times)


def run() -> str:
    peers, notes = available_peers()
    rows = []
    with upstream() as source:
        direct = alone(source)
        rows.append(_row(source.name, direct, direct, *together(source)))
        for peer in peers:
            with peer(source.port, SHORT) as short, peer(source.port, LONG) as long:
                rows.append(_row(short.name, alone(short), direct, *together(long)))
        with llamaproxy(source.port, [SHORT]) as short, llamaproxy(source.port, [LONG]) as long:
            rows.append(_row(short.name, alone(short), direct, *together(long)))
    columns = ["p50 added", "p99 added", f"{CROWD} at once: first", "last", "last - first", "without"]
    return "\n".join([table([f"first token, {TURNS} turns", *columns], rows), "", *notes])


def _row(name: str, times: list[float], direct: list[float], crowd: list[float], without: int) -> list[str]:
    added = [percentile(times, share) - percentile(direct, share) for share in (0.5, 0.99)]
    spread = (crowd[0], crowd[-1], crowd[-1] - crowd[0]) if crowd else (0.0, 0.0, 0.0)
    return [name, *map(milliseconds, (*added, *spread)), str(without)]
