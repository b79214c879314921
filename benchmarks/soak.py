"""Steady work for an hour, and whether the server grows: `make soak`, or `python -m benchmarks.soak --minutes 5`.

So many turns a second over so many sessions, in four dialects, with failures of the model, clients that leave and
commands among them. Memory, descriptors, threads, processor time and the slowest hundredth of the turns are looked at
in intervals; the last quarter against the second tells whether anything grows. At the end each answered turn must be in
the store, once. The load is one process on one epoll and
the model another one, both of raw sockets, so that they leave the server its core.
"""

import argparse
import os
import select
import socket
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic

import msgspec
from msgspec import Struct

from .clients import address_of
from .machine import machine, memory, open_many_files, own_cpu
from .plot import Panel, svg
from .servers import Server, llamaproxy, post, upstream
from .table import milliseconds, percentile, table
from .upstream import MARK

MINUTES, RATE, SESSIONS = 60.0, 200.0, 2000
# Answers of six tokens at twenty a second; of a hundred, the model fails at four.
TOKENS = 6
MODEL = f"20x{TOKENS}f4"
# Of a hundred turns: how many are commands, and of how many the client leaves in the middle.
COMMANDS, LEAVING = 8, 4
TEXTS = ("!help", "!model", "!whoami", "!trace", "!branches", "!undo")
PATHS = ("/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/responses")
# Seconds without an end after which a client gives up, and turns that may be under way.
PATIENCE, MOST = 60.0, 1000
# How often the server is looked at.
LOOKS = 120
# What may grow from the second quarter to the last, as a share.
TOLERANCE = 0.05
FILE = Path(__file__).parents[1] / "docs" / "soak.svg"


class Look(Struct, frozen=True):
    """The server at one moment: seconds since the start, bytes, descriptors, threads; and of the turns that ended since
    the look before: how many a second, seconds of the slowest hundredth, and the server's processor time for each."""

    at: float
    memory: int
    files: int
    threads: int
    rate: float
    p99: float
    cost: float


class _Turn:
    """One client's connection for one turn; it leaves after `leaves` tokens, or stays if that is negative."""

    __slots__ = ("began", "kind", "leaves", "number", "request", "socket", "status", "tail", "tokens")

    def __init__(self, number: int, request: bytes, kind: str, leaves: int, began: float) -> None:
        self.socket = socket.socket()
        self.number = number
        self.request, self.kind, self.leaves, self.began = request, kind, leaves, began
        self.status = self.tail = b""
        self.tokens = 0


class Load:
    """Sends turns, at a rate and whoever still waits, and notes how they end."""

    def __init__(self, port: int, rate: float, sessions: int, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.took: list[float] = []
        # The numbers of the turns whose whole answer came.
        self.answered: set[int] = set()
        self.running: dict[int, _Turn] = {}
        self._port, self._rate, self._sessions = port, rate, sessions
        self._random = Random(seed)
        self._number = 0
        self._epoll = select.epoll()
        self._due = monotonic()

    def run(self, until: float) -> None:
        """Goes on until that moment."""
        while (now := monotonic()) < until:
            while self._due <= now:
                self._due += 1 / self._rate
                self._send(now)
            self._hear(min(self._due, until) - now)

    def drain(self) -> None:
        """Sends no more, and returns once all turns have ended."""
        while self.running:
            self._hear(0.1)
            self._give_up(monotonic())

    def _send(self, now: float) -> None:
        if len(self.running) >= MOST:
            self.counts["not sent, as too many were under way"] += 1
            return
        self._number += 1
        choose = self._random
        number, kind = choose.randrange(self._sessions), choose.randrange(100)
        text = choose.choice(TEXTS) if kind < COMMANDS else f"question {self._number}"
        path = choose.choice(PATHS)
        body = {"model": "m", "max_tokens": 1000, "stream": True}
        asked = text if path == "/v1/responses" else [{"role": "user", "content": text}]
        body["input" if path == "/v1/responses" else "messages"] = asked
        request = post(path, body).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        turn = _Turn(
            self._number,
            request,
            "commands" if kind < COMMANDS else "turns",
            choose.randrange(TOKENS) if kind >= 100 - LEAVING else -1,
            now,
        )
        turn.socket.setblocking(False)
        turn.socket.bind((address_of(number), 0))
        turn.socket.connect_ex(("127.0.0.1", self._port))
        self.running[turn.socket.fileno()] = turn
        self._epoll.register(turn.socket, select.EPOLLOUT)
        if not self._number % 1000:
            self._give_up(now)

    def _hear(self, wait: float) -> None:
        for fd, event in self._epoll.poll(max(0.0, wait)):
            turn = self.running[fd]
            try:
                if event & select.EPOLLOUT:
                    self._epoll.modify(fd, select.EPOLLIN)
                    turn.socket.send(turn.request)
                    left = turn.leaves == 0
                else:
                    left = self._read(turn)
            except OSError:
                self._end(turn, "refused or reset")
                continue
            if left:
                self._end(turn, "left by the client")

    def _read(self, turn: _Turn) -> bool:
        """Whether it is time to leave."""
        data = turn.socket.recv(65536)
        turn.status = turn.status or data[9:12]
        turn.tail = (turn.tail + data)[-5:]
        turn.tokens += data.count(MARK)
        if not data:
            self._over(turn)
            return False
        return 0 <= turn.leaves <= turn.tokens

    def _over(self, turn: _Turn) -> None:
        if turn.status not in (b"", b"200"):
            self._end(turn, f"told that the model failed, with a status of {turn.status.decode()}")
        elif turn.tail != b"0\r\n\r\n":
            self._end(turn, "without an end")
        elif turn.kind == "turns" and turn.tokens < TOKENS:
            self._end(turn, "told that the model failed, in the stream")
        else:
            self.took.append(monotonic() - turn.began)
            if turn.kind == "turns":
                self.answered.add(turn.number)
            self._end(turn, "answered")

    def _give_up(self, now: float) -> None:
        for turn in [each for each in self.running.values() if each.began + PATIENCE < now]:
            self._end(turn, f"without an end after {PATIENCE:.0f} s")

    def _end(self, turn: _Turn, how: str) -> None:
        self.counts[f"{turn.kind} {how}"] += 1
        del self.running[turn.socket.fileno()]
        turn.socket.close()


def soak(
    minutes: float, rate: float, sessions: int, seed: int, watch: Callable[[Look], None] = lambda look: None
) -> tuple[list[Look], str]:
    """The looks, and a report with the verdicts."""
    with upstream() as source, llamaproxy(source.port, [MODEL]) as server:
        load, looks = Load(server.port, rate, sessions, seed), []
        rest = _descriptors(server)
        began, cpu, own, source_cpu = monotonic(), server.cpu(), own_cpu(), source.cpu()
        before, ended, now = cpu, 0, began
        for number in range(LOOKS):
            since = now
            load.run(began + (number + 1) * minutes * 60 / LOOKS)
            now, spent, total = monotonic(), server.cpu(), sum(load.counts.values())
            looks.append(
                Look(
                    at=now - began,
                    memory=memory(server.pid),
                    files=_descriptors(server),
                    threads=len(os.listdir(f"/proc/{server.pid}/task")),
                    rate=(total - ended) / (now - since),
                    p99=percentile(sorted(load.took), 0.99),
                    cost=(spent - before) / max(1, total - ended),
                )
            )
            before, ended = spent, total
            load.took.clear()
            watch(looks[-1])
        shares = [
            (each - start) / (now - began)
            for each, start in ((server.cpu(), cpu), (own_cpu(), own), (source.cpu(), source_cpu))
        ]
        load.drain()
        lines = [
            _table(looks),
            "",
            *verdicts(looks),
            f"descriptors at rest: {rest} before, {_descriptors(server)} after",
            "of a core: server {:.0%}, clients {:.0%}, model {:.0%}".format(*shares),
            _stored(server.folder / "sessions.db", load.answered),
            ", ".join(f"{count:,} {how}" for how, count in sorted(load.counts.items())),
        ]
        return looks, "\n".join(lines)


def _descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def _stored(file: Path, answered: set[int]) -> str:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT content FROM messages WHERE content LIKE 'question %'")
        found = Counter(int(content.split()[1]) for (content,) in rows)
    lost, twice = sum(number not in found for number in answered), sum(count > 1 for count in found.values())
    verdict = "WRONG" if lost or twice else "kept"
    return (
        f"{verdict}: of {len(answered):,} answered turns {lost} are not in the store, {twice} are there twice"
    )


def verdicts(looks: Sequence[Look]) -> list[str]:
    """A line for each promise, each of which begins with whether it is kept."""
    quarter = len(looks) // 4
    second, last = looks[quarter : 2 * quarter], looks[-quarter:]

    def line(name: str, of: Callable[[Look], float], shown: Callable[[float], str], tolerance: float) -> str:
        before, after = median(map(of, second)), median(map(of, last))
        kept = "flat" if after <= before * (1 + tolerance) else "GROWS"
        return f"{kept}: {name}, {shown(before)} in the second quarter, {shown(after)} in the last"

    return [
        line("memory", lambda look: look.memory, lambda value: f"{value / 2**20:.1f} MiB", TOLERANCE),
        line("descriptors", lambda look: look.files, lambda value: f"{value:.1f}", TOLERANCE),
        line("threads", lambda look: look.threads, lambda value: f"{value:.1f}", 0.0),
        # What else the machine does is in it.
        line("p99 of a turn", lambda look: look.p99, milliseconds, 0.25),
        line("processor time a turn", lambda look: look.cost, milliseconds, TOLERANCE),
    ]


def _table(looks: Sequence[Look]) -> str:
    columns = ["after", "memory", "descriptors", "threads", "turns/s", "p99 of a turn", "CPU/turn"]
    return table(
        columns,
        [
            [
                f"{look.at / 60:.1f} min",
                f"{look.memory / 2**20:.1f} MiB",
                f"{look.files}",
                f"{look.threads}",
                f"{look.rate:.0f}",
                milliseconds(look.p99),
                milliseconds(look.cost),
            ]
            for look in looks[len(looks) // 12 - 1 :: len(looks) // 12]
        ],
    )


def draw(looks: Sequence[Look]) -> str:
    """The series as a picture."""
    panels = [
        Panel(title, {"llamaproxy": [(look.at / 60, of(look)) for look in looks]}, from_zero=True)
        for title, of in (
            ("memory, MiB", lambda look: look.memory / 2**20),
            ("descriptors", lambda look: look.files),
            ("p99 of a turn, ms", lambda look: look.p99 * 1e3),
        )
    ]
    return svg(panels, "minutes")


def run() -> str:
    """The hour, and its picture in the documentation."""
    looks, report = soak(MINUTES, RATE, SESSIONS, 1)
    FILE.write_text(draw(looks), encoding="utf-8")
    return f"{RATE:.0f} turns/s over {SESSIONS:,} sessions for {MINUTES:.0f} minutes\n\n{report}\n\nDrawn: {FILE.name}"


def main() -> int:
    """Runs, and prints what was seen; 1 if anything grew."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--rate", type=float, default=RATE, help="turns a second")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--series", type=Path, help="a file for all looks, as JSON")
    parser.add_argument("--draw", type=Path, help="a file for their picture, as SVG")
    options = parser.parse_args()
    open_many_files()
    print(machine(), flush=True)
    looks, report = soak(
        options.minutes,
        options.rate,
        options.sessions,
        options.seed,
        lambda look: print(
            f"\r{look.at:.0f} s, {look.memory / 2**20:.1f} MiB, {milliseconds(look.p99)} ",
            end="",
            file=sys.stderr,
        ),
    )
    print(f"\r{report}")
    if options.series:
        options.series.write_bytes(msgspec.json.encode(looks))
    if options.draw:
        options.draw.write_text(draw(looks), encoding="utf-8")
    return int("GROWS" in report or "WRONG" in report)


if __name__ == "__main__":
    sys.exit(main())
