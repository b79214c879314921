"""Phones that leave in the middle of long turns, and a server that is killed there: `python -m chaos.phones`.

In each round some phones ask for work that takes three rounds of tools, and leave, each at its own moment. Then the
server is killed (SIGKILL), now and then once more while it tells what came meanwhile. The next message of each phone
must be told the answer. No call of a tool may have been made twice, and of one that was not made at all the model must
have been told that nobody knows its end. With `--store postgres` two servers share a private PostgreSQL, one of them is
killed, and the next messages go to either. What is printed are counts; the status is 1 if anything was not so.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any

from msgspec import Struct, field, json
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater, react

from llamaproxy.agent.turns.journal import UNKNOWN
from tests.acceptance.phone import OLLAMA, Phone, dial
from tests.acceptance.program import Program, ServerHome
from tests.acceptance.upstream import Call, Upstream
from tests.support import Response
from tests.tools.sql.servers import Missing, Postgres

from .fleet import new_postgres
from .program import TOLD, flags, listed

reactor: Any = installed_reactor

# How many calls the model makes in each round of its work.
CALLS = (1, 2, 1)
# Seconds: what the model takes at most for an answer, within which the server is killed, and after which a phone that
# hears nothing gives up.
THINKING, WITHIN, PATIENCE = 0.12, 0.3, 60.0
# How often the server is killed once more while it tells what came.
AGAIN = 0.5


class Work(Struct):
    """What one phone asked for, and how far the model has seen it done.

    `leaves_at` is the call to the model at which the phone leaves; `unsure` are the steps of which the model was told
    that nobody knows their end.
    """

    number: int
    leaves_at: int
    phone: Phone | None = None
    asked: int = 0
    unsure: set[int] = field(default_factory=set)
    begun: Deferred[None] = field(default_factory=Deferred)

    @property
    def words(self) -> str:
        """The phone's message."""
        return f"work {self.number}"

    @property
    def answer(self) -> str:
        """The model's."""
        return f"Done with {self.words}."


class Office:
    """Phones, the servers that they talk to, and the model; `postgres` is None for one server with a file."""

    def __init__(self, phones: int, random: Random, postgres: Postgres | None) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="phones-"))
        self.upstream = Upstream()
        self.homes = [ServerHome(self.folder / f"home{n}") for n in range(1 if postgres is None else 2)]
        self.servers: list[Program] = []
        self._postgres = postgres
        self._phones = phones
        self._random = random
        self._works: dict[str, Work] = {}

    async def open(self) -> None:
        """Starts model and servers."""
        await self.upstream.listen()
        self.upstream.script = self._think
        tools = self.folder / "shared"
        tools.mkdir()
        for home in self.homes:
            home.models = {"m": self.upstream.entry()}
            home.plugins = ("plugin_files",)
            home.door = {"on_disconnect": "detach"}
            if self._postgres is not None:
                home.door["store"] = self._postgres.url
            home.write()
            file = home.path / "plugins-enabled.json"
            content = json.decode(file.read_bytes())
            content["plugin_config"]["plugin_files"] = {"folder": str(tools)}
            file.write_bytes(json.encode(content))
            gates = {"tools": {"*": {"write": True, "read": True}}}
            (home.path / "gate-defaults.json").write_bytes(json.encode(gates))
            self.servers.append(await home.serve())

    async def close(self) -> None:
        """Ends them."""
        for server in self.servers:
            await server.put_down()
        await self.upstream.stop()

    async def round(self) -> None:
        """One death of a server, and what the phones hear then."""
        works = [self._new_work() for _ in range(self._phones)]
        await gatherResults([Deferred.fromCoroutine(self._begin(work)) for work in works])
        await deferLater(reactor, self._random.uniform(0, WITHIN))
        await self._kill(works)
        telling = gatherResults([Deferred.fromCoroutine(self._hear(work)) for work in works])
        if self._random.random() < AGAIN:
            await deferLater(reactor, self._random.uniform(0, WITHIN))
            await self._kill([])
            self.counts["kills while answers were told"] += 1
        await telling
        for work in works:
            self._judge(work)
            del self._works[work.words]

    async def _kill(self, works: list[Work]) -> None:
        victim = self._random.randrange(len(self.servers))
        for work in works:
            done = sum(self._lines(work).values())
            self.counts[f"works killed after {done} of {sum(CALLS)} calls"] += 1
        self.servers[victim].signal(SIGKILL)
        await self.servers[victim].ended()
        for work in works:
            if work.phone is not None:
                work.phone.hang_up()
        self.servers[victim] = await self.homes[victim].serve()
        self.counts["kills"] += 1

    # -- the phones

    def _new_work(self) -> Work:
        self.counts["works"] += 1
        work = Work(number=self.counts["works"], leaves_at=self._random.randint(1, len(CALLS)))
        self._works[work.words] = work
        return work

    def _address(self, work: Work) -> str:
        return f"127.{50 + work.number // 62_500}.{work.number // 250 % 250}.{work.number % 250 + 1}"

    async def _dial(self, work: Work) -> Phone:
        while True:
            try:
                return await dial(self._random.choice(self.homes).port, self._address(work))
            except ConnectError:
                await deferLater(reactor, 0.05)

    async def _begin(self, work: Work) -> None:
        work.phone = await self._dial(work)
        work.phone.ask(OLLAMA, work.words)
        await work.begun

    async def _hear(self, work: Work) -> None:
        """The next message, sent again until its answer is whole."""
        while True:
            phone = await self._dial(work)
            phone.ask(OLLAMA, "and what came of it?")
            giving_up = reactor.callLater(PATIENCE, phone.hang_up)
            heard = await phone.closed()
            if not giving_up.active():
                self.problems.append(f"{work.words}: silence for {PATIENCE:g} s")
                self.counts["messages that hung"] += 1
                return
            giving_up.cancel()
            if heard.endswith(OLLAMA.end):
                break
            self.counts["messages sent again"] += 1
            await deferLater(reactor, 0.05)
        text = OLLAMA.text(Response(heard))
        if work.answer not in text:
            self.counts["answers lost"] += 1
            self.problems.append(f"{work.words}: the next message heard {text!r}")
        else:
            self.counts["answers told"] += 1

    # -- the model

    def _think(self, call: Call) -> None:
        said = [*call.history, (call.role, call.question)]
        start = max(index for index, (role, _) in enumerate(said) if role == "user")
        work = self._works.get(said[start][1])
        results = [content for role, content in said[start:] if role == "tool"]
        if work is not None:
            work.asked += 1
            work.unsure |= {step for step, result in enumerate(results, 1) if result == UNKNOWN}
            if not work.begun.called:
                work.begun.callback(None)
            if work.asked == work.leaves_at and work.phone is not None:
                work.phone.hang_up()
        reactor.callLater(self._random.uniform(0, THINKING), self._answer, call, work, len(results))

    def _answer(self, call: Call, work: Work | None, done: int) -> None:
        if call.dropped.called:
            return
        if work is None:
            call.answer("Very well.")
            return
        if done == sum(CALLS):
            call.answer(work.answer)
            return
        first = 0
        for count in CALLS:
            if done == first:
                call.call_tool("files", *(self._step(work, first + each) for each in range(1, count + 1)))
            first += count

    def _step(self, work: Work, step: int) -> str:
        write = {"operation": "write", "path": f"{work.number}-{step}.txt", "append": True, "content": "x\n"}
        return json.encode(write).decode()

    # -- what must be so

    def _lines(self, work: Work) -> Counter[int]:
        """How often each step was made."""
        files = {
            step: self.folder / "shared" / f"{work.number}-{step}.txt" for step in range(1, sum(CALLS) + 1)
        }
        return Counter(
            {step: file.read_bytes().count(b"\n") for step, file in files.items() if file.exists()}
        )

    def _judge(self, work: Work) -> None:
        made = self._lines(work)
        for step in range(1, sum(CALLS) + 1):
            self.counts["calls of tools"] += made[step]
            if made[step] > 1:
                self.counts["calls made twice"] += 1
                self.problems.append(f"{work.words}: step {step} was made {made[step]} times")
            if not made[step] and step not in work.unsure:
                self.counts["calls lost"] += 1
                self.problems.append(f"{work.words}: step {step} was not made, and nobody was told")
        self.counts["calls whose end nobody knew"] += len(work.unsure)


async def play(
    rounds: int, phones: int, seed: int, postgres: Postgres | None, watch: Callable[[Office], None]
) -> tuple[Counter[str], list[str]]:
    """Plays that many rounds; the counts, and what was not as it must be."""
    office = Office(phones, Random(seed), postgres)
    await office.open()
    try:
        for _ in range(rounds):
            await office.round()
            office.counts["rounds"] += 1
            watch(office)
    finally:
        await office.close()
    return office.counts, office.problems


async def main(_: Any) -> None:
    """Plays, and prints the counts behind each round."""
    parser = flags("chaos.phones", __doc__, rounds=50, phones=5, seed=1)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    try:
        postgres = new_postgres() if options.store == "postgres" else None
    except Missing as missing:
        sys.exit(str(missing))

    def watch(office: Office) -> None:
        kind = f"{options.store}, seed {options.seed}"
        print(f"{len(office.problems)} problems with {kind}: {listed(office.counts)}", flush=True)

    try:
        _, problems = await play(options.rounds, options.phones, options.seed, postgres, watch)
    finally:
        if postgres is not None:
            postgres.end()
    if problems:
        print(*problems[:TOLD], sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    react(main)
