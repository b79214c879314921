"""Bodies of answers that are no streams, taken in whole or from the beginning; bounded either way."""

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ...seams.errors import ModelError, ModelUnavailable
from .client import Response
from .endings import PotentialDataLoss, ResponseDone
from .streaming import root_cause
from .troubles import in_words


class _Beginning(Protocol):
    """Collects a body up to a limit and hangs up there."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._body = b""
        # Whoever loses patience gets what there is: the status alone says much.
        self.done: Deferred[bytes] = Deferred(lambda _: self._finish())

    def dataReceived(self, data: bytes) -> None:
        self._body += data
        if len(self._body) >= self._limit:
            self._finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.callback(self._body)

    def _finish(self) -> None:
        if not self.done.called:
            self.done.callback(self._body[: self._limit])
            cast(IPushProducer, self.transport).stopProducing()


class _Whole(Protocol):
    """Collects a body that must be complete, and not over the limit."""

    def __init__(self, who: str, limit: int) -> None:
        self._who = who
        self._left = limit
        self._pieces: list[bytes] = []
        self.done: Deferred[bytes] = Deferred(lambda _: self._hang_up())

    def dataReceived(self, data: bytes) -> None:
        self._pieces.append(data)
        self._left -= len(data)
        if self._left < 0 and not self.done.called:
            self.done.errback(ModelError(f"{self._who} sent an answer that is too long"))
            self._hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._pieces))
        else:
            why = in_words(root_cause(reason.value))
            self.done.errback(ModelUnavailable(f"{self._who} broke off in the middle of its answer: {why}"))

    def _hang_up(self) -> None:
        cast(IPushProducer, self.transport).stopProducing()


def whole_of(who: str, response: Response, limit: int) -> Deferred[bytes]:
    """A whole body. Fails with `ModelError`; cancelling it closes the connection."""
    whole = _Whole(who, limit)
    response.deliverBody(whole)
    return whole.done


def beginning_of(response: Response, limit: int) -> Deferred[bytes]:
    """The first `limit` bytes of a body, or what has come of them when it ends or this is cancelled."""
    beginning = _Beginning(limit)
    response.deliverBody(beginning)
    return beginning.done
