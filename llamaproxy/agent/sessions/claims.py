"""Who has a session to itself: one turn of this process, and where several share a store, of all of them."""

from collections.abc import Callable

from ...seams.errors import StoreUnavailable
from ...seams.interfaces import IPeers, ISessionStore, ISharedStore
from ...seams.types import Message, Taken
from ..backends import Backends
from .session import Session
from .turn import MEMORY, Turn


class Claims:
    """With a store that nobody shares, the session's own lock is all there is. `wall` gives Unix seconds."""

    def __init__(
        self, store: ISessionStore, peers: IPeers, backends: Backends, wall: Callable[[], float]
    ) -> None:
        self._shared: ISharedStore | None = store if ISharedStore.providedBy(store) else None
        self._peers = peers
        self._backends = backends
        self._wall = wall

    def begin_at_once(self, session: Session, turn: Turn) -> bool:
        """Whether `turn` has the session to itself already, as nobody else could want it."""
        if self._shared is not None or not session.lock.take():
            return False
        session.begin(turn)
        return True

    async def begin(self, session: Session, turn: Turn) -> Taken | None:
        """Returns once `turn` has the session to itself; with what the shared store says of it."""
        if not session.lock.take():
            await session.lock.acquire()
        taken = None
        if self._shared is not None:
            try:
                taken = await self._take(self._shared, session, turn)
            except BaseException:
                session.lock.release()
                raise
        session.begin(turn)
        return taken

    def end(self, session: Session) -> None:
        """Lets the next turn have the session."""
        if self._shared is not None:
            self._shared.give_back(session.session_id, session.meter.memo(self._wall()))
        session.end()

    async def hold(self, session: Session) -> None:
        """Acquires the session before all who wait for it here already, for no turn."""
        await session.lock.acquire(first=True)
        if self._shared is not None:
            try:
                await self._take(self._shared, session, None)
            except BaseException:
                session.lock.release()
                raise

    def let_go(self, session: Session) -> None:
        """The end of `hold`."""
        if self._shared is not None:
            self._shared.give_back(session.session_id, session.meter.memo(self._wall()))
        session.lock.release()

    async def take_stored(self, session_id: str) -> Callable[[], None]:
        """Acquires a session that is not in memory here; gives what lets it go."""
        shared = self._shared
        if shared is None:
            return _nothing
        await shared.take(session_id, _nothing)
        return lambda: shared.give_back(session_id, "")

    async def look(self, session: Session) -> None:
        """Has it read anew for a command that does not wait, if another process has written it."""
        if self._shared is None or session.running is not None or not session.loaded:
            return
        try:
            current = await self._shared.is_current(session.session_id)
        except StoreUnavailable:
            return  # What is known is better than nothing.
        if not current and session.running is None:
            session.loaded = False

    def told_elsewhere(self, session: Session, turn: Turn, taken: Taken) -> Message | None:
        """The answer that another process gave to this very message, while it waited or shortly before.

        A message that was not sent again may be the same for a second time.
        """
        if taken.current or not session.messages:
            return None
        age = self._wall() - session.stored_at
        if not (taken.answered or (turn.attempt and age < MEMORY)) or not turn.is_told_apart:
            return None
        question = next((each for each in reversed(session.messages) if each.role == "user"), None)
        answer = session.messages[-1]
        if question is None or answer.role != "assistant" or answer.interrupted or answer.tool_calls:
            return None
        return answer if turn.is_about(question) else None

    async def _take(self, shared: ISharedStore, session: Session, turn: Turn | None) -> Taken:
        def waits() -> None:
            if turn is not None:
                message = turn.digest if turn.is_told_apart else ""
                self._peers.keep_turn(session.session_id, message)

        taken = await shared.take(session.session_id, waits)
        if not taken.current:
            session.loaded = False
            if not taken.new:
                for _, model in self._backends.keeping():
                    model.rewind(session.session_id)
        if taken.memo or not taken.current:
            session.meter.recall(taken.memo, self._wall())
        return taken


def _nothing() -> None:
    pass
