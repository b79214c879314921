"""Room for those who talk: so many at the same time, a share for each source, and the one idle longest gives way."""

from collections.abc import Iterable

from ...seams.interfaces import IPeers
from ...seams.limits import FROM_THERE, IN_ALL
from ...seams.types import Caller
from .limits import Limits
from .session import Session, Sessions

# Of all that may talk, this part may come from one address or with one key.
SHARE = 3, 4
# Sessions that only sent commands are no users, but take memory.
MOST_VISITORS = 1000


class Guests:
    """Decides whether there is room for one more session; puts idle ones away for it. They come back when they talk."""

    def __init__(self, sessions: Sessions, limits: Limits, peers: IPeers) -> None:
        self._sessions = sessions
        self._limits = limits
        self._peers = peers

    async def refusal(self, caller: Caller) -> str | None:
        """Why the caller may not begin to talk now, for a person; None if they may. The operator always may.

        Raises `StoreError` where the number of users is in a database that is away.
        """
        most = self._limits.max_users
        if not most or caller.owner:
            return None
        source = caller.source or caller.address
        share = max(1, most * SHARE[0] // SHARE[1])
        admission = self._peers.admit(caller.session_id, source, most, share)
        if admission is not None:
            in_the_way = await admission
        else:
            share = max(1, most * SHARE[0] // SHARE[1] // self._peers.processes)
            in_the_way = self._in_the_way(source, most, share)
        if in_the_way == FROM_THERE:
            return (
                f"{share} conversations from your address, or with your key, are under way at the same time, as many "
                "as one may have here. Try again when one of them has its answer."
            )
        if in_the_way == IN_ALL:
            return f"There are already {most} users here, as many as the operator allows. Try again later."
        return None

    def _in_the_way(self, source: str, most: int, share: int) -> str:
        """The answer of `IPeers.admit`, in a server whose sessions each belong to one process."""
        if self._sessions.users_from(source) >= share:
            has_room = self._make_room(session for session in self._sessions if session.source == source)
            return "" if has_room else FROM_THERE
        # Where others live in another process, nobody there can be put away from here.
        processes = self._peers.processes
        is_full = self._peers.live_in_all() >= most and self._sessions.users >= most // processes
        return IN_ALL if is_full and not self._make_room(self._sessions.idle(0)) else ""

    def tidy(self) -> None:
        """Puts away those that were idle longest of too many that only sent commands."""
        if len(self._sessions) - self._sessions.users <= MOST_VISITORS:
            return
        visitors = [session for session in self._sessions if not session.is_user and session.is_at_rest]
        # Some more at once, as each look takes as long as there are sessions.
        for session in sorted(visitors, key=_last_active)[: MOST_VISITORS // 10]:
            self._sessions.drop(session)

    def _make_room(self, among: Iterable[Session]) -> bool:
        """Puts that one of the users away that was active least recently, of those in whom nothing happens."""
        resting = [session for session in among if session.is_user and session.is_at_rest]
        if resting:
            self._sessions.drop(min(resting, key=_last_active))
        return bool(resting)


def _last_active(session: Session) -> float:
    return session.last_active
