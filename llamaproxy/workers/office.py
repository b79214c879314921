"""The supervisor's office: a desk for each worker, where it asks what concerns all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..config import Configuration
from ..models.embedded.keeper import Keeper
from ..models.upstream.upstream import Server
from ..seams.elsewhere import Errand, Finding, ILog
from ..seams.errors import ModelError
from ..seams.limits import Ruling, Used
from ..seams.oversight import Reloaded
from ..seams.types import SessionCard
from .handover import WorkerAway
from .ledger import Ledger
from .lent import Lent
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
from .uses import Uses

# What came of the files in each worker, by its number; None where no answer came.
Outcomes = list[tuple[int, Reloaded | None]]

# Seconds that a worker gets for an answer; one that hangs must not hold the others up.
TIME_TO_ANSWER = 5.0
# And to take over what the operator has changed.
TIME_TO_GO_BY = 60.0


class Desk(LinkEnd):
    """The supervisor's end of the link to one worker."""

    def __init__(self, office: "Office", worker: int, ready: Callable[[], None]) -> None:
        super().__init__()
        self._office = office
        self._ready = ready
        self.worker = worker
        self.is_ready = False
        # What its worker starts by.
        self.config = office.config

    def connectionMade(self) -> None:
        """The worker is told what holds before it can say that it is ready."""
        super().connectionMade()
        self._office.brief(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The worker is gone."""
        self._office.close(self)
        super().connectionLost(reason)

    @Ready.responder
    def ready(self) -> dict[str, Any]:
        """See `link`."""
        self.is_ready = True
        self._ready()
        self._office.catch_up(self)
        return {}

    @Serve.responder
    async def serve(self, key: str, number: int) -> dict[str, Any]:
        """See `link`."""
        number, server = await self._office.serve(self, key, number)
        return {"url": server.url, "secret": server.key, "number": number}

    @Release.responder
    def release(self, number: int) -> dict[str, Any]:
        """See `link`."""
        self._office.release(self, number)
        return {}

    @Rule.responder
    async def rule(self, ruling: Ruling) -> dict[str, Any]:
        """See `link`."""
        await self._office.rule(ruling)
        return {}

    @Use.responder
    def use(self, used: Used) -> dict[str, Any]:
        """See `link`."""
        self._office.use(self, used)
        return {}

    @OtherCards.responder
    async def other_cards(self) -> dict[str, Any]:
        """See `link`."""
        return {"cards": await self._office.cards(self)}

    @Remove.responder
    async def remove(self, session_id: str, worker: int) -> dict[str, Any]:
        """See `link`."""
        return {"removed": await self._office.remove(session_id, worker)}

    @Everywhere.responder
    async def everywhere(self, errand: Errand) -> dict[str, Any]:
        """See `link`."""
        return {"findings": await self._office.findings(errand, self)}

    @ReadLog.responder
    async def read_log(self, after: int, wait: bool) -> dict[str, Any]:
        """See `link`."""
        return {"log": await self._office.log.read(after, wait)}

    @ReadFiles.responder
    async def read_files(self) -> dict[str, Any]:
        """See `link`."""
        return {"outcome": await self._office.reload()}

    @Metrics.responder
    async def metrics(self) -> dict[str, Any]:
        """See `link`."""
        return {"text": await self._office.metrics()}


class Office:
    """Knows the limits that commands have set, has the embedded models' keepers, and asks around."""

    def __init__(self, embedded: Mapping[str, Keeper], clock: IReactorTime, log: ILog) -> None:
        self._embedded: dict[str, Keeper] = {}
        self._lent = Lent()
        self._clock = clock
        self.log = log
        # What all go by since the files were read again; None before that.
        self.config: Configuration | None = None
        # Set by who reads the operator's files.
        self.reload: Callable[[], Deferred[Reloaded]]
        self._desks: dict[int, Desk] = {}
        self._rulings: dict[tuple[str, str], Ruling] = {}
        self._ledger = Ledger()
        self._uses = Uses(clock.seconds)
        self.embed(embedded)

    def embed(self, keepers: Mapping[str, Keeper]) -> None:
        """From now on those keep the embedded models of these keys, and nobody else keeps any."""
        for key, keeper in self._embedded.items():
            if keepers.get(key) is not keeper:
                keeper.watch(lambda running: None)
        for key, keeper in keepers.items():
            if self._embedded.get(key) is not keeper:
                keeper.watch(partial(self._tell_loaded, key))
                self._tell_loaded(key, keeper.running)
        self._embedded = dict(keepers)

    def desk(self, worker: int, ready: Callable[[], None]) -> Desk:
        """A new desk for a new worker."""
        return Desk(self, worker, ready)

    def brief(self, desk: Desk) -> None:
        """Tells a new worker what has been settled before it came."""
        self._desks[desk.worker] = desk
        for ruling in self._rulings.values():
            self._call(desk, Obey, ruling=ruling)
        if uses := self._uses.all():
            self._call(desk, CountAnew, used=uses)
        for key, keeper in self._embedded.items():
            self._call(desk, Loaded, key=key, loaded=keeper.running)

    def close(self, desk: Desk) -> None:
        """A worker is gone; what it has counted stays."""
        if self._desks.get(desk.worker) is desk:
            del self._desks[desk.worker]
            self._ledger.close(desk.worker)
        self._lent.close(desk)

    def ping(self, worker: int) -> Deferred[Any]:
        """Fires once the worker has turned, however long that takes; at once if it is gone."""
        desk = self._desks.get(worker)
        return succeed(None) if desk is None else desk.callRemote(Ping)

    def stop(self, worker: int) -> None:
        """The worker finishes its replies, and ends."""
        if desk := self._desks.get(worker):
            self._call(desk, Stop)

    def hurry(self) -> None:
        """All of them hang up now."""
        self._tell(Hurry)

    async def serve(self, desk: Desk, key: str, number: int) -> tuple[int, Server]:
        """Where an embedded model answers: the one that a worker knows by a number, or else the present one.

        Gives the number as well. Raises `ModelError`.
        """
        keeper = self._lent.keeper(number) or self._embedded.get(key)
        if keeper is None:
            raise ModelError(f"The embedded model '{key}' is not there any more.")
        return self._lent.lend(keeper, desk), await keeper.serving()

    def release(self, desk: Desk, number: int) -> None:
        """A worker asks that embedded model no more."""
        self._lent.release(number, desk)

    def retire(self, keeper: Keeper, end: Callable[[], None]) -> None:
        """Calls `end` once no worker asks that embedded model any more."""
        self._lent.retire(keeper, end)

    def catch_up(self, desk: Desk) -> None:
        """Tells a worker that has come up meanwhile what the files say since it was started."""
        if self.config is not None and desk.config is not self.config:
            desk.config = self.config
            self._call(desk, GoBy, TIME_TO_GO_BY, config=self.config)

    async def rule(self, ruling: Ruling) -> None:
        """All workers obey, in the same order as to all other rulings; one that comes later will, too."""
        self._rulings[ruling.what, ruling.key] = ruling
        await DeferredList(self._tell(Obey, ruling=ruling))

    def use(self, by: Desk, used: Used) -> None:
        """What a caller has used at one worker counts at all of them, and at those that come later."""
        self._uses.note(used)
        for desk in list(self._desks.values()):
            if desk is not by:
                self._call(desk, Count, used=used)

    async def cards(self, but: Desk) -> list[SessionCard]:
        """The sessions of all workers but one."""
        asked = [self._call(desk, Cards) for desk in self._ready() if desk is not but]
        return [card for _, answer in await DeferredList(asked) for card in (answer or {}).get("cards", ())]

    async def findings(self, errand: Errand, but: Desk) -> list[Finding]:
        """What all workers but one find that answer in time."""
        asked = [self._call(desk, Answer, errand=errand) for desk in self._ready() if desk is not but]
        return [answer["finding"] for _, answer in await DeferredList(asked) if answer]

    async def go_by(self, config: Configuration, before: Configuration) -> Outcomes:
        """Has all workers go by the operator's files; what came of it in each. What was `before` stays if all refuse.

        The files' word is the newest one about limits and gates.
        """
        rulings, self._rulings = self._rulings, {}
        self.config = config
        desks = list(self._ready())
        asked = [self._call(desk, GoBy, TIME_TO_GO_BY, config=config) for desk in desks]
        outcomes: Outcomes = [
            (desk.worker, answer["outcome"] if answer else None)
            for desk, (_, answer) in zip(desks, await DeferredList(asked), strict=True)
        ]
        if is_refused(outcomes):
            self._rulings = {**rulings, **self._rulings}
            self.config = before
        return outcomes

    async def invite(self, base: str) -> str:
        """A link for a phone, made by the worker that has the pages; "" if there is none."""
        desk = self._desks.get(0)
        answer = None if desk is None else await self._call(desk, Invite, base=base)
        return answer["link"] if answer else ""

    async def remove(self, session_id: str, worker: int) -> str:
        """Has a worker delete a session of its own. Raises what that raises, or `WorkerAway`."""
        desk = self._desks.get(worker)
        if desk is None or not desk.is_ready:
            raise _away()
        try:
            answer = await desk.callRemote(Remove, session_id=session_id, worker=worker)
        except (ConnectionDone, ConnectionLost):
            raise _away() from None
        removed: str = answer["removed"]
        return removed

    async def metrics(self) -> str:
        """What all workers have counted, each by itself and in all."""
        desks = list(self._ready())
        answers = await DeferredList([self._call(desk, Samples) for desk in desks])
        for desk, (_, answer) in zip(desks, answers, strict=True):
            # One that died meanwhile has its account closed.
            if answer and self._desks.get(desk.worker) is desk:
                self._ledger.enter(desk.worker, answer["families"])
        return self._ledger.text()

    def _ready(self) -> Iterator[Desk]:
        return (desk for _, desk in sorted(self._desks.items()) if desk.is_ready)

    def _tell_loaded(self, key: str, loaded: bool) -> None:
        self._tell(Loaded, key=key, loaded=loaded)

    def _tell(self, command: type, **arguments: Any) -> Sequence[Deferred[Any]]:
        return [self._call(desk, command, **arguments) for desk in list(self._desks.values())]

    def _call(
        self, desk: Desk, command: type, seconds: float = TIME_TO_ANSWER, **arguments: Any
    ) -> Deferred[Any]:
        """Asks one worker; fires with None if it does not answer."""
        return (
            desk.callRemote(command, **arguments)
            .addTimeout(seconds, self._clock)
            .addErrback(lambda failure: None)
        )


def is_refused(outcomes: Outcomes) -> bool:
    """Whether all workers stay as they were."""
    return bool(outcomes) and all(each is not None and not each.taken for _, each in outcomes)


def _away() -> WorkerAway:
    return WorkerAway("The part of the server that has this session is away. Try again.")
