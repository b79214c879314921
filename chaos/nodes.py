"""Many machines, and what may happen to them: nodes die, stand still and are shut down, and the database is restarted.

`python -m chaos.nodes [ROUNDS] [SEED]`, or `make chaos-nodes`. Three servers share a private PostgreSQL, forty people
talk to any of them. After each round, every turn whose last frame somebody saw must be in the history exactly once, no
two turns of a session may have been with the model at the same time, what a dead node had begun must have gone on
elsewhere within five seconds after it was sent again there, and everybody must have got an answer since. It ends with
the counts, and with status 1 if anything was not so.
"""

import os
import signal
import sys
from collections import Counter
from random import Random
from typing import Any

from msgspec import Struct, field
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread

from llamaproxy.store.postgres.database import Reader

from .clients import Person
from .fleet import Fleet, Node, new_postgres

reactor: Any = installed_reactor

# Seconds: what a dead node had begun goes on within the first; everybody has an answer within the second.
GOES_ON, NOTHING_HANGS = 5.0, 60.0
LOOK = 0.1
# Rounds after which it says how it stands.
TELL_AFTER = 25
FAULTS = ("kill", "stop", "fast", "immediate", "term")


class Findings(Struct):
    """What a run has found; `went_on` is how long each session of a dead node took to go on, in seconds since its
    message was sent again, and `since_death` since its node was killed.
    """

    rounds: Counter[str]
    turns: int = 0
    tries: int = 0
    lost: int = 0
    twice: int = 0
    overlaps: int = 0
    late: int = 0
    hanging: int = 0
    went_on: list[float] = field(default_factory=list)
    since_death: list[float] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.lost or self.twice or self.overlaps or self.late or self.hanging)

    def __str__(self) -> str:
        rounds = ", ".join(f"{count} {fault}" for fault, count in sorted(self.rounds.items()))
        return (
            f"rounds: {rounds}\nturns answered: {self.turns}, sent again: {self.tries}\n"
            f"lost: {self.lost}, twice: {self.twice}, overlaps at the model: {self.overlaps}, "
            f"hanging: {self.hanging}\nsessions of dead nodes that went on elsewhere: {len(self.went_on)}, "
            f"{_spread(self.went_on)} after they were sent again ({_spread(self.since_death)} after the death), "
            f"later than {GOES_ON:g} s: {self.late}"
        )


def _spread(seconds: list[float]) -> str:
    took = sorted(seconds) or [0.0]
    return f"half of them within {took[len(took) // 2]:.2f} s and the slowest {took[-1]:.2f} s"


class Chaos:
    """One run."""

    def __init__(self, fleet: Fleet, people: int, seed: int, freeze: float = 20.0) -> None:
        self._fleet = fleet
        self._random = Random(seed)
        self._freeze = freeze
        self.findings = Findings(Counter())
        self.people = [
            Person(number, fleet, Random(self._random.random()), self._heard) for number in range(people)
        ]
        self._talking: list[Deferred[None]] = []
        self._quiet: set[Person] = set()
        self._all_heard: Deferred[None] | None = None
        self.problems: list[str] = []
        # Sessions whose turns were all found, with their version and how many those were.
        self._checked: dict[str, tuple[int, int]] = {}

    async def run(self, faults: list[str]) -> Findings:
        """One round for each of the faults."""
        self._talking = [Deferred.fromCoroutine(person.talk()) for person in self.people]
        for fault in faults:
            self.findings.rounds[fault] += 1
            await deferLater(reactor, self._random.uniform(0.2, 1.5))
            await getattr(self, f"_{fault}")(self._random.choice(self._fleet.nodes))
            await self._everybody_is_answered(fault)
            await deferToThread(self._compare, fault)
            if sum(self.findings.rounds.values()) % TELL_AFTER == 0:
                self._tell()
        for person in self.people:
            person.stopping = True
        await DeferredList(self._talking)
        self._checked.clear()
        await deferToThread(self._compare, "the end")
        self._count()
        return self.findings

    def _count(self) -> None:
        self.findings.turns = sum(person.turns for person in self.people)
        self.findings.tries = sum(person.tries for person in self.people)

    def _tell(self) -> None:
        self._count()
        print(self.findings, file=sys.stderr, flush=True)

    # -- what happens

    async def _kill(self, node: Node) -> None:
        begun = [(person, person.text) for person in self.people if person.at is node]
        for person, _ in begun:
            person.again.clear()
        node.send(signal.SIGKILL)
        at = reactor.seconds()
        await node.gone()
        waiting, told = begun, False
        while waiting and reactor.seconds() < at + NOTHING_HANGS:
            await deferLater(reactor, LOOK)
            waiting = [each for each in waiting if not self._went_on(*each, at)]
            if waiting and not told and reactor.seconds() > at + GOES_ON:
                told = True
                self.problems += [self._slow(*each, at) for each in waiting]
        self.findings.late += len(waiting)
        node.start()
        await self._fleet.ready(node)

    def _went_on(self, person: Person, text: str, at: float) -> bool:
        """Whether another node has what one that was killed had begun; or it was answered before that."""
        went_on = self._fleet.model.begun.get(text, 0.0)
        if went_on <= at:
            return text in person.confirmed.get(text.split()[0], ())
        # Until it is sent again, no node can do anything about it.
        took = went_on - person.again.get(text, at)
        self.findings.went_on.append(took)
        self.findings.since_death.append(went_on - at)
        self.findings.late += took > GOES_ON
        return True

    def _slow(self, person: Person, text: str, at: float) -> str:
        again = person.again.get(text)
        sent = (
            "and was not sent again yet" if again is None else f"and was sent again {again - at:.2f} s after"
        )
        return (
            f"{text} did not go on within {GOES_ON:g} s after the death of its node, {sent} it, "
            f"at a load of {os.getloadavg()[0]:.0f}: {'; '.join(person.story)}"
        )

    async def _stop(self, node: Node) -> None:
        node.send(signal.SIGSTOP)
        await deferLater(reactor, self._freeze)
        node.send(signal.SIGCONT)

    async def _fast(self, node: Node) -> None:
        assert self._fleet.postgres is not None
        await deferToThread(self._fleet.postgres.restart, signal.SIGINT)

    async def _immediate(self, node: Node) -> None:
        assert self._fleet.postgres is not None
        await deferToThread(self._fleet.postgres.restart, signal.SIGQUIT)

    async def _term(self, node: Node) -> None:
        node.send(signal.SIGTERM)
        if status := await node.gone():
            self.problems.append(f"{node.name} ended with {status}")
        node.start()
        await self._fleet.ready(node)

    # -- what must be so

    async def _everybody_is_answered(self, fault: str) -> None:
        self._quiet, self._all_heard = set(self.people), Deferred()
        try:
            await self._all_heard.addTimeout(NOTHING_HANGS, reactor)
        except Exception:
            self.findings.hanging += len(self._quiet)
            self.problems.append(f"after {fault}: no answer for {sorted(each.text for each in self._quiet)}")
        self._all_heard = None

    def _heard(self, person: Person) -> None:
        self._quiet.discard(person)
        if not self._quiet and self._all_heard is not None and not self._all_heard.called:
            self._all_heard.callback(None)

    def _compare(self, when: str) -> None:
        """Looks for every turn that was answered, in the database; and at what the model has seen.

        Of sessions that were not written since then, what was found once is believed until the end.
        """
        confirmed = {
            f"llama-127.0.0.1-{session}": list(texts)
            for person in self.people
            for session, texts in list(person.confirmed.items())
        }
        reader = Reader(self._fleet.arguments())
        try:
            versions = dict(reader.connection.execute("SELECT session_id, version FROM sessions").fetchall())
            for session_id, texts in confirmed.items():
                now = versions.get(session_id, 0), len(texts)
                if self._checked.get(session_id) == now:
                    continue
                self._checked[session_id] = now
                stored = reader.load(session_id, 100_000)
                contents = [] if stored is None else [message.content for message in stored.messages]
                for text in texts:
                    asked, answered = contents.count(text), contents.count(f"{text} answered")
                    if not (asked and answered):
                        self.findings.lost += 1
                        self.problems.append(
                            f"after {when}: {text} is lost: {asked} asked, {answered} answered"
                        )
                    elif asked > 1 or answered > 1:
                        self.findings.twice += 1
                        self.problems.append(
                            f"after {when}: {text} is there {asked} times, {answered} answered"
                        )
        finally:
            reader.connection.close()
        overlaps = self._fleet.model.overlaps
        self.findings.overlaps += len(overlaps)
        self.problems += [f"after {when}: {text} overlapped another turn" for text in overlaps]
        overlaps.clear()


async def main(_: Any, rounds: str = "300", seed: str = "1") -> None:
    """Runs, and prints what came of it."""
    fleet = Fleet(3, new_postgres())
    try:
        await fleet.start()
        chaos = Chaos(fleet, 40, int(seed))
        faults = [FAULTS[number % len(FAULTS)] for number in range(int(rounds))]
        print(await chaos.run(faults))
        print(*chaos.problems, sep="\n")
    finally:
        await fleet.end()
        if fleet.postgres is not None:
            fleet.postgres.end()
    if not chaos.findings.is_good:
        sys.exit(1)


if __name__ == "__main__":
    react(main, sys.argv[1:])
