"""What goes on, live: server-sent events to one browser, no faster than it reads.

Nothing queues. At each beat the sections that have changed are sent, unless the browser has not taken what was sent
before; then they wait for the next beat, and are sent as they are then.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from ..web.site import Intake
from ..web.streaming import hang_up
from .snapshot import Snapshot

BEAT = 1.0
# Seconds after which a browser that takes nothing is dropped, and without news a comment shows that we live.
PATIENCE = 60.0
SILENCE = 15.0


@implementer(IPushProducer)
class Feed:
    """One browser's; `watch` is told that somebody looks, and when they leave."""

    def __init__(
        self, request: Intake, snapshot: Snapshot, clock: IReactorTime, watch: Callable[[bool], None]
    ) -> None:
        self._request = request
        self._snapshot = snapshot
        self._clock = clock
        self._watch = watch
        self._sent: dict[str, bytes] = {}
        self._newest = 0
        self._spoke = clock.seconds()
        self._is_full = False
        self._stall: IDelayedCall | None = None
        self._beat: IDelayedCall | None = None
        self._over: Deferred[bytes] = Deferred(lambda _: self.stopProducing())

    def carry(self) -> Deferred[bytes]:
        """Sends until the browser leaves, which cancels this."""
        request = self._request
        request.setHeader(b"content-type", b"text/event-stream")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-accel-buffering", b"no")
        request.registerProducer(self, True)
        self._watch(True)
        self._tick()
        return self._over

    def pauseProducing(self) -> None:
        """The send buffer is full. Called again at every write while it is."""
        self._is_full = True
        if self._stall is None:
            self._stall = self._clock.callLater(PATIENCE, hang_up, self._request)

    def resumeProducing(self) -> None:
        """The send buffer is empty."""
        self._is_full = False
        self._rest()

    def stopProducing(self) -> None:
        """The browser left."""
        self._rest()
        beat, self._beat = self._beat, None
        if beat is not None:
            beat.cancel()
            self._watch(False)

    def _rest(self) -> None:
        stall, self._stall = self._stall, None
        if stall is not None and stall.active():
            stall.cancel()

    def _tick(self) -> None:
        self._beat = self._clock.callLater(BEAT, self._tick)
        if self._is_full:
            return
        if self._request.channel.site.closing:
            self.stopProducing()
            self._request.unregisterProducer()
            self._over.callback(b"")
            return
        self._snapshot.look_around()
        changed = {name: data for name, data in self._snapshot.sections() if self._sent.get(name) != data}
        self._sent.update(changed)
        frames = [b"event: %b\ndata: %b\n\n" % (name.encode(), data) for name, data in changed.items()]
        self._newest, news = self._snapshot.news(self._newest)
        if news:
            frames.append(b"event: records\ndata: %b\n\n" % news)
        now = self._clock.seconds()
        if not frames and now - self._spoke >= SILENCE:
            frames.append(b": here\n\n")
        if frames:
            self._spoke = now
            self._request.write(b"".join(frames))
