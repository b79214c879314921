"""Who hears a reply: mostly one client, and more once the same message comes again while its turn runs.

The newest counts, since the others are likely to be connections that broke without a word: the reply goes as fast
as that one reads. The others hear it too, for as long as they keep up.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ...seams.errors import Continued
from ...seams.interfaces import IReply, IReplyConsumer
from ...seams.types import AgentEvent, ReplyEnd


class Stage(Protocol):
    """What a seat is at."""

    def deliver(self, seat: "Seat") -> None:
        """The seat's consumer is there: tells it what has been said so far, and whatever comes."""

    def adjust(self) -> None:
        """A seat became full, or has room again."""

    def leave(self, seat: "Seat", heard: bool) -> None:
        """The client has left; `heard` says whether it was told anything."""


@implementer(IReply)
class Seat:
    """One client's place at a reply; `ready` fires with it once there is something to hear, and is let go then."""

    __slots__ = ("_stage", "consumer", "full", "gone", "ready")

    def __init__(self, stage: Stage) -> None:
        self.ready: Deferred[IReply] | None = Deferred(lambda _: stage.leave(self, heard=False))
        self.consumer: IReplyConsumer | None = None
        self.full = self.gone = False
        self._stage = stage

    def deliverTo(self, consumer: IReplyConsumer) -> None:
        """See `IReply`."""
        self.consumer = consumer
        self._stage.deliver(self)

    def pauseProducing(self) -> None:
        """The consumer is full."""
        self.full = True
        self._stage.adjust()

    def resumeProducing(self) -> None:
        """The consumer has room again."""
        self.full = False
        self._stage.adjust()

    def stopProducing(self) -> None:
        """The client left in the middle."""
        self._stage.leave(self, heard=True)

    def leaveUnheard(self) -> None:
        """The client left, and was told nothing."""
        self._stage.leave(self, heard=False)

    def close(self, outcome: ReplyEnd | Failure) -> None:
        """The last that its consumer hears."""
        consumer = self.release()
        if consumer is None:
            return
        if isinstance(outcome, Failure):
            consumer.replyFailed(outcome)
        else:
            consumer.replyFinished(outcome)

    def release(self) -> IReplyConsumer | None:
        """Lets the consumer go, which holds the seat and would otherwise stay until the garbage collector comes."""
        self.gone = True
        consumer, self.consumer = self.consumer, None
        return consumer


class Several:
    """Gives events to several seats, of which the last is the newest; `dismiss` takes one that cannot keep up."""

    def __init__(self, seats: Sequence[Seat], dismiss: Callable[[Seat, Failure], None]) -> None:
        self._seats = seats
        self._dismiss = dismiss

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """See `IReplyConsumer`."""
        for seat in self._seats:
            if seat.full and seat is not self._seats[-1]:
                reason = "The same message came again, and its answer goes on in the newer connection."
                self._dismiss(seat, Failure(Continued(reason)))
            elif seat.consumer is not None and not seat.gone:
                seat.consumer.eventsReceived(events)
