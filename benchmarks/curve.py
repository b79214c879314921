"""How cost and delay grow with the number of paced streams; draws `docs/performance.svg`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .paced import MODEL, RATE, Figures, measure
from .plot import Panel, svg
from .servers import available_peers, litellm, llamaproxy, upstream
from .table import milliseconds, table

SIZES = (250, 500, 1000)
SETTLE = 0.5
SECONDS = 1.5
FILE = Path(__file__).parents[1] / "docs" / "performance.svg"


def run() -> str:
    peers, notes = available_peers()
    starts = [*(peer for peer in peers if peer is not litellm), lambda port, model: llamaproxy(port, [model])]
    figures: dict[str, list[Figures]] = {}
    with upstream() as source:
        for start in starts:
            for size in SIZES:
                with start(source.port, MODEL) as server:
                    found = measure(server, source, size, SECONDS, SETTLE)
                figures.setdefault(found.name, []).append(found)
    delay = Panel("p99 of a token's way, in ms", _lines(figures, lambda each: each.p99 * 1e3))
    cost = Panel("processor time per token, in µs", _lines(figures, lambda each: each.cost * 1e6))
    FILE.write_text(svg([delay, cost], f"streams at {RATE} tokens/s"), encoding="utf-8")
    rows = [
        [f"{name}, {each.streams} streams", f"{each.cost * 1e6:.1f} us", milliseconds(each.p99)]
        for name, found in figures.items()
        for each in found
    ]
    return "\n".join([table(["", "CPU/token", "p99"], rows), "", *notes, f"Drawn: {FILE.name}"])


def _lines(
    figures: Mapping[str, Sequence[Figures]], value: Callable[[Figures], float]
) -> dict[str, list[tuple[float, float]]]:
    return {name: [(each.streams, value(each)) for each in found] for name, found in figures.items()}
