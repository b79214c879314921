"""From the command line to listening, and what an idle server weighs."""

from statistics import median
from time import sleep

from .machine import memory
from .servers import available_peers, llamaproxy, nginx, upstream
from .table import table

RUNS = 5
REST = 2.0
MODEL = "20x0"


def run() -> str:
    peers, notes = available_peers()
    rows = []
    with upstream() as source:
        with llamaproxy(source.port, [MODEL]):
            pass  # compiles what has not been compiled yet
        for start in (lambda port, model: llamaproxy(port, [model]), *peers):
            if start is nginx:
                continue
            seconds, weights = [], []
            for _ in range(RUNS):
                with start(source.port, MODEL) as server:
                    seconds.append(server.started_in)
                    sleep(REST / RUNS)
                    weights.append(memory(server.pid))
            name = server.name
            rows.append([name, f"{median(seconds):.2f} s", f"{median(weights) / 1024 / 1024:.1f} MiB"])
    columns = [f"median of {RUNS} starts", "to listening", "idle memory (PSS)"]
    return "\n".join([table(columns, rows), "", *notes])
