"""Forgetting at a person's wish: a conversation, or a session altogether."""

from ...seams.interfaces import IPeers, ISessionStore
from ...seams.names import LONGEST_ID, swarm_id
from ..backends import Backends
from .claims import Claims
from .session import Session, Sessions
from .stored import soon
from .turn import Turn


class Eraser:
    """Forgets here, in the store, and where models keep a history of their own."""

    def __init__(
        self, sessions: Sessions, store: ISessionStore, backends: Backends, peers: IPeers, claims: Claims
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._backends = backends
        self._peers = peers
        self._claims = claims

    async def forget(self, session: Session) -> int:
        """Empties the session's history; how many messages went."""
        known = session.message_count
        session.forget()
        for key, model in self._backends.keeping():
            model.forget(session.session_id)
            model.forget(swarm_id(session.session_id, key))
        return await soon(self._store.clear(session.session_id), known)

    async def remove(self, session_id: str, turn: Turn | None = None) -> str:
        """Deletes a session by its full or short id; its full id, which is empty if there is no such session."""
        if len(session_id) > LONGEST_ID:
            # Databases look for no name of any length.
            return ""
        if (removal := self._peers.remove(session_id)) is not None:
            return await removal
        session = self._sessions.get(session_id)
        full_id = await self._peers.full_id(session_id) if session is None else session.session_id
        if session is None or session.running is None:
            await self._peers.stop_turn(full_id, 0)
        if (session := self._sessions.get(full_id)) is not None:
            await self._delete(session, turn)
            existed = True
        else:
            let_go = await self._claims.take_stored(full_id)
            try:
                existed = await soon(self._store.delete(full_id), True)
            finally:
                let_go()
        self._peers.forget(full_id)
        return full_id if existed else ""

    async def throw_away(self, session_id: str, last_active: float) -> bool:
        """Deletes a session at rest that was used `last_active`, unless it was used since; whether it did.

        Raises `StoreError`.
        """
        if self._sessions.get(session_id) is not None:
            return False
        let_go = await self._claims.take_stored(session_id)
        try:
            stored = await self._store.load(session_id, 1)
            # Somebody may have come meanwhile, and have left again.
            used = stored is None or stored.last_active > last_active
            if used or self._sessions.get(session_id) is not None:
                return False
            gone = await soon(self._store.delete(session_id), True)
        finally:
            let_go()
        self._peers.forget(session_id)
        return gone

    async def _delete(self, session: Session, turn: Turn | None) -> bool:
        """Ends what runs in the session and empties it, at the wish of `turn`; whether the store had it.

        Messages that wait go on in the emptied session: it stays, for its lock keeps them apart from those to come.
        """
        if turn is not None and session.running is turn:
            return await self._erase(session)
        if session.running is not None:
            session.running.stop()
        await self._claims.hold(session)
        try:
            # Another deletion may have been faster.
            return not self._sessions.is_live(session) or await self._erase(session)
        finally:
            self._claims.let_go(session)

    async def _erase(self, session: Session) -> bool:
        await self.forget(session)
        session.begin_anew(self._backends.default)
        existed = await soon(self._store.delete(session.session_id), True)
        if not session.turns:
            self._sessions.drop(session)
        return existed
