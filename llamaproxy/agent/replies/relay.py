"""A reply that is another one's, from its beginning and then live."""

from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ...seams.errors import AgentError
from ...seams.interfaces import IReply, IReplyConsumer
from ...seams.types import AgentEvent, ReplyEnd
from .reply import Reply


@implementer(IReplyConsumer)
class Relay:
    """Passes events on; `over` fires at the end, with the error if it was a bad one. Cancelling it is to leave."""

    def __init__(self, source: IReply, reply: Reply) -> None:
        self._reply = reply
        self.over: Deferred[AgentError | None] = Deferred(lambda _: source.stopProducing())

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """See `IReplyConsumer`."""
        self._reply.deltasReceived(events)

    def replyFinished(self, end: ReplyEnd) -> None:
        """See `IReplyConsumer`."""
        self.over.callback(None)

    def replyFailed(self, reason: Failure) -> None:
        """See `IReplyConsumer`."""
        self.over.callback(cast(AgentError, reason.value))


async def relay(join: Callable[[], Deferred[IReply]], reply: Reply) -> None:
    """Returns once all of the reply that `join` leads to has gone into `reply`, at the pace of that one's client."""
    source = await join()
    passing = Relay(source, reply)
    reply.registerProducer(source)
    try:
        source.deliverTo(passing)
        error = await passing.over
    finally:
        reply.unregisterProducer()
    if error is not None:
        raise error.afresh()
    reply.finish()
