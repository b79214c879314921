"""Pieces of every size: how fast one client gets them, alone, and beside a thousand small streams and 500 stalled."""

from .clients import Client, Crowd
from .servers import Server, llamaproxy, upstream
from .table import milliseconds, percentile, ratio, table

# Bytes of text in a frame.
SIZES = (100, 1_000, 16_000, 64_000, 1_000_000)
SMALL, STALLED = 1000, 500
RATE = 20
SECONDS = 1.0
# What a stalled client's own kernel keeps.
RECEIVE_BUFFER = 64 * 1024
PACED, FLAT = f"{RATE}x0", "0x0"


def _model(size: int) -> str:
    return f"0x0x{size}"


class _Run:
    """One client after another, each with frames of one size, beside whoever else is there."""

    def __init__(self, server: Server, crowd: Crowd) -> None:
        self._server, self._crowd = server, crowd
        self._number = SMALL + STALLED

    def rate(self, request: bytes) -> tuple[float, float]:
        """Bytes a second that one client gets, and for each second of the server's processor time."""
        self._number += 1
        [client] = self._crowd.connect(self._server.port, [request], self._number)
        self._crowd.run(10.0, until=lambda: bool(client.received))
        cpu, before = self._server.cpu(), client.received
        took = self._crowd.run(SECONDS, self._heard)
        received, cpu = client.received - before, self._server.cpu() - cpu
        client.socket.close()
        self._crowd.run(0.2)
        return received / took, received / max(cpu, 0.01)

    def _heard(self, client: Client, data: bytes, now: float) -> None:
        """The others' delays are looked at, and not those of a flood."""
        if client.request == self._server.request():
            self._crowd.note_delays(client, data, now)


def run() -> str:
    rows = []
    models = [PACED, FLAT, *map(_model, SIZES)]
    with upstream() as source, llamaproxy(source.port, models) as server:
        with Crowd() as nobody:
            direct = {
                size: _Run(source, nobody).rate(source.request("go", _model(size)))[0] for size in SIZES
            }
        with Crowd() as nobody:
            lone = _Run(server, nobody)
            alone = {size: lone.rate(server.request(f"@{_model(size)} go")) for size in SIZES}
        with Crowd() as crowd:
            for wave in range(0, SMALL, 100):
                crowd.connect(server.port, [server.request()] * 100, wave)
                crowd.run(5.0, until=lambda: all(client.tokens for client in crowd.clients))
            for wave in range(0, STALLED, 20):
                requests = [server.request(f"@{FLAT} go")] * 20
                stalled = crowd.connect(server.port, requests, SMALL + wave, RECEIVE_BUFFER)
                crowd.run(10.0, until=lambda: all(client.tokens for client in crowd.clients))
                crowd.hold(stalled)
            crowd.run(3.0)
            many = _Run(server, crowd)
            for size in SIZES:
                crowd.delays.clear()
                beside, _ = many.rate(server.request(f"@{_model(size)} go"))
                crowd.delays.sort()
                speed, per_core = alone[size]
                rows.append(
                    [
                        f"{size / 1000:g} KB",
                        ratio(speed, direct[size]),
                        _megabytes(speed),
                        _megabytes(per_core),
                        _megabytes(beside),
                        milliseconds(percentile(crowd.delays, 0.99)),
                    ]
                )
    columns = [
        "frames of",
        "x without a server",
        "MB/s, alone",
        "MB/CPU s",
        f"MB/s beside {SMALL} small streams and {STALLED} stalled ones",
        "p99 of the small streams",
    ]
    return table(columns, rows)


def _megabytes(rate: float) -> str:
    return f"{rate / 1e6:,.1f}"
