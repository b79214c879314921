"""The other nodes, as `IPeers`: what one tells or asks the others goes over the database that they share."""

from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import Any, TypeVar

from msgspec import convert, json
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ...seams.errors import StoreError
from ...seams.interfaces import IPeer, IPeers
from ...seams.limits import Ruling, Used
from ...seams.names import FIRST_SHORT_ID, LONGEST_ID
from ...seams.types import SessionCard
from . import budgets, turns, users
from .database import Database, Reader
from .questions import Questions, answer
from .store import PostgresSessionStore
from .threads import Phase

T = TypeVar("T")

# Seconds between two looks who lives, and how many users each has.
CENSUS = 2.0
# And so many of them between two times when what no budget counts any more is deleted: an hour.
TIDYING = 1800
MOST_DIGITS = 16
# Bytes that a notification takes.
LONGEST_TOLD = 7999


@implementer(IPeers)
class Nodes:
    """The nodes with one store."""

    log = Logger()

    def __init__(self, store: PostgresSessionStore, clock: Any) -> None:
        self._store = store
        store.heard, store.entered = self._hear, self._entered
        self._peer: IPeer
        # The users here, and of the other nodes that live.
        self._live = 0
        self._others: dict[int, int] = {}
        self.names: Sequence[str] = ()
        self._users = users.Users()
        self._questions = Questions(store, clock)
        # The first number of this process, which its short ids keep.
        self._number = 0
        self._censuses = 0
        self._census = LoopingCall(self._count)
        self._census.clock = clock

    @property
    def processes(self) -> int:
        """See `IPeers`."""
        return 1 + len(self._others)

    @property
    def number(self) -> int:
        """See `IPeers`; 0, which nobody has, while the database is away."""
        return self._store.node or 0

    def join(self, peer: IPeer) -> None:
        """See `IPeers`."""
        self._peer = peer

    def short_ids(self) -> Iterator[int]:
        """See `IPeers`. Count, node, and how many digits the node has: so no two nodes give the same."""
        for number in count(FIRST_SHORT_ID):
            yield int(f"{number}{self._number}{len(str(self._number))}")

    def tell_live(self, number: int) -> None:
        """See `IPeers`."""
        self._live = number

    def live_in_all(self) -> int:
        """See `IPeers`. Of other nodes, how many had when they were counted last."""
        return self._live + sum(self._others.values())

    def tell_user(self, session_id: str, source: str, talks: bool) -> None:
        """See `IPeers`."""
        self._users.tell(session_id, source, talks)

    def admit(self, session_id: str, source: str, most: int, share: int) -> Deferred[str] | None:
        """See `IPeers`."""
        node = self._store.node
        if node is None:
            return fail(self._store.threads.away())

        def admitted(in_the_way: str) -> str:
            if not in_the_way:
                self._users.admitted(session_id)
            return in_the_way

        asked = self._store.threads.write(
            lambda database: users.admit(database, node, session_id, source, most, share), Phase.BEFORE
        )
        return asked.addCallback(admitted)

    def tell_used(self, used: Used) -> None:
        """See `IPeers`."""
        node = self.number
        self._store.threads.ask_quietly(used.source, lambda database: budgets.ask_use(database, node, used))

    def rule(self, ruling: Ruling) -> Deferred[None]:
        """See `IPeers`. It is written down for nodes to come, and told in the order in which it is."""
        text = json.encode(ruling).decode()
        told = json.encode({"obey": text})
        if len(told) > LONGEST_TOLD:
            told = json.encode({"obey": ""})

        def write(database: Database) -> None:
            database.connection.execute(
                """
                WITH kept AS (
                    INSERT INTO rulings (subject, key, ruling) VALUES (?, ?, ?)
                    ON CONFLICT (subject, key) DO UPDATE SET ruling = excluded.ruling RETURNING 1
                )
                SELECT pg_notify(?, ?) FROM kept
                """,
                (ruling.what, ruling.key, text, turns.CHANNEL, told.decode()),
            )

        written = self._store.threads.write(write, Phase.AFTER)
        return written.addCallback(lambda _: self._peer.obey(ruling))

    def sessions(self) -> Deferred[Sequence[SessionCard]]:
        """See `IPeers`."""
        return self._ask("cards", "").addCallback(_cards).addErrback(_instead, ())

    def has_here(self, session_id: str) -> bool:
        """See `IPeers`. Every node may have every session."""
        return True

    def gone(self, numbers: Collection[int]) -> Deferred[Collection[int]]:
        """See `IPeers`. The database is asked: the last census may be older than what a node has just left behind."""
        others = set(numbers) - {self.number}
        if not others:
            return succeed(())

        def look(reader: Reader) -> Collection[int]:
            return others - {number for number, *_ in turns.living(reader.connection)}

        return self._store.threads.read(look)

    def remove(self, session_id: str) -> None:
        """See `IPeers`. Every node can delete every session."""

    def full_id(self, session_id: str) -> Deferred[str]:
        """See `IPeers`."""
        if not (session_id.isdecimal() and len(session_id) <= MOST_DIGITS):
            return succeed(session_id)
        asked = self._ask("cards", "").addCallback(_cards)
        return asked.addCallback(_id_of, int(session_id), session_id)

    def stop_turn(self, session_id: str, job: int) -> Deferred[bool]:
        """See `IPeers`."""

        def holder(reader: Reader) -> bool:
            rows = reader.connection.execute("SELECT 1 FROM turns WHERE session_id = ?", (session_id,))
            return rows.fetchone() is not None

        def found(is_held: bool) -> Deferred[bool]:
            # A job that waits may do so without a place in the line, behind another one of its node.
            return self._ask("stop", session_id, job).addCallback(_any) if is_held else succeed(False)

        return self._store.threads.read(holder).addCallback(found)

    def keep_turn(self, session_id: str, message: str) -> None:
        """See `IPeers`."""
        self._tell({"keep": session_id, "message": message, "by": self._store.node})

    def forget(self, session_id: str) -> None:
        """See `IPeers`."""
        self._tell({"forget": session_id})

    # -- what the store says

    def _entered(self, node: int | None) -> None:
        if node is None:
            self._questions.end()
            self._peer.break_off(
                self._store.threads.away("the connection by which the other nodes see this one broke")
            )
            return
        if self._number:
            # What was begun under its former number goes on under this one.
            self._peer.take_up()
        self._number = self._number or node
        self._users.begin_anew()
        if not self._census.running:
            self._census.start(CENSUS, now=True)
        # What was told while this node did not listen.
        self._read_rulings()
        self._store.threads.read(budgets.all_used).addCallbacks(self._peer.count_anew, self._not_done)

    async def start(self) -> None:
        """Counts the others for the first time."""
        await self._count()

    def stop(self) -> None:
        """Counts no more."""
        if self._census.running:
            self._census.stop()

    def _hear(self, what: dict[str, Any]) -> None:
        match what:
            case {"obey": ""}:
                self._read_rulings()
            case {"obey": str(text)}:
                self._obey_all([text])
            case {"keep": str(session_id), "message": str(message), "by": int(by)} if by != self._store.node:
                self._peer.keep_turn(session_id, message)
            case {"forget": str(session_id)}:
                self._users.forgotten(session_id)
                self._peer.forget(session_id)
            case {"used": str(source), "messages": int(messages), "tokens": int(tokens), "by": int(by)} if (
                by != self._store.node
            ):
                self._peer.count(Used(source, messages, tokens))
            case {"ask": "cards", "question": str(question), "by": int(by)} if by != self._store.node:
                self._answer(question, [*self._peer.cards()])
            case {"ask": "stop", "about": str(about), "question": str(question), "by": int(by)} if (
                by != self._store.node
            ):
                self._answer(question, self._peer.stop_turn(about, int(what.get("job", 0))))
            case {"answered": str(question), "by": int(by)}:
                self._questions.was_answered(question, by)

    def _read_rulings(self) -> None:
        self._store.threads.read(_rulings).addCallbacks(self._obey_all, self._not_done)

    def _obey_all(self, texts: Sequence[str]) -> None:
        for text in texts:
            try:
                self._peer.obey(json.decode(text, type=Ruling))
            except Exception:
                # Of a version that rules over something else.
                self.log.failure("a ruling of another node is not understood")

    # -- the census

    def _count(self) -> Deferred[None]:
        node, live = self._store.node, self._live
        if node is None:
            return succeed(None)
        news = self._users.news()
        is_time_to_tidy = self._censuses % TIDYING == 0
        self._censuses += 1

        def count(database: Database) -> list[tuple[int, int, str]]:
            connection = database.connection
            connection.execute("UPDATE nodes SET users = ? WHERE node = ? AND users <> ?", (live, node, live))
            users.write(database, node, news)
            if is_time_to_tidy:
                budgets.forget_old(database)
            living = turns.living(connection)
            self._store.line.bury_dead(database, {number for number, *_ in living})
            connection.execute("DELETE FROM answers WHERE at < now() - interval '1 minute'")
            return living

        counted = self._store.threads.write(count, Phase.AFTER)
        return counted.addCallbacks(self._counted, self._not_counted, errbackArgs=(news,))

    def _counted(self, living: Sequence[tuple[int, int, str]]) -> None:
        before, others = self._others, [each for each in living if each[0] != self._store.node]
        self._others = {node: live for node, live, _ in others}
        self.names = tuple(name for *_, name in others)
        if before.keys() - self._others.keys():
            self._peer.take_up()
        self._questions.wait_only_for(self._others)

    def _not_counted(self, failure: Failure, news: users.News) -> None:
        self._users.not_written(news)
        self._not_done(failure)

    def _ask(self, what: str, about: str, job: int = 0) -> Deferred[list[Any]]:
        return self._questions.ask(what, about, self._others, job)

    def _answer(self, question: str, said: Any) -> None:
        answer(self._store, question, said).addErrback(self._not_done)

    def _tell(self, what: dict[str, Any]) -> None:
        if all(len(str(each)) <= LONGEST_ID for each in what.values()):
            self._store.tell(what).addErrback(self._not_done)

    def _not_done(self, failure: Any) -> None:
        """The database is away, which is in the log; the next census, or the next life, makes up for it."""
        failure.trap(StoreError)


def _rulings(reader: Reader) -> list[str]:
    return [text for (text,) in reader.connection.execute("SELECT ruling FROM rulings").fetchall()]


def _cards(answers: Sequence[Any]) -> list[SessionCard]:
    return [convert(card, SessionCard) for cards in answers for card in cards]


def _id_of(cards: Sequence[SessionCard], short_id: int, otherwise: str) -> str:
    return next((card.session_id for card in cards if card.short_id == short_id), otherwise)


def _any(answers: Sequence[Any]) -> bool:
    return any(answers)


def _instead(failure: Any, value: T) -> T:
    failure.trap(StoreError)
    return value
