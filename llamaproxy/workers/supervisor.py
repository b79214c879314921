"""The supervisor: the process that the operator started. It serves nothing, and sees to it that the workers do.

It owns what must outlive a worker: the listening sockets with the connections that wait in them, the inboxes, the
embedded models, and the limits that commands have set.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..models.embedded.local import Local
from ..seams.elsewhere import ILog
from ..seams.errors import AgentError
from ..seams.oversight import Reloaded
from ..server.assembly import Plan, Server, start_models, stop_models
from ..server.service import Part, end_program
from ..web.door import BACKLOG
from .handover import inbox_pair
from .office import Office
from .process import WorkerProcess
from .pulse import INTERVAL, PATIENCE, Pulse
from .renewal import Renewal, keepers_of
from .setup import FIRST_WAY, INBOX, LISTENER, TALLY, Setup
from .steering import steer
from .tally import Tally, new_tally

# Seconds: a worker that lived for the last of these is started again at once; else the pause doubles from the first to
# the second.
FIRST_PAUSE, LAST_PAUSE, HEALTHY = 0.5, 30.0, 60.0
# Starts in a row that may fail before the program gives up.
MOST_FAILURES = 5
# Seconds beyond the grace for replies that a worker gets to end before it is killed.
TIME_TO_END = 10.0


class CannotServe(AgentError):
    """The workers do not come up; the message is the operator's."""


class Post:
    """The place of one worker, whoever holds it: what outlives it, and how its holders have fared."""

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.name = f"worker {worker + 1}"
        self.inbox, self.way = inbox_pair()
        self.listener: socket.socket | None = None
        self.process: WorkerProcess | None = None
        self.ready_at: float | None = None
        self.pulse: Pulse | None = None
        self.pause = 0.0
        self.failures = 0
        self.restart: IDelayedCall | None = None
        self.gone: Deferred[None] | None = None
        # The end of the patience with one that is to end.
        self.overdue: IDelayedCall | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return self.ready_at is not None


class Supervisor(Service):
    """Keeps `count` workers at the address, each with a desk in the `office`."""

    log = Logger()

    def __init__(
        self,
        plan: Plan,
        count: int,
        address: tuple[str, int],
        office: Office,
        reactor: Any,
    ) -> None:
        # By which the next worker starts.
        self._plan = plan
        self._address = address
        self._reactor = reactor
        self._posts = [Post(worker) for worker in range(count)]
        self._memory = new_tally(count)
        self._tally = Tally(self._memory, count)
        self._office = office
        self._starting: Deferred[None] = Deferred()
        self._problem: OSError | None = None
        self._stopping = False

    def privilegedStartService(self) -> None:
        """Binds the port while the process still may: one socket for each worker."""
        host, port = self._address
        try:
            for post in self._posts:
                post.listener = listen(host, port)
        except OSError as error:
            self._problem = error
        else:
            self._steer()

    def startService(self) -> Deferred[None]:
        """Fires once all workers take requests; fails if one of them cannot start."""
        super().startService()
        if self._posts[0].listener is None:
            self.privilegedStartService()
        if self._problem is not None:
            raise CannotListenError(*self._address, self._problem)
        self._reactor.callWhenRunning(self._start_all)
        return self._starting

    def stopService(self) -> Deferred[Any]:
        """Refuses new clients, lets the workers finish their replies, and fires once all are gone."""
        super().stopService()
        self._stopping = True
        for post in self._posts:
            if post.listener is not None:
                post.listener.close()
            if post.restart is not None:
                post.restart.cancel()
                post.restart = None
        return DeferredList([self._end(post) for post in self._posts if post.process is not None])

    def adopt(self, plan: Plan) -> None:
        """Workers that start from here on go by this plan."""
        self._plan = plan
        self._steer()

    def hurry(self) -> None:
        """The workers hang up on everybody now; one that hangs itself is not waited for as long as replies are."""
        self._office.hurry()
        latest = self._reactor.seconds() + TIME_TO_END
        for post in self._posts:
            if post.overdue is not None and post.overdue.active() and post.overdue.getTime() > latest:
                post.overdue.reset(TIME_TO_END)

    def _steer(self) -> None:
        """Connections come to where their sessions are, if the kernel can do that; else they are handed over."""
        listener = self._posts[0].listener
        assert listener is not None
        try:
            steer(listener, len(self._posts), self._plan.config.settings.front_door.trusted_proxies)
        except OSError as error:
            self.log.debug("the kernel spreads connections as they come: {error}", error=str(error))

    def _start_all(self) -> None:
        for post in self._posts:
            self._start(post)

    def _start(self, post: Post) -> None:
        assert post.listener is not None
        post.restart = None
        setup = Setup(plan=self._plan, worker=post.worker, workers=len(self._posts))
        files = {LISTENER: post.listener.fileno(), TALLY: self._memory, INBOX: post.inbox.fileno()}
        files |= {FIRST_WAY + other.worker: other.way.fileno() for other in self._posts}
        link = self._office.desk(post.worker, partial(self._ready, post))
        try:
            post.process = WorkerProcess(
                self._reactor, post.name, setup, files, link, partial(self._ended, post)
            )
        except OSError as error:
            self._ended(post, str(error), "")

    def _ready(self, post: Post) -> None:
        post.ready_at = self._reactor.seconds()
        post.failures = 0
        assert post.process is not None
        self.log.info("{worker} is process {pid}", worker=post.name, pid=post.process.pid)
        post.pulse = Pulse(partial(self._office.ping, post.worker), partial(self._hangs, post), self._reactor)
        post.pulse.start()
        if not self._starting.called and all(each.is_ready for each in self._posts):
            self._starting.callback(None)

    def _hangs(self, post: Post) -> None:
        """Ends a worker that no longer turns. Connections that it has not taken in wait for its successor."""
        self.log.error(
            "{worker} has not answered for {seconds:g} s; it is ended, and another takes its place",
            worker=post.name,
            seconds=INTERVAL * PATIENCE,
        )
        if post.process is not None:
            post.process.kill()

    def _ended(self, post: Post, why: str, last_words: str) -> None:
        """A worker is gone, however that came."""
        ready_at, post.ready_at = post.ready_at, None
        post.process = None
        if post.pulse is not None:
            post.pulse.stop()
        self._tally.set(post.worker, 0)
        if post.gone is not None:
            post.gone.callback(None)
        if self._stopping:
            return
        if last_words:
            self.log.error("{worker} said: {words}", worker=post.name, words=last_words)
        if ready_at is None and self._is_hopeless(post):
            complaint = last_words.rpartition("\n")[2].removeprefix("llamaproxy: ")
            self._give_up(complaint or f"{post.name} cannot start: {why}")
            return
        if ready_at is not None and self._reactor.seconds() - ready_at >= HEALTHY:
            post.pause = 0.0
        self.log.error(
            "{worker} ended ({why}); it starts again{pause}",
            worker=post.name,
            why=why,
            pause=f" in {post.pause:g} s" if post.pause else "",
        )
        post.restart = self._reactor.callLater(post.pause, self._start, post)
        post.pause = min(post.pause * 2 or FIRST_PAUSE, LAST_PAUSE)

    def _is_hopeless(self, post: Post) -> bool:
        """Whether a worker that did not come up means that none will: at the very start, or after some more."""
        post.failures += 1
        return not self._starting.called or post.failures >= MOST_FAILURES

    def _give_up(self, complaint: str) -> None:
        if self._starting.called:
            end_program(self._reactor, complaint)
        else:
            self._starting.errback(CannotServe(complaint))

    def _end(self, post: Post) -> Deferred[None]:
        """Fires once that worker is gone. One that does not serve yet has nothing to finish."""
        assert post.process is not None
        # From here on there is another limit.
        if post.pulse is not None:
            post.pulse.stop()
        gone: Deferred[None] = Deferred()
        post.gone = gone
        if not post.is_ready:
            post.process.kill()
            return gone
        self._office.stop(post.worker)
        grace = self._plan.config.settings.front_door.shutdown_grace + TIME_TO_END
        overdue = post.overdue = self._reactor.callLater(grace, post.process.kill)
        return gone.addCallback(lambda _: overdue.cancel() if overdue.active() else None)


class Supervised(Struct, frozen=True, kw_only=True):
    """The services of the supervisor, and what they are told to do: hurry, read the files, invite a phone."""

    services: Sequence[IService]
    hurry: Callable[[], None]
    reload: Callable[[], Deferred[Reloaded]]
    invite: Callable[[str], Awaitable[str]]


def supervised(
    plan: Plan, server: Server, count: int, address: tuple[str, int], log: ILog, reactor: Any
) -> Supervised:
    """What the process does that serves nothing itself; of `server` it runs the embedded models alone."""
    embedded: dict[str, Local] = {
        key: model for key, model in server.back_ends.items() if isinstance(model, Local)
    }
    office = Office(dict(keepers_of(embedded)), reactor, log)
    supervisor = Supervisor(plan, count, address, office, reactor)
    renewal = Renewal(plan, server.reloader, embedded, office, supervisor.adopt)
    office.reload = renewal.reload
    models: Mapping[str, Any] = embedded
    keeping = Part(partial(start_models, models, plan.default_model), partial(stop_models, models))
    return Supervised(
        services=[keeping, supervisor], hurry=supervisor.hurry, reload=renewal.reload, invite=office.invite
    )


def listen(host: str, port: int) -> socket.socket:
    """One of several listening sockets on an address, between which the kernel spreads the connections."""
    family, kind, protocol, _, place = socket.getaddrinfo(
        host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(place)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
