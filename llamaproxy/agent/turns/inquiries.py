"""Questions for leave that somebody else may answer while the reply that asks them is still open."""

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...seams.oversight import Decision

# Seconds for which a reply stays open for that.
PATIENCE = 240.0


class Inquiries:
    """Those that are open, by session. A reply waits only while somebody looks who could answer."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._open: dict[str, Deferred[Decision | None]] = {}
        self.watchers = 0

    async def answer(self, session_id: str) -> Decision | None:
        """What the operator says to the question that the session has just been asked; None if nothing in time."""
        if not self.watchers:
            return None
        waiting: Deferred[Decision | None] = Deferred()
        self._open[session_id] = waiting
        patience = self._clock.callLater(PATIENCE, self.leave, session_id)
        try:
            return await waiting
        finally:
            if patience.active():
                patience.cancel()
            if self._open.get(session_id) is waiting:
                del self._open[session_id]

    def is_open(self, session_id: str) -> bool:
        """Whether a reply waits there."""
        return session_id in self._open

    def decide(self, session_id: str, decision: Decision | None) -> bool:
        """Answers; whether a reply has waited for it."""
        waiting = self._open.pop(session_id, None)
        if waiting is not None:
            waiting.callback(decision)
        return waiting is not None

    def leave(self, session_id: str) -> None:
        """The reply waits no more: nobody has answered, or the user has something else to say."""
        if session_id in self._open:
            self.decide(session_id, None)
