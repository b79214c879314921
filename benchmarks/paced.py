"""A thousand streams at reading speed: what a token costs, how late it comes, and what a stream weighs."""

from collections.abc import Sequence
from statistics import fmean

from msgspec import Struct

from .clients import Crowd
from .machine import memory, own_cpu
from .servers import Server, available_peers, llamaproxy, upstream
from .table import milliseconds, percentile, ratio, table

STREAMS = 1000
RATE = 20
SETTLE = 2.0
SECONDS = 6.0
MODEL = f"{RATE}x0"


class Figures(Struct, frozen=True, kw_only=True):
    """What one server showed; times in seconds, `memory` in bytes a stream, `starved` the slowest stream's share."""

    name: str
    streams: int
    tokens: float
    cost: float
    p50: float
    p99: float
    memory: float
    starved: float
    harness: float
    upstream: float


def measure(
    server: Server, source: Server, streams: int = STREAMS, seconds: float = SECONDS, settle: float = SETTLE
) -> Figures:
    """Streams through `server` from the upstream `source`, and takes the figures while all streams run."""
    streams = min(streams, server.most_streams)
    empty = memory(server.pid)
    with Crowd() as crowd:
        # In waves, so that the start is not what is measured here.
        for wave in range(0, streams, 100):
            crowd.connect(server.port, [server.request()] * min(100, streams - wave), wave)
            crowd.run(5.0, until=lambda: all(client.tokens for client in crowd.clients))
        crowd.run(settle)
        before = [client.tokens for client in crowd.clients]
        cpu, source_cpu, own = server.cpu(), source.cpu(), own_cpu()
        took = crowd.run(seconds, crowd.note_delays)
        own, cpu, source_cpu = own_cpu() - own, server.cpu() - cpu, source.cpu() - source_cpu
        each = [client.tokens - start for client, start in zip(crowd.clients, before, strict=True)]
        crowd.delays.sort()
        return Figures(
            name=server.name if streams < server.most_streams else f"{server.name}, {streams} streams",
            streams=streams,
            tokens=sum(each) / took,
            cost=cpu / max(1, sum(each)),
            p50=percentile(crowd.delays, 0.5),
            p99=percentile(crowd.delays, 0.99),
            memory=(memory(server.pid) - empty) / streams,
            starved=min(each) / max(1.0, fmean(each)),
            harness=own / took,
            upstream=source_cpu / took,
        )


def run() -> str:
    peers, notes = available_peers()
    rows = []
    with upstream() as source:
        rows.append(measure(source, source))
        for peer in peers:
            with peer(source.port, MODEL) as server:
                rows.append(measure(server, source))
        with llamaproxy(source.port, [MODEL]) as server:
            rows.append(measure(server, source))
    return "\n".join([_table(rows), "", *notes, _explanation(rows)])


def _table(rows: Sequence[Figures]) -> str:
    floor = next((row.cost for row in rows if row.name.startswith("nginx")), 0.0)
    columns = ["", "tokens/s", "CPU/token", "x nginx", "p50", "p99", "memory/stream", "slowest stream"]
    return table(
        [f"{rows[0].streams} streams, {RATE} tokens/s each", *columns[1:], "client CPU", "upstream CPU"],
        [
            [
                row.name,
                f"{row.tokens:,.0f}",
                f"{row.cost * 1e6:.1f} us",
                ratio(row.cost, floor),
                milliseconds(row.p50),
                milliseconds(row.p99),
                f"{row.memory / 1024:.1f} KiB",
                f"{row.starved:.0%}",
                f"{row.harness:.0%}",
                f"{row.upstream:.0%}",
            ]
            for row in rows
        ],
    )


def _explanation(rows: Sequence[Figures]) -> str:
    alone = rows[0]
    return (
        f"The first row has no server between: the clients (one core at {alone.harness:.0%}) and the upstream "
        f"({alone.upstream:.0%}) have room to spare, and {milliseconds(alone.p99)} of each p99 are theirs. "
        "The slowest stream's tokens are given as a share of the mean."
    )
