"""Throwing away what the operator does not want kept. Nobody else's guess ever deletes, so by default all is kept."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from ...seams.errors import AgentError
from ...seams.interfaces import IPeers, ISessionStore
from ...seams.limits import Keep
from ...seams.types import Resting
from .eraser import Eraser

DAY = 86_400.0
MEGABYTE = 1_000_000
# Seconds between two looks; what was used within the last is left alone in any case.
INTERVAL = 3600.0


class Retention:
    """Looks through the store from time to time, each process after its own sessions; `wall` gives Unix seconds."""

    log = Logger()

    def __init__(
        self, keep: Keep, store: ISessionStore, peers: IPeers, eraser: Eraser, wall: Callable[[], float]
    ) -> None:
        self._keep = keep
        self._store = store
        self._peers = peers
        self._eraser = eraser
        self._wall = wall

    def sweep(self) -> Deferred[int]:
        """Deletes what is over; fires with how many conversations that were. Never fails."""
        return Deferred.fromCoroutine(self._sweep()).addErrback(self._failed)

    async def _sweep(self) -> int:
        if not self._keep.limits:
            return 0
        gone = 0
        resting = await self._store.at_rest()
        for each in await deferToThread(overdue, resting, self._keep, self._wall()):
            if self._peers.has_here(each.session_id):
                gone += await self._eraser.throw_away(each.session_id, each.last_active)
        if gone:
            self.log.info("{count} conversations were thrown away, as sessions_keep says", count=gone)
        return gone

    def _failed(self, failure: object) -> int:
        if not getattr(failure, "check", lambda _: None)(AgentError):
            self.log.failure("sessions could not be looked through")
        return 0


def overdue(resting: Sequence[Resting], keep: Keep, now: float) -> list[Resting]:
    """The sessions that are to go, those that were not used for longest first."""
    newest_first = sorted(resting, key=lambda each: -each.last_active)
    over = {
        each.session_id for each in newest_first if keep.days and each.last_active < now - keep.days * DAY
    }
    by_address = defaultdict(list)
    for each in newest_first:
        if each.session_id not in over:
            by_address[address_of(each.session_id)].append(each)
    for theirs in by_address.values():
        over.update(_too_many(theirs, keep))
    return [
        each for each in newest_first[::-1] if each.session_id in over and each.last_active < now - INTERVAL
    ]


def address_of(session_id: str) -> str:
    """Whose it is: the sessions that one address brings along begin alike (`llama-<address>-<chat>`)."""
    return "-".join(session_id.split("-", 2)[:2])


def _too_many(newest_first: Sequence[Resting], keep: Keep) -> Iterator[str]:
    size = 0
    for number, each in enumerate(newest_first, 1):
        size += each.size
        if (keep.sessions and number > keep.sessions) or (
            keep.megabytes and size > keep.megabytes * MEGABYTE
        ):
            yield each.session_id
