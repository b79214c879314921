"""Requests that nobody should send, by the million, at a whole server in memory: `python -m chaos.fuzz`.

Each connection gets one to nine requests of a grammar (every endpoint, keys, commands, tools of apps, odd headers, odd
framing, JSON with anything in any place), mutated byte by byte, and cut anywhere by the network. The model answers,
fails, calls tools, or stays silent. What must never come: a 500, HTML, a word of Python,
an exception that nobody foresaw, a connection that stays silent. A run with the same seed is the same run.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.config.schema import Budget, Profile
from llamaproxy.seams.errors import ModelTimeout, ModelUnavailable
from llamaproxy.seams.interfaces import IDeltaReceiver, IModel
from llamaproxy.seams.types import ModelInfo, ModelRequest, ModelResult, Text, ToolCall
from llamaproxy.web.guard import Guard
from tests.support import Front, House, ScriptedModel, Wire

from .grammar import KEYS, TEXTS, Grammar

# Connections between two looks at whether the house is still in order, each with a house of its own.
ROUND = 2_000
FORBIDDEN = (b"<html", b"<HTML", b"Traceback", b"object at 0x", b"site-packages")


@implementer(IModel)
class Parrot(ScriptedModel):
    """Answers at once, or fails, or calls a tool; or never says a word."""

    def __init__(self, key: str, random: Random) -> None:
        super().__init__(key)
        self._random = random
        # The house's.
        self.clock: Clock

    def info(self) -> ModelInfo:
        """What lists show."""
        return self._info

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """Says a few words, in as many segments as it likes."""
        receiver.registerProducer(_Unheld())
        chance = self._random.random()
        if chance < 0.02:
            return self._late(receiver)
        if chance < 0.1:
            receiver.unregisterProducer()
            return fail(ModelUnavailable("no luck"))
        for _ in range(self._random.randrange(1, 4)):
            receiver.deltasReceived([Text("word "), Text(self._random.choice(TEXTS))])
        receiver.unregisterProducer()
        if request.tools and chance < 0.4:
            names = [tool["name"] for tool in request.tools]
            call = ToolCall(id="call_1", name=self._random.choice([*names, "nobody"]), arguments='{"a": "b"}')
            return succeed(ModelResult(finish_reason="tool_calls", tool_calls=(call,)))
        return succeed(ModelResult())

    def _late(self, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """Keeps silent until it has failed, or whoever asked has given it up."""

        def give_up() -> None:
            receiver.unregisterProducer()
            result.errback(ModelTimeout("nothing was said in time"))

        def cancel(_: Deferred[ModelResult]) -> None:
            waiting.cancel()
            receiver.unregisterProducer()

        result: Deferred[ModelResult] = Deferred(cancel)
        waiting = self.clock.callLater(200, give_up)
        return result


@implementer(IPushProducer)
class _Unheld:
    """A stream that is over before anybody could hold it."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


@implementer(ILogObserver)
class Judge:
    """Looks at what came, and keeps what must not have."""

    def __init__(self) -> None:
        self.connections = self.requests = self.answers = 0
        self.statuses: Counter[int] = Counter()
        self.complaints: list[tuple[str, bytes]] = []
        self._sent = b""

    def __call__(self, event: LogEvent) -> None:
        """Hears the log: what nobody foresaw is in it."""
        if event.get("log_failure") is not None:
            self._complain(f"an exception: {event['log_failure'].getTraceback()[-1500:]}")

    def begins(self, sent: bytes) -> None:
        """A client sends this."""
        self._sent = sent
        self.connections += 1

    def ends(self, heard: bytes, closed: bool, silent: bool) -> None:
        """This is what it got."""
        for status in _statuses(heard):
            self.answers += 1
            self.statuses[status] += 1
            if status == 500:
                self._complain(f"a 500: {heard[-400:]!r}")
        if any(word in heard for word in FORBIDDEN):
            self._complain(f"not for a client: {heard[-400:]!r}")
        if silent and not closed:
            self._complain("neither an answer nor an end, after ten minutes")

    def _complain(self, why: str) -> None:
        self.complaints.append((why, self._sent))


def _statuses(heard: bytes) -> list[int]:
    return [
        int(line[9:12])
        for line in heard.split(b"\r\n")
        if line.startswith(b"HTTP/1.1 ") and line[9:12].isdigit()
    ]


def play(connections: int, seed: int, judge: Judge, watch: Callable[[int], None] = lambda done: None) -> None:
    """Plays that many connections."""
    random = Random(seed)
    grammar = Grammar(random)
    robot = Profile(
        key=KEYS[1], client_tools="on", client_system="append", on_disconnect="grace:60", models=("other",)
    )
    callers = {
        "boss": Profile(key=KEYS[0], operator=True, commands="all"),
        "robot": robot,
        "guest": Profile(
            key=KEYS[2], commands="none", budget=Budget(tokens_per_hour=5000), housekeeping="off"
        ),
    }
    globalLogPublisher.addObserver(judge)
    try:
        for done in range(0, connections, ROUND):
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            parrots = [Parrot(key, random) for key in ("main", "other")]
            house = House(*parrots, folder=folder, limits=Limits(max_users=0))
            for parrot in parrots:
                parrot.clock = house.clock
            guard = Guard(callers=callers, trusted_proxies=("192.168.1.5",))
            front = Front(house, guard, max_body_bytes=200_000)
            for _ in range(min(ROUND, connections - done)):
                _one(front, house, grammar.connection(), random, judge)
            house.close()
            folder.rmdir()
            judge.requests = grammar.requests
            watch(done + min(ROUND, connections - done))
    finally:
        globalLogPublisher.removeObserver(judge)


def _one(front: Front, house: House, pieces: Sequence[bytes], random: Random, judge: Judge) -> None:
    judge.begins(b"".join(pieces))
    wire: Wire = front.connect(f"192.168.1.{random.randrange(1, 20)}")
    # As a real transport: to have none any more is no mistake.
    transport: Any = wire.transport
    transport.unregisterProducer = lambda: setattr(transport, "producer", None)
    for piece in pieces:
        if wire.transport.disconnecting or wire.transport.disconnected:
            break
        wire.channel.dataReceived(piece)
    if random.random() < 0.1:
        wire.channel.connectionLost(Failure(ConnectionLost()))
        judge.ends(wire.transport.value(), closed=True, silent=False)
        return
    for _ in range(10):
        house.clock.advance(60)
    closed = wire.transport.disconnecting or wire.transport.disconnected
    heard = wire.transport.value()
    judge.ends(heard, closed, silent=not heard)
    if not wire.transport.disconnected:
        wire.channel.connectionLost(Failure(ConnectionLost()))


def main() -> int:
    """Plays, and prints the counts; 1 if anything came that must not."""
    parser = argparse.ArgumentParser(prog="chaos.fuzz", description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    judge, began = Judge(), process_time()
    play(options.connections, options.seed, judge, lambda done: print(f"\r{done:,}", end="", file=sys.stderr))
    sent = f"{judge.connections:,} connections, {judge.requests:,} requests, {judge.answers:,} answers"
    took = f"{process_time() - began:,.0f} s of processor time"
    print(f"\r{sent} in {took}, seed {options.seed}: {len(judge.complaints)} complaints")
    print(", ".join(f"{count:,} x {status}" for status, count in sorted(judge.statuses.items())))
    for why, asked in judge.complaints[:10]:
        print(f"\n{why}\n  for {asked[:1500]!r}")
    return bool(judge.complaints)


if __name__ == "__main__":
    sys.exit(main())
