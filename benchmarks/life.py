"""Whole lives: a thousand clients ask in one instant and read to the last byte. What that costs, arrival included."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median

from msgspec import Struct

from .clients import Crowd
from .machine import memory, own_cpu
from .servers import Server, available_peers, get, go_proxy, llamaproxy, upstream
from .table import milliseconds, percentile, ratio, table

CROWD = 1000
RATE, TOKENS = 20, 120
MODEL = f"{RATE}x{TOKENS}"
PATIENCE = 30.0
ROUNDS = 2


class Life(Struct, frozen=True, kw_only=True):
    """What one round on one server showed: seconds, bytes, and how many answers were complete."""

    name: str
    cost: float
    p50: float
    p99: float
    first: float
    first_p99: float
    last_first: float
    memory: float
    complete: float
    harness: float
    upstream: float


def measure(server: Server, source: Server) -> Life:
    """One crowd's lives; `source` is the upstream behind `server`."""
    number = min(CROWD, server.most_streams)
    empty = memory(server.pid)
    with Crowd() as crowd:
        cpu, source_cpu, own = server.cpu(), source.cpu(), own_cpu()
        clients = crowd.connect(server.port, [server.request("go", MODEL)] * number)
        took = crowd.run(TOKENS / RATE / 2, crowd.note_delays)
        taken = memory(server.pid) - empty
        took += crowd.run(PATIENCE, crowd.note_delays, lambda: all(each.tokens >= TOKENS for each in clients))
        own, cpu, source_cpu = own_cpu() - own, server.cpu() - cpu, source.cpu() - source_cpu
        crowd.delays.sort()
        begin = min(client.asked for client in clients)
        firsts = sorted(client.first - begin for client in clients if client.tokens)
        return Life(
            name=server.name if number == CROWD else f"{server.name}, {number} clients",
            cost=cpu / max(1, sum(client.tokens for client in clients)),
            p50=percentile(crowd.delays, 0.5),
            p99=percentile(crowd.delays, 0.99),
            first=percentile(firsts, 0.5),
            first_p99=percentile(firsts, 0.99),
            last_first=percentile(firsts, 1.0),
            memory=taken / number,
            complete=sum(client.tokens >= TOKENS for client in clients) / number,
            harness=own / took,
            upstream=source_cpu / took,
        )


@contextmanager
def _two_workers(port: int, model: str) -> Iterator[Server]:
    with llamaproxy(port, [model], lambda home: None, "--workers", "2") as server:
        server.name = "llamaproxy, two workers"
        # The supervisor listens before they serve. Which one answers hangs on the address, so there are some.
        with Crowd() as first:
            asked = first.connect(server.port, [get("/api/version")] * 50, CROWD)
            first.run(PATIENCE, until=lambda: all(client.received for client in asked))
        yield server


def run() -> str:
    peers, notes = available_peers()
    starts: list[Callable[[int, str], AbstractContextManager[Server]]] = [
        *peers,
        # Go's library uses every core there is; on one it is beside what one process of Python can be.
        *([lambda port, model: go_proxy(port, model, cores=1)] if go_proxy in peers else []),
        lambda port, model: llamaproxy(port, [model]),
        _two_workers,
    ]
    found: dict[str, list[Life]] = {}
    with upstream() as source:
        # Each server is new in each round, and they take turns, since the machine's own speed varies.
        for _ in range(ROUNDS):
            found.setdefault(source.name, []).append(measure(source, source))
            for start in starts:
                with start(source.port, MODEL) as server:
                    life = measure(server, source)
                found.setdefault(life.name, []).append(life)
    columns = [
        f"{CROWD} clients at once, {TOKENS} tokens at {RATE}/s each, median of {ROUNDS} rounds",
        "x nginx a token",
        "last first token x Go",
        "CPU/token",
        "p50",
        "p99",
        "first token: p50",
        "p99",
        "last",
        "memory/stream",
        "complete",
        "client CPU",
        "upstream CPU",
    ]
    costs = {name: median(life.cost for life in rounds) for name, rounds in found.items()}
    lasts = {name: median(life.last_first for life in rounds) for name, rounds in found.items()}
    floor = next((cost for name, cost in costs.items() if name.startswith("nginx")), 0.0)
    other = next((last for name, last in lasts.items() if name == "Go, bytes through"), 0.0)
    rows = []
    for name, rounds in found.items():
        rows.append(
            [
                name,
                ratio(costs[name], floor),
                ratio(lasts[name], other),
                f"{costs[name] * 1e6:.1f} us",
                milliseconds(median(life.p50 for life in rounds)),
                milliseconds(median(life.p99 for life in rounds)),
                milliseconds(median(life.first for life in rounds)),
                milliseconds(median(life.first_p99 for life in rounds)),
                milliseconds(lasts[name]),
                f"{median(life.memory for life in rounds) / 1024:.1f} KiB",
                f"{min(life.complete for life in rounds):.0%}",
                f"{median(life.harness for life in rounds):.0%}",
                f"{median(life.upstream for life in rounds):.0%}",
            ]
        )
    explanation = (
        "The first row has no server between: what its clients and its upstream need of a core each is their own share "
        "of every other row. Times on the way count from the upstream's sending, the arrival's tokens included."
    )
    return "\n".join([table(columns, rows), "", *notes, explanation])
