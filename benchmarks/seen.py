"""What a token costs while its server is looked at: recorder and console off, on, and on with a console that watches.

The three take turns, round by round, so that whatever else the machine does meets all of them alike.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Thread

from .paced import MODEL, STREAMS, Figures, measure
from .servers import Server, llamaproxy, upstream
from .table import milliseconds, ratio, table

ROUNDS = 3
SECONDS = 4.0
OFF, ON, WATCHED = "recorder and console off", "on", "on, one console watching"


def run() -> str:
    figures: dict[str, list[Figures]] = {OFF: [], ON: [], WATCHED: []}
    with upstream() as source:
        for _ in range(ROUNDS):
            for name, rows in figures.items():
                prepare: Callable[[Path], None] = _without if name == OFF else _as_it_is
                with llamaproxy(source.port, [MODEL], prepare) as server, _watching(server, name == WATCHED):
                    rows.append(measure(server, source, STREAMS, SECONDS))
    return _table(figures)


def _without(home: Path) -> None:
    """Switches both off."""
    file = home / "plugins-enabled.json"
    content = json.loads(file.read_text())
    content["plugin_config"]["plugin_proxy_llama"] |= {"recorder": False, "console": False}
    file.write_text(json.dumps(content))


def _as_it_is(home: Path) -> None:
    """They are on unless somebody says otherwise."""


@contextmanager
def _watching(server: Server, wanted: bool) -> Iterator[None]:
    """Somebody has the console open."""
    if not wanted:
        yield
        return
    key = (server.folder / "operator.key").read_text().strip()
    head = f"GET /console/live HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as browser:
        browser.sendall(head.encode())
        if not browser.recv(4096).startswith(b"HTTP/1.1 200"):
            raise SystemExit("the console does not open")
        Thread(target=_read, args=(browser,), daemon=True).start()
        yield
        browser.shutdown(socket.SHUT_RDWR)


def _read(browser: socket.socket) -> None:
    while browser.recv(1 << 16):
        pass


def _table(figures: dict[str, list[Figures]]) -> str:
    off = [each.cost for each in figures[OFF]]
    rows = []
    for name, each in figures.items():
        costs = [one.cost for one in each]
        ratios = [cost / base for cost, base in zip(costs, off, strict=True)]
        rows.append(
            (
                name,
                f"{median(costs) * 1e6:.2f} us",
                ", ".join(f"{cost * 1e6:.2f}" for cost in costs),
                ratio(median(ratios), 1.0),
                milliseconds(median(one.p99 for one in each)),
                f"{median(one.memory for one in each) / 1024:.1f} KiB",
            )
        )
    heads = ("", "a token, processor time", "each round", "against off", "p99", "a stream")
    return table(heads, rows)
