"""As fast as it goes: how many tokens one core can carry from an upstream that never waits."""

from collections.abc import Callable

from msgspec import Struct

from .clients import Client, Crowd
from .machine import own_cpu
from .servers import Server, available_peers, llamaproxy, upstream
from .table import ratio, table

STREAMS = 8
SETTLE = 1.0
SECONDS = 5.0
MODEL = "0x0"


class Figures(Struct, frozen=True):
    """Tokens a second, tokens for each second of the server's processor time, and everyone's share of a core."""

    name: str
    tokens: float
    per_core: float
    server: float
    harness: float
    upstream: float


def measure(server: Server, source: Server) -> Figures:
    with Crowd() as crowd:
        crowd.connect(server.port, [server.request()] * STREAMS)
        crowd.run(10.0, until=lambda: all(client.tokens for client in crowd.clients))
        crowd.run(SETTLE)
        return watch(server.name, crowd, server, source, SECONDS, lambda client: client.tokens)


def watch(
    name: str,
    crowd: Crowd,
    server: Server,
    source: Server,
    seconds: float,
    tokens_of: Callable[[Client], float],
) -> Figures:
    """Lets the crowd read for that long; `tokens_of` says how many tokens a client has had so far."""
    before = sum(map(tokens_of, crowd.clients))
    cpu, source_cpu, own = server.cpu(), source.cpu(), own_cpu()
    took = crowd.run(seconds)
    own, cpu, source_cpu = own_cpu() - own, server.cpu() - cpu, source.cpu() - source_cpu
    tokens = sum(map(tokens_of, crowd.clients)) - before
    return Figures(name, tokens / took, tokens / max(cpu, 0.01), cpu / took, own / took, source_cpu / took)


def run() -> str:
    peers, notes = available_peers()
    rows = []
    with upstream() as source:
        source.model = MODEL
        rows.append(measure(source, source))
        for peer in peers:
            with peer(source.port, MODEL) as server:
                rows.append(measure(server, source))
        with llamaproxy(source.port, [MODEL]) as server:
            rows.append(measure(server, source))
    usual = next((row.per_core for row in rows if row.name.startswith("Starlette")), 0.0)
    columns = ["tokens/s", "tokens/CPU s", "x Starlette", "server CPU", "client CPU", "upstream CPU"]
    cells = [
        [
            row.name,
            f"{row.tokens:,.0f}",
            f"{row.per_core:,.0f}",
            ratio(row.per_core, usual),
            *(f"{share:.0%}" for share in (row.server, row.harness, row.upstream)),
        ]
        for row in rows
    ]
    explanation = (
        "A core's figure is in the second column: tokens for each second of the server's own processor time. "
        f"Without a server between, the same clients and upstream move {rows[0].tokens:,.0f} tokens/s, and through "
        "nginx more than any of the others needs, so they are not what limits the rows below."
    )
    return "\n".join([table([f"{STREAMS} streams, flat out", *columns], cells), "", *notes, explanation])
