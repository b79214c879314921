"""A server that is killed again and again while people talk and its model misbehaves: `python -m chaos.kills`.

Every turn whose last frame somebody saw must be in the store, once, with its answer. Turns that broke off may be there
or not. What is printed are counts; the status is 1 if anything was lost or told twice.
"""

import signal
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater, react

from llamaproxy.store.database import Database
from tests.acceptance.phone import OLLAMA, OPENAI, dial
from tests.acceptance.program import Program, ServerHome
from tests.acceptance.upstream import Call, Upstream

from .program import finish, flags, progress

reactor: Any = installed_reactor


def _cut_later(call: Call) -> None:
    call.say("half ")
    call.cut()


def _break(call: Call) -> None:
    call.say("half ")
    call.send(b"data: {{{\n\n")
    call.finish()


def _fail(call: Call) -> None:
    call.refuse(500, b'{"error":{"message":"no luck","type":"x"}}')


def _greet(call: Call) -> None:
    call.refuse(200, b"<html>Welcome</html>", "text/html")


# What a model's server does instead of an answer.
FAULTS: dict[str, Callable[[Call], None]] = {
    "cut in the middle": _cut_later,
    "cut before the first word": Call.cut,
    "500": _fail,
    "HTML": _greet,
    "broken frame": _break,
}
FAULT_SHARE = 0.1
# What is asked once, and stored more often.
TWICE = """
    SELECT content, count(*) FROM messages WHERE role = 'user' GROUP BY session_id, content HAVING count(*) > 1
"""
# Seconds after which a client that hears nothing gives up.
PATIENCE = 20.0


class Town:
    """People who talk, a server between them and a model, and what they were told.

    The model fails at a share of `faults`, and else answers after up to `slowest` seconds.
    """

    def __init__(
        self, people: int, random: Random, faults: float = FAULT_SHARE, slowest: float = 0.05
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.confirmed: dict[str, list[int]] = {f"127.0.2.{1 + number}": [] for number in range(people)}
        self.upstream = Upstream()
        self.home = ServerHome(Path(tempfile.mkdtemp(prefix="kills-")))
        self.talking = True
        self._random, self._faults, self._slowest = random, faults, slowest
        self._number = 0
        self._up: Deferred[None] = Deferred()

    async def open(self) -> Program:
        """Starts model and server."""
        await self.upstream.listen()
        self.upstream.script = self._answer
        self.home.models = {"m": self.upstream.entry()}
        self.home.write()
        return await self.serve()

    async def serve(self) -> Program:
        """Starts the server; those who wait for it go on."""
        server = await self.home.serve()
        up, self._up = self._up, Deferred()
        up.callback(None)
        return server

    async def talk(self, address: str) -> None:
        """One person: asks, waits for the answer, asks the next."""
        while self.talking:
            self._number += 1
            number = self._number
            dialect = self._random.choice((OLLAMA, OPENAI))
            try:
                phone = await dial(self.home.port, address)
            except ConnectError:
                self.counts["knocks at a closed door"] += 1
                await deferLater(reactor, 0.05)
                continue
            phone.ask(dialect, f"question {number}")
            giving_up = reactor.callLater(PATIENCE, phone.hang_up)
            heard = await phone.closed()
            if giving_up.active():
                giving_up.cancel()
            else:
                self.counts["turns that hung"] += 1
            if heard.endswith(dialect.end) and f"answer {number}.".encode() in heard:
                self.confirmed[address].append(number)
                self.counts["turns answered"] += 1
            else:
                self.counts["turns broken off"] += 1

    def _answer(self, call: Call) -> None:
        if self._random.random() < self._faults:
            name = self._random.choice(list(FAULTS))
            self.counts[f"model: {name}"] += 1
            FAULTS[name](call)
            return
        number = call.question.rpartition(" ")[2]
        reactor.callLater(self._random.random() * self._slowest, self._say, call, f"answer {number}.")

    def _say(self, call: Call, text: str) -> None:
        if not call.dropped.called:
            call.answer(text)

    def missing(self) -> list[str]:
        """What was confirmed and is not there once, with its answer."""
        database = Database(self.home.path / "sessions.db", lambda: 0.0)
        wrong = []
        try:
            [(verdict,)] = database.connection.execute("PRAGMA integrity_check").fetchall()
            if verdict != "ok":
                wrong.append(f"the file: {verdict}")
            for address, numbers in self.confirmed.items():
                stored = database.load(f"llama-{address}", 1_000_000)
                texts = [m.content for m in stored.messages] if stored else []
                for number in numbers:
                    places = [place for place, text in enumerate(texts) if text == f"question {number}"]
                    if len(places) != 1 or texts[places[0] + 1 : places[0] + 2] != [f"answer {number}."]:
                        wrong.append(f"{address}: question {number} is there {len(places)} times")
            # Also beside the branch that goes on, and also of those whose end nobody saw.
            wrong += [f"{text} is stored {times} times" for text, times in database.connection.execute(TWICE)]
        except sqlite3.Error as error:
            wrong.append(f"the file: {error}")
        finally:
            database.close()
        return wrong


async def play(
    rounds: int, people: int, seed: int, watch: Callable[[int], None]
) -> tuple[Counter[str], list[str]]:
    """Plays that many ends of the server; the counts, and what was lost."""
    random = Random(seed)
    town = Town(people, random)
    server = await town.open()
    talking = [Deferred.fromCoroutine(town.talk(address)) for address in town.confirmed]
    wrong: list[str] = []
    for done in range(rounds):
        await deferLater(reactor, 0.2 + random.random())
        number = random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        town.counts[number.name] += 1
        server.signal(number)
        await server.ended()
        wrong += town.missing()
        server = await town.serve()
        watch(done + 1)
    town.talking = False
    await gatherResults(talking)
    server.signal(signal.SIGTERM)
    await server.ended()
    await town.upstream.stop()
    return town.counts, [*wrong, *town.missing()]


async def main(_: Any) -> None:
    """Plays, and prints the counts."""
    options = flags("chaos.kills", __doc__, rounds=50, people=20, seed=1).parse_args()
    counts, wrong = await play(options.rounds, options.people, options.seed, progress)
    ends = f"{options.rounds} ends of the server, seed {options.seed}"
    finish(f"{ends}: {len(wrong)} turns lost or told twice", counts, wrong)


if __name__ == "__main__":
    react(main)
