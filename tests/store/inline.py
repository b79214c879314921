"""The real stores on the reactor's own thread, each over a place that outlives the processes which have it open.

All of it is as it is: statements, batches, turns between nodes. Only the threads are gone, so that a test need not wait
for them: what a node tells is heard before anything else goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from llamaproxy.seams.names import FIRST_SHORT_ID
from llamaproxy.seams.types import Message, Spot
from llamaproxy.store import sqlite
from llamaproxy.store.database import Reader as SqliteReader
from llamaproxy.store.reading import Reading
from llamaproxy.store.rows import from_row
from llamaproxy.store.sqlite import SqliteSessionStore
from llamaproxy.store.thread import OneThread
from tests.store.postgres import INSTALLED, fresh_database
from tests.stores import Gate, Tree
from tests.support import UNIX_TIME, Reactor

try:
    from llamaproxy.store.postgres import database, line, threads
    from llamaproxy.store.postgres.connection import Connection
    from llamaproxy.store.postgres.nodes import Nodes
    from llamaproxy.store.postgres.pulse import Pulse
    from llamaproxy.store.postgres.store import PostgresSessionStore
    from llamaproxy.store.postgres.turns import enter
except ImportError:
    Connection = Nodes = PostgresSessionStore = Pulse = object  # type: ignore[assignment,misc]

T = TypeVar("T")
EVERYTHING = 10**6
# Empties all tables but those that say what they are.
EMPTY = """
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'public' AND tablename NOT IN ('schema_version', 'store')
        LOOP EXECUTE 'DELETE FROM ' || quote_ident(name); END LOOP;
    END $$
"""

# Databases that no test has at the moment: it takes a while to make one.
_free: list[dict[str, Any]] = []


class _Kept(Connection):
    """Takes a while to make, for which a process has to be made: a closed one is another's."""

    idle: ClassVar[dict[str, list["_Kept"]]] = {}
    mine: list["_Kept"]

    @classmethod
    def made(cls, arguments: dict[str, Any]) -> "_Kept":
        """One that nobody has."""
        idle = cls.idle.setdefault(arguments["dbname"], [])
        connection = idle.pop() if idle else cls(arguments)
        connection.mine = idle
        return connection

    def close(self) -> None:
        if not self.broken:
            self.raw.execute("SELECT pg_advisory_unlock_all(); UNLISTEN *; RESET ALL")
            self.mine.append(self)


class _NoThread(OneThread):
    """Does it here and now."""

    def heard(self) -> None:
        """Before anybody is told what came of it."""

    def start(self) -> None:
        self._thread = Thread()

    def stop(self) -> None:
        self._thread = None

    def _send(self) -> None:
        batch, self._queue = self._queue, []
        self._busy = True
        results = self._results(batch)
        self.heard()
        self._tell(results, batch)


def without_threads(patch: Callable[[Any, str, Any], Any]) -> None:
    """Has stores that are made from now on work on the reactor's thread; `patch` is a test's."""
    patch(sqlite, "OneThread", _NoThread)
    if INSTALLED:
        patch(threads, "OneThread", _NoThread)
        patch(database, "Connection", _Kept.made)
        # By the clock of the machine, which a test does not wait for.
        patch(line, "GRACE", 0.0)


class _Watched(Gate):
    """What a test looks at: all that is in the store, whoever has read it."""

    def look(self, work: Callable[[Reading], T]) -> T:
        raise AssertionError("each store has its own connection to read with")

    @property
    def messages(self) -> dict[str, list[Message]]:
        return {session_id: tree.lines[tree.active] for session_id, tree in self.trees.items()}

    @property
    def settings(self) -> dict[str, tuple[str, dict[str, Any]]]:
        stored = [self.look(partial(Reading.load, session_id=each, limit=0)) for each in self._ids()]
        return {
            each.session_id: (each.model, each.settings)
            for each in stored
            if each is not None and (each.model or each.settings)
        }

    @property
    def trees(self) -> dict[str, Tree]:
        trees = {each: self.look(partial(_tree, session_id=each)) for each in self._ids()}
        return {session_id: tree for session_id, tree in trees.items() if any(tree.own)}

    def forget_places(self) -> None:
        self.change("UPDATE messages SET rest = NULL, place = NULL WHERE role = 'assistant'")

    def change(self, statement: str) -> None:
        raise AssertionError("each store has its own connection to write with")

    def _ids(self) -> list[str]:
        return sorted(each.session_id for each in self.look(lambda reader: reader.at_rest()))


def _tree(reader: Reading, session_id: str) -> Tree:
    tree = Tree()
    for branch in reader.branches(session_id):
        rows = reader._newest(session_id, branch.number, branch.length, EVERYTHING)
        tree.lines[branch.number] = [from_row(*row) for row in reversed(rows)]
        tree.begins[branch.number] = branch.begins
        if branch.active:
            tree.active = branch.number
    return tree


# -- SQLite


class _Sqlite(_Watched, SqliteSessionStore):
    def __init__(self, path: Path, clock: Reactor) -> None:
        Gate.__init__(self)
        SqliteSessionStore.__init__(self, path, clock, lambda: UNIX_TIME + clock.seconds())
        self._file = path

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        return self.through(super().append, session_id, messages, after)

    def look(self, work: Callable[[Reading], T]) -> T:
        reader = SqliteReader(self._file)
        try:
            return work(reader)
        finally:
            reader.close()

    def change(self, statement: str) -> None:
        assert self._database is not None
        self._database.connection.execute(statement)


class SqlitePlace:
    """A file. See `tests.stores.Memory`."""

    peers = None

    def __init__(self, folder: Path, clock: Reactor) -> None:
        self._clock = clock
        self._path = folder / f"{uuid4().hex}.db"
        self.store: Any = None

    def begin(self) -> None:
        self.end()
        self.store = _Sqlite(self._path, self._clock)

    def open(self) -> None:
        _now(self.store.open())

    def close(self) -> None:
        """What is under way is still written."""

    def end(self) -> None:
        """The process is gone, and has said nothing."""
        if self.store is not None:
            self.store._reads.stop()
            self.store._writes.stop()
            for each in (self.store._reader, self.store._database):
                if each is not None:
                    each.close()


# -- PostgreSQL


class _Pulse(Pulse):
    """Without its thread: alive as long as its connection."""

    connection: Any = None
    told: list[str]

    def start(self) -> None:
        self.connection = _Kept.made(self._arguments)
        self.connection.raw.add_notify_handler(self._notified)
        self._entered(enter(self.connection, self._name, self._version, self._now()))

    def renew(self) -> None:
        """Nothing breaks here."""

    def stop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.raw.remove_notify_handler(self._notified)
            connection.close()

    def listen(self) -> None:
        """Has all said that was told until now."""
        if self.connection is None:
            return
        # The database has what it tells in its answer.
        self.connection.execute("SELECT 1")
        told, self.told = self.told, []
        for payload in told:
            self._heard(payload)

    def _notified(self, notification: Any) -> None:
        self.told.append(notification.payload)


class _Postgres(_Watched, PostgresSessionStore):
    def __init__(self, arguments: dict[str, Any], clock: Reactor) -> None:
        Gate.__init__(self)
        PostgresSessionStore.__init__(
            self, arguments, "db", clock, "node", lambda: UNIX_TIME + clock.seconds()
        )
        self._pulse.__class__ = _Pulse
        pulse: Any = self._pulse
        pulse.told = []
        writes: Any = self.threads._writes
        writes.heard = pulse.listen

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        return self.through(super().append, session_id, messages, after)

    def look(self, work: Callable[[Reading], T]) -> T:
        # Not by `load`: what the test sees, the node does not know by that.
        return _now(self.threads.read(work))

    def change(self, statement: str) -> None:
        _now(self.threads.write(lambda database: database.connection.execute(statement)))


class _Nodes(Nodes):
    """Of which there is one at a time: it may count as if it were alone, so that a test knows the numbers."""

    def short_ids(self) -> Iterator[int]:
        return count(FIRST_SHORT_ID)


class PostgresPlace:
    """A database. See `tests.stores.Memory`."""

    def __init__(self, clock: Reactor) -> None:
        self._clock = clock
        self._arguments = _free.pop() if _free else _made()
        self._left = False
        self.store: Any = None
        self.peers: Any = None

    def begin(self) -> None:
        self.end()
        self.store = _Postgres(self._arguments, self._clock)
        self.peers = _Nodes(self.store, self._clock)

    def open(self) -> None:
        _now(self.store.open())

    def close(self) -> None:
        """Counts the others no more; what is under way is still written."""
        self.peers.stop()

    def end(self) -> None:
        """The process is gone, and has said nothing."""
        if self.store is not None:
            self.peers.stop()
            held = self.store.threads
            held._reads.stop()
            held._writes.stop()
            self.store._pulse.stop()
            held._hang_up_reader()
            held._hang_up()

    def leave(self) -> None:
        """Leaves it empty to another test; doing so twice does no harm."""
        if self._left:
            return
        self._left = True
        self.end()
        connection = _Kept.made(self._arguments)
        connection.raw.execute(EMPTY)
        connection.close()
        _free.append(self._arguments)


def _made() -> dict[str, Any]:
    arguments = fresh_database()
    writing = database.Database(arguments, lambda: 0.0)
    # No time but the test's.
    writing.connection.execute("ALTER TABLE users ALTER COLUMN at SET DEFAULT 0")
    writing.connection.close()
    return arguments


def _now(fired: "Deferred[T]") -> T:
    results: list[Any] = []
    fired.addBoth(results.append)
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result
