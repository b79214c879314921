"""The place at a reply of a client that waits in another process, where it will read the answer once it is stored."""

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ...seams.interfaces import IReply, IReplyConsumer
from ...seams.types import AgentEvent, ReplyEnd


@implementer(IReplyConsumer)
class Elsewhere:
    """Has the reply flow to its end, and keeps nothing of it."""

    def __init__(self, joined: Deferred[IReply]) -> None:
        joined.addCallbacks(self._listen, self.replyFailed)

    def _listen(self, reply: IReply) -> None:
        reply.deliverTo(self)

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """See `IReplyConsumer`."""

    def replyFinished(self, end: ReplyEnd) -> None:
        """See `IReplyConsumer`."""

    def replyFailed(self, reason: Failure) -> None:
        """See `IReplyConsumer`."""
