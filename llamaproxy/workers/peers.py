"""What a worker's agent and models ask of the rest of the server, over the link to the supervisor."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from itertools import count
from operator import itemgetter
from secrets import randbits
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..config import Configuration
from ..models.upstream.upstream import Server
from ..seams.elsewhere import Errand, Finding, IElsewhere, Log
from ..seams.interfaces import IPeer, IPeers
from ..seams.limits import Ruling, Used
from ..seams.names import FIRST_SHORT_ID, NUMBER_BITS
from ..seams.oversight import Reloaded
from ..seams.types import SessionCard
from ..web.metrics import Family
from .link import (
    Answer,
    Cards,
    Count,
    CountAnew,
    Everywhere,
    GoBy,
    Hurry,
    Invite,
    LinkEnd,
    Loaded,
    Metrics,
    Obey,
    OtherCards,
    Ping,
    ReadFiles,
    ReadLog,
    Ready,
    Release,
    Remove,
    Rule,
    Samples,
    Serve,
    Stop,
    Use,
)
from .steering import owner_of
from .tally import Tally


class Link(LinkEnd):
    """A worker's end of the link. `stop`, `hurry` and `orphaned` are called for what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.peer: IPeer
        self.samples: Callable[[], list[Family]]
        self.stop: Callable[[], None]
        self.hurry: Callable[[], None]
        self.answer: Callable[[Errand], Awaitable[Finding]]
        self.go_by: Callable[[Configuration], Deferred[Reloaded]]
        self.invite: Callable[[str], str]
        self.loaded: dict[str, bool] = {}

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The supervisor is gone, and nobody would start another worker."""
        super().connectionLost(reason)
        self.hurry()
        self.stop()

    @Ping.responder
    def _ping(self) -> dict[str, Any]:
        return {}

    @Stop.responder
    def _stop(self) -> dict[str, Any]:
        self.stop()
        return {}

    @Hurry.responder
    def _hurry(self) -> dict[str, Any]:
        self.hurry()
        return {}

    @Obey.responder
    def _obey(self, ruling: Ruling) -> dict[str, Any]:
        self.peer.obey(ruling)
        return {}

    @Count.responder
    def _count(self, used: Used) -> dict[str, Any]:
        self.peer.count(used)
        return {}

    @CountAnew.responder
    def _count_anew(self, used: list[Used]) -> dict[str, Any]:
        self.peer.count_anew(used)
        return {}

    @Loaded.responder
    def _loaded(self, key: str, loaded: bool) -> dict[str, Any]:
        self.loaded[key] = loaded
        return {}

    @Cards.responder
    def _cards(self) -> dict[str, Any]:
        return {"cards": list(self.peer.cards())}

    @Remove.responder
    async def _remove(self, session_id: str, worker: int) -> dict[str, Any]:
        return {"removed": await self.peer.remove(session_id)}

    @Answer.responder
    async def _answer(self, errand: Errand) -> dict[str, Any]:
        return {"finding": await self.answer(errand)}

    @GoBy.responder
    async def _go_by(self, config: Configuration) -> dict[str, Any]:
        return {"outcome": await self.go_by(config)}

    @Invite.responder
    def _invite(self, base: str) -> dict[str, Any]:
        return {"link": self.invite(base)}

    @Samples.responder
    def _samples(self) -> dict[str, Any]:
        return {"families": self.samples()}

    def use(self, used: Used) -> None:
        """Tells what a caller has used; where nobody hears it, the server ends anyway."""
        self.callRemote(Use, used=used).addErrback(lambda _: None)

    def ready(self) -> None:
        """Tells that this worker takes requests."""
        self.callRemote(Ready)

    async def serving(self, key: str, number: int = 0) -> tuple[int, Server]:
        """Where an embedded model answers, and the number by which it is known. Raises `ModelError`."""
        answer = await self.callRemote(Serve, key=key, number=number)
        return answer["number"], Server(answer["url"], answer["secret"])

    def release(self, number: int) -> None:
        """Tells that this worker asks that embedded model no more; where nobody hears it, it has ended anyway."""
        self.callRemote(Release, number=number).addErrback(lambda _: None)

    async def metrics(self) -> str:
        """The text of `/metrics` for the whole server."""
        return cast(str, (await self.callRemote(Metrics))["text"])


@implementer(IPeers)
class Peers:
    """The other workers; this one is `worker`, counted from 0, of `workers`."""

    names = ()

    def __init__(self, link: Link, tally: Tally, worker: int, workers: int) -> None:
        self._link = link
        self._tally = tally
        self._worker = worker
        self._workers = self.processes = workers
        self.number = randbits(NUMBER_BITS)

    def join(self, peer: IPeer) -> None:
        """See `IPeers`."""
        self._link.peer = peer

    def short_ids(self) -> Iterator[int]:
        """See `IPeers`. They tell whose the session is."""
        return count(FIRST_SHORT_ID + self._worker, self._workers)

    def tell_live(self, number: int) -> None:
        """See `IPeers`."""
        self._tally.set(self._worker, number)

    def live_in_all(self) -> int:
        """See `IPeers`."""
        return self._tally.total()

    def tell_user(self, session_id: str, source: str, talks: bool) -> None:
        """See `IPeers`."""

    def admit(self, session_id: str, source: str, most: int, share: int) -> Deferred[str] | None:
        """See `IPeers`."""
        return None

    def tell_used(self, used: Used) -> None:
        """See `IPeers`. A key, or an address with several chats, may have sessions at several workers."""
        self._link.use(used)

    def rule(self, ruling: Ruling) -> Deferred[None]:
        """See `IPeers`."""
        return self._link.callRemote(Rule, ruling=ruling).addCallback(lambda _: None)

    def sessions(self) -> Deferred[Sequence[SessionCard]]:
        """See `IPeers`."""
        return self._link.callRemote(OtherCards).addCallback(lambda answer: answer["cards"])

    def has_here(self, session_id: str) -> bool:
        """See `IPeers`."""
        return self._owner_of(session_id) == self._worker

    def gone(self, numbers: Collection[int]) -> Deferred[Collection[int]]:
        """See `IPeers`. What stands in a session of this worker was written by it, or by one that it replaces."""
        return succeed([number for number in numbers if number != self.number])

    def remove(self, session_id: str) -> Deferred[str] | None:
        """See `IPeers`."""
        owner = self._owner_of(session_id)
        if owner == self._worker:
            return None
        asked = self._link.callRemote(Remove, session_id=session_id, worker=owner)
        return asked.addCallback(lambda answer: answer["removed"])

    def full_id(self, session_id: str) -> Deferred[str]:
        """See `IPeers`."""
        return succeed(session_id)

    def stop_turn(self, session_id: str, job: int) -> Deferred[bool]:
        """See `IPeers`. Here each session belongs to one process."""
        return succeed(False)

    def keep_turn(self, session_id: str, message: str) -> None:
        """See `IPeers`."""

    def forget(self, session_id: str) -> None:
        """See `IPeers`."""

    def _owner_of(self, session_id: str) -> int:
        if session_id.isdecimal() and len(session_id) < 10:
            return (int(session_id) - FIRST_SHORT_ID) % self._workers
        return owner_of(session_id, self._workers)


@implementer(IElsewhere)
class Colleagues:
    """The other workers, as the console in this one asks them."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def ask(self, errand: Errand) -> Deferred[list[Finding]]:
        """See `IElsewhere`."""
        return self._link.callRemote(Everywhere, errand=errand).addCallback(itemgetter("findings"))

    def read(self, after: int, wait: bool) -> Deferred[Log]:
        """See `ILog`."""
        return self._link.callRemote(ReadLog, after=after, wait=wait).addCallback(itemgetter("log"))

    def reload(self) -> Deferred[Reloaded]:
        """See `IElsewhere`."""
        return self._link.callRemote(ReadFiles).addCallback(itemgetter("outcome"))


class DistantKeeper:
    """Stands in for the `Keeper` of an embedded model, which is in the supervisor."""

    def __init__(self, link: Link, key: str) -> None:
        self._link = link
        self._key = key
        # 0 as long as it was not asked.
        self._number = 0

    @property
    def running(self) -> bool:
        """Whether the model's child process answers."""
        return self._link.loaded.get(self._key, False)

    def serving(self) -> Deferred[Server]:
        """Where it answers, as soon as it does. Fails with `ModelError`."""
        return Deferred.fromCoroutine(self._serving())

    def stop(self) -> Deferred[None]:
        """Leaves it to the supervisor."""
        if self._number:
            self._link.release(self._number)
        return succeed(None)

    async def _serving(self) -> Server:
        self._number, server = await self._link.serving(self._key, self._number)
        return server
