"""Sessions in memory: who is talking, with which model, and what was said; loaded when their owner returns."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...seams.errors import Busy
from ...seams.interfaces import IPeers, ISessionStore
from ...seams.types import Caller, ChatTurn, Message, SessionCard, StoredSession
from .kept import NOTHING, Kept
from .lock import Lock
from .rates import Meter
from .repeats import Repeats
from .shelf import Shelf

if TYPE_CHECKING:
    from .turn import Turn


class Session:
    """One conversation.

    `lock` is held by the turn that may touch the history, `running` is that turn and `latest` the last that was;
    `turns` are those that run or wait, in the order in which they came. `kept` are the newest messages of the active
    `branch`, at most the agent's ceiling; `message_count` is the whole of it. `meter` counts its tool calls, `repeats`
    its messages. `source` is the caller's; `is_user` says whether somebody has talked here, and not only sent commands.
    """

    __slots__ = (
        "address",
        "branch",
        "created_at",
        "is_user",
        "kept",
        "last_active",
        "latest",
        "loaded",
        "loading",
        "lock",
        "meter",
        "model",
        "question_ends",
        "repeats",
        "running",
        "session_id",
        "settings",
        "short_id",
        "source",
        "stored_at",
        "turns",
    )

    def __init__(self, caller: Caller, short_id: int, seconds: Callable[[], float]) -> None:
        self.session_id = caller.session_id
        self.short_id = short_id
        self.address = caller.address
        self.source = caller.source or caller.address
        self.is_user = False
        self.created_at = self.last_active = seconds()
        self.model = ""
        self.settings: dict[str, Any] = {}
        self.kept = NOTHING
        self.branch = 1
        self.meter = Meter(seconds)
        self.repeats = Repeats(seconds)
        self.lock = Lock()
        self.running: Turn | None = None
        self.latest: Turn | None = None
        self.turns: list[Turn] = []
        # When the question for leave expires, in the clock's seconds, if that is known.
        self.question_ends: float | None = None
        # Held by who reads it from the store.
        self.loading: Lock | None = None
        self.loaded = False
        # When it was written last, in Unix seconds, as far as it was read.
        self.stored_at = 0.0

    @property
    def card(self) -> SessionCard:
        """What lists show."""
        return SessionCard(
            session_id=self.session_id,
            short_id=self.short_id,
            address=self.address,
            model=self.model,
            message_count=self.message_count,
        )

    def restore(self, stored: StoredSession | None) -> None:
        """Takes over what the store has of this session, which may be nothing."""
        self.question_ends = None
        if stored is None:
            self.forget()
            self.model, self.settings, self.stored_at = "", {}, 0.0
        else:
            self.model = stored.model
            self.settings = dict(stored.settings)
            self.created_at, self.stored_at = stored.created_at, stored.last_active
            self.follow(stored)
        self.loaded = True

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing happens in it, and nothing waits to."""
        return not (self.turns or self.lock.locked or self.loading)

    def follow(self, stored: StoredSession) -> None:
        """Takes over the active branch as the store has it."""
        self.kept = Kept.of(stored.messages, stored.message_count - len(stored.messages))
        self.branch = stored.branch

    @property
    def messages(self) -> list[Message]:
        """Those of the branch that are in memory."""
        return self.kept.messages

    @property
    def message_count(self) -> int:
        """How many messages the branch has."""
        return self.kept.end

    @property
    def weight(self) -> int:
        """About what its messages take in memory, in bytes."""
        return self.kept.weight

    def unload(self) -> None:
        """Lets the messages go from memory; the store has them."""
        self.kept = Kept(begins=self.message_count)

    def enter(self, turn: "Turn") -> None:
        """Takes `turn` in, and ends those that went on only in case that their clients come again."""
        # Those that wait first, or each would begin when the one before it ends.
        for each in self.turns[::-1]:
            if each.deserted:
                each.cancel()
        turn.late = bool(self.turns) and any(not each.cancelled for each in self.turns)
        self.turns.append(turn)

    def check_room(self, queue_limit: int) -> None:
        """Raises `Busy` if the newest turn is one more than the running one and `queue_limit` that wait behind it."""
        if len(self.turns) > queue_limit + 1:
            raise Busy(
                f"{queue_limit} messages of this session are already waiting for their turn. "
                "Wait for them, or send !stop to end the one that runs."
            )

    def begin(self, turn: "Turn") -> None:
        """`turn` has the session to itself from now on; see `Claims.begin`."""
        self.running = self.latest = turn

    def end(self) -> None:
        """Lets the next turn have the session."""
        self.running = None
        self.lock.release()

    def let_go(self) -> None:
        """Forgets the last turn once no other try of its message would get its answer."""
        if self.latest is not None and self.latest.forgotten:
            self.latest = None

    def turn_of(self, caller: Caller, asked: ChatTurn) -> "Turn | None":
        """The turn that answers this very message already, or has just answered it; None for a new message."""
        for turn in reversed(self.turns):
            if turn.is_for(caller, asked):
                return turn
        return self.latest if self.latest is not None and self.latest.is_for(caller, asked) else None

    def remember(self, messages: list[Message], branch: int, length: int, ceiling: int) -> None:
        """Adds what was committed to a branch, which begins with the first `length` messages of the one in memory.

        Drops from memory what no prompt can use any more.
        """
        kept = self.kept
        if length != kept.end:
            before = kept.until(length)
            kept = Kept.of(before, length - len(before))
        self.branch, self.kept = branch, kept.with_more(messages, ceiling)

    def forget(self) -> None:
        """Empties the history."""
        self.kept, self.branch = NOTHING, 1

    def begin_anew(self, model: str) -> None:
        """Becomes a session that the store knows nothing of."""
        self.forget()
        self.model, self.settings = model, {}
        self.meter.reset()
        self.loaded = True
        if self.running is None:
            self.latest = None


class Sessions:
    """The live sessions, by full and short id. Those at rest cost no memory. `peers` hear how many users live here."""

    def __init__(self, store: ISessionStore, seconds: Callable[[], float], peers: IPeers) -> None:
        self._store = store
        self._seconds = seconds
        self._peers = peers
        self._live: dict[str, Session] = {}
        self._by_short_id: dict[str, Session] = {}
        self._short_ids = peers.short_ids()
        # How many of them are users', from each source.
        self._users: Counter[str] = Counter()
        # And in all.
        self.users = 0
        self._shelf = Shelf()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._live.values())

    def get(self, session_id: str) -> Session | None:
        """The live session of that full or short id."""
        return self._live.get(session_id) or self._by_short_id.get(session_id)

    def obtain(self, caller: Caller, talks: bool = True) -> Session:
        """The caller's session, made if it is not live; not loaded yet then. Marks it as active.

        One that `talks`, and does not only send commands, is a user from then on.
        """
        session = self._live.get(caller.session_id)
        if session is None:
            session = Session(caller, next(self._short_ids), self._seconds)
            self._live[caller.session_id] = self._by_short_id[str(session.short_id)] = session
        if talks and not session.is_user:
            session.is_user = True
            self._count(session, 1)
            self._peers.tell_user(session.session_id, session.source, True)
        session.last_active = self._seconds()
        return session

    async def load(self, session: Session, limit: int) -> None:
        """Returns once the session holds what the store has of it; one reading serves all who wait."""
        if session.loaded:
            return
        loading = session.loading = session.loading or Lock()
        await loading.acquire()
        try:
            if not session.loaded:
                stored = await self._store.load(session.session_id, limit)
                # It may have been deleted meanwhile.
                if not session.loaded:
                    session.restore(stored)
        finally:
            loading.release()
            if not loading.locked:
                session.loading = None

    async def refill(self, session: Session, limit: int) -> None:
        """Reads again what a lower limit kept out of memory; for the turn that has the session to itself."""
        kept = session.kept
        if not kept.begins or len(kept.messages) >= limit:
            return
        stored = await self._store.load(session.session_id, limit)
        if stored is not None:
            session.follow(stored)

    def settle(self, session: Session) -> None:
        """A turn of the live session is over: its history stays in memory as long as there is room."""
        self._shelf.use(session)

    def drop(self, session: Session) -> None:
        """Lets a session go from memory, with its short id."""
        if self.is_live(session):
            del self._live[session.session_id], self._by_short_id[str(session.short_id)]
            self._shelf.forget(session)
            self._count(session, -session.is_user)
            if session.is_user:
                self._peers.tell_user(session.session_id, session.source, False)

    def is_live(self, session: Session) -> bool:
        """Whether messages that come now belong to this session, and not to one that has taken its place."""
        return self._live.get(session.session_id) is session

    def idle(self, seconds: float) -> list[Session]:
        """The sessions in which nothing happens and that were last active longer ago than that."""
        limit = self._seconds() - seconds
        return [session for session in self if session.last_active < limit and session.is_at_rest]

    def users_from(self, source: str) -> int:
        """How many of those came from one address, or with one key."""
        return self._users[source]

    def _count(self, session: Session, more: int) -> None:
        if more:
            self.users += more
            self._users[session.source] += more
            if not self._users[session.source]:
                del self._users[session.source]
            self._peers.tell_live(self.users)
