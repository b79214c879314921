"""Carries a reply to one client, no faster than the client reads.

The client's transport pauses these producers when its send buffer is full; they pause the reply, the reply
pauses the model's socket, and TCP holds the model back. Nothing here queues.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..agent.errors import AgentError
from ..agent.interfaces import IReply, IReplyConsumer
from ..agent.types import AgentEvent, ReplyEnd, Text
from ..dialects.base import Encoder
from .site import Intake

# A reply that is not streamed is held in memory until it is complete.
WHOLE_LIMIT = 32 * 1024 * 1024


def hang_up(request: Intake) -> None:
    """Drops the connection now, unsent bytes and all."""
    # The channel is gone once the client is.
    if request.channel is not None:
        request.channel.transport.abortConnection()


@implementer(IPushProducer, IReplyConsumer)
class Outlet(ABC):
    """The client's end of a reply: hears from the transport when to pause.

    A client that reads nothing for `stall_timeout` seconds is dropped. `done` fires when the last bytes have gone
    into a transport that has room for them, so that no idle timer runs against a slow reader; cancelling it
    (Klein does when the client leaves) stops the reply.
    """

    def __init__(self, request: Intake, reply: IReply, clock: IReactorTime, stall_timeout: float) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._request = request
        self._reply = reply
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._stall: IDelayedCall | None = None
        self._ended = False

    def start(self) -> Deferred[None]:
        """Begins to deliver; gives `done`."""
        # Before the first write: a producer registered with a full buffer would not hear of it.
        self._request.registerProducer(self, True)
        self._reply.deliverTo(self)
        return self.done

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
            if not self._ended:
                self._reply.pauseProducing()

    def resumeProducing(self) -> None:
        """The send buffer is empty."""
        self._cancel_stall()
        if self._ended:
            self._complete()
        else:
            self._reply.resumeProducing()

    def stopProducing(self) -> None:
        """The client left."""
        self._cancel_stall()
        if not self._ended:
            self._ended = True
            self._reply.stopProducing()

    def _end(self, last: bytes) -> None:
        """Writes the last bytes, and completes once there is room."""
        if self._ended:
            return
        self._ended = True
        self._request.write(last)
        if self._stall is None:
            self._complete()

    def _complete(self) -> None:
        if not self.done.called:
            self._request.unregisterProducer()
            self.done.callback(None)

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class StreamedReply(Outlet):
    """Writes each segment's events as one piece of the stream."""

    def __init__(
        self, request: Intake, reply: IReply, encoder: Encoder, clock: IReactorTime, stall_timeout: float
    ) -> None:
        super().__init__(request, reply, clock, stall_timeout)
        self._encoder = encoder
        self._opening = encoder.start()
        request.setHeader(b"content-type", encoder.content_type)
        request.setHeader(b"cache-control", b"no-cache")
        # nginx would collect the stream before it passes any of it on.
        request.setHeader(b"x-accel-buffering", b"no")

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """Everything that came in one segment goes out in one write."""
        if self._ended:
            return
        if self._opening:
            opening, self._opening = self._opening, b""
            self._request.write(opening + self._encoder.events(events))
        else:
            self._request.write(self._encoder.events(events))

    def replyFinished(self, end: ReplyEnd) -> None:
        """The well-formed end."""
        self._end(self._opening + self._encoder.finish(end))

    def replyFailed(self, reason: Failure) -> None:
        """The reason, where the app shows it, and a well-formed end."""
        self._end(self._opening + self._encoder.fail(cast(AgentError, reason.value)))


class WholeReply(Outlet):
    """Collects a reply and writes it as one body."""

    def __init__(
        self, request: Intake, reply: IReply, encoder: Encoder, clock: IReactorTime, stall_timeout: float
    ) -> None:
        super().__init__(request, reply, clock, stall_timeout)
        self._encoder = encoder
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._size = 0

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """Keeps the pieces."""
        for event in events:
            (self._text if type(event) is Text else self._reasoning).append(event.text)
            self._size += len(event.text)
        if self._size > WHOLE_LIMIT and not self._ended:
            self._reply.stopProducing()
            self.replyFailed(Failure(AgentError("The reply is too long to be sent whole; ask for a stream.")))

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
        self.done.errback(reason)
