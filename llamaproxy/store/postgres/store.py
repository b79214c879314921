"""Sessions in PostgreSQL, behind `ISharedStore`."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec import DecodeError, ValidationError
from msgspec import json as fast_json
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ... import __version__
from ...seams.interfaces import ISharedStore
from ...seams.types import Branch, Message, Resting, Spot, StoredSession, Taken, Trace
from . import turns
from .database import Database, Reader, Settings
from .line import Line
from .pulse import Pulse
from .threads import Phase, Threads

T = TypeVar("T")

# Sessions of which something is remembered; of more, those that were asked for longest ago are read anew.
MOST_KNOWN = 20_000
NO_SETTINGS = ("", "{}")


class _Known(NamedTuple):
    """Up to where this node knows a session, and its settings as they were then."""

    version: int
    settings: Settings


def _nothing(what: Any) -> None:
    """Nobody listens yet."""


@implementer(ISharedStore)
class PostgresSessionStore:
    """See `ISharedStore`; `arguments` are psycopg's, `address` is what messages call the database, `name` the node.

    `heard` is called with what other nodes tell, `entered` with this node's number whenever it has got another one, and
    None as soon as it has none. Failures are `StoreError`s.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        address: str,
        reactor: Any,
        name: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._pulse = Pulse(arguments, name, __version__, now, self._entered, self._was_told)
        self.threads = Threads(arguments, address, reactor, now, self._pulse.renew)
        self.line = Line(self.threads, reactor, self._version_known)
        self.heard: Callable[[dict[str, Any]], None] = _nothing
        self.entered: Callable[[int | None], None] = _nothing
        self._ready: Deferred[None] = Deferred()
        self._known: dict[str, _Known] = {}

    @property
    def node(self) -> int | None:
        """This node's number; None while the database is away."""
        return self.line.node

    @property
    def reachable(self) -> bool:
        """See `ISharedStore`."""
        return self.line.node is not None

    def check(self) -> None:
        """Connects and hangs up again, here and now: for the time before the reactor runs."""
        self.threads.check()

    def open(self) -> Deferred[None]:
        """Connects, making the tables if need be."""
        return Deferred.fromCoroutine(self._open())

    def close(self) -> Deferred[None]:
        """Hangs up after whatever was asked before; closing twice does no harm."""
        return Deferred.fromCoroutine(self._close())

    # -- ISessionStore

    def load(self, session_id: str, limit: int) -> Deferred[StoredSession | None]:
        """The session with its newest `limit` messages, or None."""

        def load(reader: Reader) -> tuple[int, StoredSession | None]:
            # What is written between the two is read again at the next turn.
            return reader.version(session_id), reader.load(session_id, limit)

        return self.threads.read(load).addCallback(self._learned, session_id)

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        """Adds one turn's messages in one transaction; fires with their branch."""
        turn = tuple(messages)
        if after is not None:
            return self._write(session_id, lambda database: database.append(session_id, turn, after))
        ticket = self.line.ticket(session_id)

        def ask(database: Database) -> Callable[[], tuple[int, tuple[int, int] | None]]:
            database.ticket = ticket
            return database.ask_append(session_id, turn)

        return self.threads.ask(session_id, ask).addCallback(self._wrote, session_id)

    def save_settings(self, session_id: str, model: str, settings: dict[str, Any]) -> Deferred[None]:
        """Keeps the session's model and settings: what is changed in them, as far as this node knows."""
        wanted = (model, json.dumps(settings))
        known = self._known.get(session_id, _Known(-1, NO_SETTINGS))
        self._knows(session_id, _Known(known.version, wanted))
        return self._write(
            session_id, lambda database: database.change_settings(session_id, known.settings, wanted)
        )

    def at_rest(self) -> Deferred[Sequence[Resting]]:
        """Every session, with the size of its words."""
        return self.threads.read(lambda reader: reader.at_rest())

    def holding(self, setting: str) -> Deferred[Sequence[str]]:
        """The sessions whose settings have that one."""
        return self.threads.read(lambda reader: reader.holding(setting))

    def branches(self, session_id: str) -> Deferred[Sequence[Branch]]:
        """All branches, by their numbers."""
        return self.threads.read(lambda reader: reader.branches(session_id))

    def take_up(self, session_id: str, branch: int) -> Deferred[bool]:
        """Makes a branch the active one; fires with whether there is such a branch."""
        return self._write(session_id, lambda database: database.take_up(session_id, branch))

    def step_back(self, session_id: str) -> Deferred[int | None]:
        """Makes the branch active that was so before; fires with its number, None if there was none."""
        return self._write(session_id, lambda database: database.step_back(session_id))

    def find(self, session_id: str, places: Sequence[str]) -> Deferred[Sequence[Trace]]:
        """The messages and answers at these places, the newest first."""
        wanted = tuple(places)
        return self.threads.read(lambda reader: reader.find(session_id, wanted))

    def clear(self, session_id: str) -> Deferred[int]:
        """Forgets the session's messages; fires with how many."""
        return self._write(session_id, lambda database: database.clear(session_id))

    def delete(self, session_id: str) -> Deferred[bool]:
        """Forgets the session; fires with whether it existed."""
        self._knows(session_id, _Known(0, NO_SETTINGS))
        return self._write(session_id, lambda database: database.delete(session_id))

    # -- ISharedStore

    def take(self, session_id: str, waits: Callable[[], None] = lambda: None) -> Deferred[Taken]:
        """See `ISharedStore`."""
        return self.line.take(session_id, waits)

    def give_back(self, session_id: str, memo: str = "") -> None:
        """See `ISharedStore`."""
        self.line.give_back(session_id, memo)

    def is_current(self, session_id: str) -> Deferred[bool]:
        """See `ISharedStore`."""
        asked = self.threads.read(lambda reader: reader.version(session_id))
        return asked.addCallback(lambda version: version == self._version_known(session_id))

    def tell(self, what: dict[str, Any]) -> Deferred[None]:
        """Tells all nodes, this one as well; see `heard`."""
        said = fast_json.encode(what).decode()

        def tell(database: Database) -> None:
            database.connection.execute("SELECT pg_notify(?, ?)", (turns.CHANNEL, said))

        return self.threads.write(tell, Phase.AFTER)

    # -- what the pulse says, in its own thread

    def _entered(self, node: int | None) -> None:
        if node is None:
            self.threads.distrust()
        else:
            self.threads.trust()
        self._reactor.callFromThread(self._is_node, node)

    def _was_told(self, payload: str) -> None:
        self._reactor.callFromThread(self._hear, payload)

    def _is_node(self, node: int | None) -> None:
        if node == self.line.node:
            return
        self.line.node = node
        if node is None:
            self.line.give_up()
        self.entered(node)
        if node is not None and not self._ready.called:
            self._ready.callback(None)

    def _hear(self, payload: str) -> None:
        try:
            what = fast_json.decode(payload, type=dict[str, Any])
        except (DecodeError, ValidationError):
            return
        if "turn" in what:
            self.line.try_again(str(what["turn"]), is_dead=bool(what.get("dead")))
        else:
            self.heard(what)

    # -- inside

    async def _open(self) -> None:
        self.threads.start()
        try:
            await self.threads.write(lambda database: None)
            self._pulse.start()
            await self._ready
        except BaseException:
            await self._end()
            raise

    async def _close(self) -> None:
        if self.threads.started:
            await self._end()

    async def _end(self) -> None:
        self.entered = _nothing
        self.line.give_up()
        await self.threads.end()
        self._pulse.stop()

    def _version_known(self, session_id: str) -> int | None:
        known = self._known.get(session_id)
        return None if known is None else known.version

    def _learned(self, outcome: tuple[int, StoredSession | None], session_id: str) -> StoredSession | None:
        version, stored = outcome
        settings = NO_SETTINGS if stored is None else (stored.model, json.dumps(stored.settings))
        self._knows(session_id, _Known(version, settings))
        return stored

    def _knows(self, session_id: str, known: _Known) -> None:
        self._known.pop(session_id, None)
        self._known[session_id] = known
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def _write(self, session_id: str, work: Callable[[Database], T]) -> Deferred[T]:
        # The turn may be given back before it is written, and is another's then.
        ticket = self.line.ticket(session_id)

        def write(database: Database) -> tuple[T, tuple[int, int] | None]:
            database.ticket, database.written = ticket, None
            return work(database), database.written

        return self.threads.write(write).addCallback(self._wrote, session_id)

    def _wrote(self, outcome: tuple[T, tuple[int, int] | None], session_id: str) -> T:
        result, written = outcome
        known = self._known.get(session_id)
        if written is not None and known is not None and known.version == written[0]:
            self._known[session_id] = known._replace(version=written[1])
        return result
