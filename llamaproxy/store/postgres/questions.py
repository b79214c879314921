"""What one node asks the others: told to all, answered in a table, and over once everybody who lives has answered."""

from collections.abc import Collection
from typing import Any
from uuid import uuid4

from msgspec import Struct, json
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from ...seams.names import LONGEST_ID
from .database import Database
from .store import PostgresSessionStore
from .threads import Phase

# Seconds for the others' answers; a node that hangs must not hold anybody up.
TIME_TO_ANSWER = 2.0


class _Question(Struct):
    """One that is open, with the nodes that have not answered yet."""

    missing: set[int]
    done: Deferred[None]
    overdue: IDelayedCall


class Questions:
    """Those that this node has asked."""

    def __init__(self, store: PostgresSessionStore, clock: Any) -> None:
        self._store = store
        self._clock = clock
        self._open: dict[str, _Question] = {}

    def ask(self, what: str, about: str, others: Collection[int], job: int = 0) -> Deferred[list[Any]]:
        """Asks the other nodes; fires with what those say that answer in time."""
        node = self._store.node
        if not others or node is None or len(about) > LONGEST_ID:
            return succeed([])
        name = uuid4().hex
        done: Deferred[None] = Deferred()
        overdue = self._clock.callLater(TIME_TO_ANSWER, self._end, name)
        self._open[name] = _Question(set(others), done, overdue)
        asked = self._store.tell({"ask": what, "about": about, "job": job, "question": name, "by": node})
        asked.addErrback(lambda failure: self._end(name, failure))
        return done.addCallback(
            lambda _: self._store.threads.write(lambda db: _collect(db, name), Phase.AFTER)
        )

    def was_answered(self, name: str, node: int) -> None:
        """A node has answered a question, which may be another one's."""
        question = self._open.get(name)
        if question is not None:
            question.missing.discard(node)
            if not question.missing:
                self._end(name)

    def wait_only_for(self, living: Collection[int]) -> None:
        """Of nodes that are gone there will be no answer."""
        for name, question in list(self._open.items()):
            question.missing.intersection_update(living)
            if not question.missing:
                self._end(name)

    def end(self) -> None:
        """Waits for no answer any more."""
        for name in list(self._open):
            self._end(name)

    def _end(self, name: str, failure: Any = None) -> None:
        question = self._open.pop(name, None)
        if question is None:
            return
        if question.overdue.active():
            question.overdue.cancel()
        if failure is None:
            question.done.callback(None)
        else:
            question.done.errback(failure)


def answer(store: PostgresSessionStore, question: str, said: Any) -> Deferred[None]:
    """Answers the question of another node, which then is told."""
    text, node = json.encode(said).decode(), store.node

    def write(database: Database) -> None:
        database.connection.execute("INSERT INTO answers VALUES (?, ?, ?)", (question, node, text))

    store.threads.quietly(write)
    return store.tell({"answered": question, "by": node})


def _collect(database: Database, question: str) -> list[Any]:
    rows = database.connection.execute(
        "DELETE FROM answers WHERE question = ? RETURNING answer", (question,)
    ).fetchall()
    return [json.decode(said) for (said,) in rows]
