"""Carries a reply to one client, no faster than the client reads.

The client's transport pauses these producers when its send buffer is full; they pause the reply, the reply
pauses the model's socket, and TCP holds the model back. Nothing here queues.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from typing import Any, Self, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..dialects.base import Encoder
from ..seams.errors import AgentError
from ..seams.interfaces import IReply, IReplyConsumer
from ..seams.types import AgentEvent, ReplyEnd, Text
from ..sockets.sending import together
from .outflow import OWN_BUFFER
from .quirks import EVERYBODY, Quirks
from .recorded import Recorded
from .site import Intake

# A reply that is not streamed is held in memory until it is complete.
WHOLE_LIMIT = 32 * 1024 * 1024
# Seconds by which a heartbeat may be early, so that a clock's rounding does not make a second timer of one.
PUNCTUAL = 0.01

# What is done once a reply is delivered: it gets what is left to be sent, or what went wrong before anything was.
Then = Callable[[Intake, bytes | Failure], None]


class TooLong(AgentError):
    """The reply is longer than what is kept of one; asked again, it would be so again."""

    status, code = 424, "reply_too_long"


def hang_up(request: Intake) -> None:
    """Drops the connection now, unsent bytes and all."""
    # The channel is gone once the client is.
    if request.channel is not None:
        request.channel.transport.abortConnection()


@implementer(IPushProducer, IReplyConsumer)
class Outlet(ABC):
    """The client's end of a reply: hears from the transport when to pause.

    A client that reads nothing for `stall_timeout` seconds is dropped.
    """

    __slots__ = (
        "_asked",
        "_begun",
        "_clock",
        "_coming",
        "_encoder",
        "_ended",
        "_meters",
        "_record",
        "_recorded",
        "_reply",
        "_request",
        "_send",
        "_stall",
        "_stall_timeout",
        "_then",
    )

    def __init__(
        self,
        request: Intake,
        encoder: Encoder,
        clock: IReactorTime,
        recorded: Recorded,
        stall_timeout: float = 300.0,
    ) -> None:
        self._recorded, self._record = recorded, recorded.record
        self._request = request
        self._encoder = encoder
        self._send: Callable[[bytes], None] = request.write
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._reply: IReply | None = None
        self._stall: IDelayedCall | None = None
        self._meters = request.channel.site.meters
        # None once the first event has come.
        self._asked: float | None = clock.seconds()
        self._begun = self._ended = False
        self._coming: Deferred[IReply] | None = None
        self._then: Then | None = None

    def expect(self, coming: Deferred[IReply]) -> Self:
        """Has it carry the reply that `coming` fires with."""
        self._coming = coming
        return self

    def carry(self, then: Then) -> None:
        """Carries the reply that is expected; calls `then` once it is delivered.

        That is when the last bytes have gone into a transport that has room for them, so that no idle timer runs
        against a slow reader; nothing is left to be sent behind them. Or `then` gets the `AgentError` of a reply that
        failed before anything was sent.
        """
        assert self._coming is not None
        self._then = then
        self._coming.addCallbacks(self._take, self._not_coming)

    def __await__(self) -> Generator[Any, None, bytes]:
        """The same for who waits for it."""
        done: Deferred[bytes] = Deferred(lambda _: self.cancel())

        def then(_: Intake, outcome: bytes | Failure) -> None:
            if isinstance(outcome, Failure):
                done.errback(outcome)
            else:
                done.callback(outcome)

        self.carry(then)
        return done.__await__()

    def cancel(self) -> None:
        """Stops the reply, or what is to become it: the client has left."""
        if self._coming is not None and not self._coming.called:
            self._coming.cancel()
        else:
            self.stopProducing()
        self._over(Failure(CancelledError()))

    @abstractmethod
    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """Takes one segment's events."""

    @abstractmethod
    def replyFinished(self, end: ReplyEnd) -> None:
        """Completes the answer."""

    @abstractmethod
    def replyFailed(self, reason: Failure) -> None:
        """Breaks the answer off."""

    def pauseProducing(self) -> None:
        """The send buffer is full. Called again at every write while it is."""
        if self._stall is None:
            self._stall = self._clock.callLater(self._stall_timeout, hang_up, self._request)
            self._meters.paused += 1
            self._meters.pauses += 1
            self._record.pauses += 1
            self._record.is_paused = True
            if self._reply is not None and not self._ended:
                self._reply.pauseProducing()

    def resumeProducing(self) -> None:
        """The send buffer is empty."""
        self._cancel_stall()
        if self._ended:
            self._complete()
        elif self._reply is not None:
            self._reply.resumeProducing()

    def stopProducing(self) -> None:
        """The client left."""
        self._cancel_stall()
        if not self._ended:
            self._ended = True
            if self._reply is None:
                return
            if self._request.startedWriting:
                self._reply.stopProducing()
            else:
                self._reply.leaveUnheard()

    def _not_coming(self, reason: Failure) -> Failure | None:
        """There is no reply, or it could not be taken. Gives back what nobody will hear of otherwise."""
        if self._then is None:
            return reason
        self._over(reason)
        return None

    def _begin(self) -> None:
        """Listens to the transport, before the first write: with a full buffer it would not be heard of."""
        if not self._begun:
            self._begun = True
            self._request.registerProducer(self, True)

    def _take(self, reply: IReply) -> Failure | None:
        self._reply, self._coming = reply, None
        try:
            self._begin()
            if self._stall is not None:
                reply.pauseProducing()
            reply.deliverTo(self)
        except Exception:
            return self._not_coming(Failure())
        return None

    def _end(self, last: bytes) -> None:
        """Writes the last bytes, and completes once there is room."""
        if self._ended:
            return
        self._ended = True
        # What is small leaves with the end of the body that follows it; what is large may have to wait for its reader.
        with together if len(last) < OWN_BUFFER else nullcontext():
            self._send(last)
            if self._stall is None:
                self._complete()

    def _complete(self) -> None:
        if self._then is not None:
            self._request.unregisterProducer()
            self._over(b"")

    def _over(self, outcome: bytes | Failure) -> None:
        """All is sent, or nothing will be."""
        then, self._then = self._then, None
        if then is None:
            return
        try:
            self._recorded.end(outcome)
        except Exception:
            outcome = Failure()
        then(self._request, outcome)

    def _cancel_stall(self) -> None:
        stall, self._stall = self._stall, None
        if stall is None:
            return
        self._meters.paused -= 1
        paused = self._clock.seconds() - (stall.getTime() - self._stall_timeout)
        self._meters.paused_seconds += paused
        self._record.paused += paused
        self._record.is_paused = False
        # Hanging up on a stalled client leads back here.
        if stall.active():
            stall.cancel()

    def _note_first(self, now: float) -> None:
        """The first event has come."""
        if self._asked is not None:
            self._record.first = now - self._asked
            self._meters.first_token.observe(self._record.first)
            self._asked = None


class StreamedReply(Outlet):
    """Writes each segment's events as one piece of the stream.

    After `heartbeat` seconds of silence (0: never) the client gets a frame that says nothing, as many apps give up
    on a silent server. The first one commits the answer to a 200, and a failure after it is told in the stream.
    """

    __slots__ = ("_beat", "_heartbeat", "_opening", "_quirks", "_spoke")

    def __init__(
        self,
        request: Intake,
        encoder: Encoder,
        clock: IReactorTime,
        recorded: Recorded,
        stall_timeout: float = 300.0,
        heartbeat: float = 0.0,
        quirks: Quirks = EVERYBODY,
    ) -> None:
        super().__init__(request, encoder, clock, recorded, stall_timeout)
        self._heartbeat = heartbeat if quirks.heartbeats else 0.0
        self._quirks = quirks
        self._opening = b""
        self._send = self._open
        # When the client last heard from here, by the clock.
        self._spoke = clock.seconds()
        self._beat: IDelayedCall | None = None

    def carry(self, then: Then) -> None:
        """See `Outlet.carry`."""
        super().carry(then)
        if self._then is not None:
            self._beat_in(self._heartbeat)

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """Everything that came in one segment goes out in one write."""
        if self._ended:
            return
        self._spoke = now = self._clock.seconds()
        self._meters.tokens += len(events)
        if self._asked is not None:
            self._note_first(now)
        self._send(self._encoder.events(events))

    def replyFinished(self, end: ReplyEnd) -> None:
        """The well-formed end."""
        self._end(self._encoder.finish(end))

    def replyFailed(self, reason: Failure) -> None:
        """The reason, where the app shows it, and a well-formed end."""
        self._meters.failed(reason.value)
        self._end(self._encoder.fail(cast(AgentError, reason.value)))

    def _not_coming(self, reason: Failure) -> Failure | None:
        if not (reason.check(AgentError) and (self._begun or self._quirks.failures_as_text)):
            return super()._not_coming(reason)
        self._begin()
        self.replyFailed(reason)
        return None

    def _over(self, outcome: bytes | Failure) -> None:
        beat, self._beat = self._beat, None
        if beat is not None:
            beat.cancel()
        super()._over(outcome)

    def _begin(self) -> None:
        if self._begun:
            return
        super()._begin()
        self._opening = self._encoder.start()
        self._request.responseHeaders.put_all(
            (b"Content-Type", self._encoder.content_type),
            (b"Cache-Control", b"no-cache"),
            # nginx would collect the stream before it passes any of it on.
            (b"X-Accel-Buffering", b"no"),
        )

    def _beat_in(self, seconds: float) -> None:
        # One timer for the whole stream; a segment moves `_spoke` and leaves the timer alone.
        self._beat = self._clock.callLater(seconds, self._beat_now) if self._heartbeat else None

    def _beat_now(self) -> None:
        self._beat = None
        if self._ended:
            return
        wait = self._spoke + self._heartbeat - self._clock.seconds()
        if wait > PUNCTUAL:
            self._beat_in(wait)
            return
        # A client whose buffer is full has enough to read.
        if self._stall is None:
            self._begin()
            self._record.heartbeats += 1
            self._show_life()
        self._beat_in(self._heartbeat)

    def _show_life(self) -> None:
        self._spoke = self._clock.seconds()
        self._send(self._encoder.heartbeat())

    def _open(self, data: bytes) -> None:
        """Sends the first frames, behind what goes before all of them."""
        opening, self._opening = self._opening, b""
        self._request.write(opening + data)
        self._send = self._request.stream_writer()


class WholeReply(Outlet):
    """Collects a reply and writes it as one body."""

    def __init__(
        self,
        request: Intake,
        encoder: Encoder,
        clock: IReactorTime,
        recorded: Recorded,
        stall_timeout: float = 300.0,
    ) -> None:
        super().__init__(request, encoder, clock, recorded, stall_timeout)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._size = 0

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """Keeps the pieces."""
        self._meters.tokens += len(events)
        if self._asked is not None:
            self._note_first(self._clock.seconds())
        for event in events:
            (self._text if type(event) is Text else self._reasoning).append(event.text)
            self._size += len(event.text)
        if self._size > WHOLE_LIMIT and not self._ended:
            assert self._reply is not None
            self._reply.stopProducing()
            self.replyFailed(Failure(TooLong("The reply is too long to be sent whole; ask for a stream.")))

    def replyFinished(self, end: ReplyEnd) -> None:
        """The body."""
        body = self._encoder.whole("".join(self._text), "".join(self._reasoning), end)
        self._request.setHeader(b"content-length", b"%d" % len(body))
        self._end(body)

    def replyFailed(self, reason: Failure) -> None:
        """Nothing has been written yet, so this becomes a status."""
        if self._ended:
            return
        self._ended = True
        self._request.unregisterProducer()
        self._over(reason)
