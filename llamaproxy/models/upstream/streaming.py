"""The heart of the room: carries a model's stream from its socket to a receiver that may hold it.

`DeltaStream` is the body protocol of one HTTP response. Each segment that it is handed becomes at most one
call of the receiver, and the receiver's `pauseProducing` stops the reading of that very socket, so TCP holds
the model back. `Watch` keeps the time limits of one call with a single timer, whatever the number of segments.
"""

from functools import lru_cache
from typing import Protocol as Shape
from typing import TypeVar, cast

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ...seams.errors import ModelError, ModelUnavailable
from ...seams.interfaces import IDeltaReceiver
from ...seams.telling import about
from ...seams.types import ModelDelta, ModelResult
from .client import Response
from .endings import PotentialDataLoss, ResponseDone
from .refusals import UNREADABLE
from .sse import TooLongError
from .troubles import in_words

# Seconds after which a call's limits are looked at, at the latest.
LOOK = 30.0
# Seconds that a server gets to end a response whose last frame has come.
LINGER = 1.0


class Decoder(Shape):
    """Turns the bytes of one response into deltas; one per response."""

    # The stream's own last frame has come; nothing after it is of interest.
    finished: bool

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """Adds to `deltas` what `segment` completes; what was added stands even if this raises.

        Raises `ModelError` for what the server reports, and for garbage `UNREADABLE` or `TooLongError`.
        """

    def ended(self, deltas: list[ModelDelta]) -> None:
        """Adds to `deltas` what the end of the response completes; raises as `received` does."""

    def result(self) -> ModelResult | None:
        """How the completion ended, or None if the stream has not said that it did."""


class Call(Shape):
    """Who waits for the end of a stream."""

    def ended(self, outcome: ModelResult | Exception) -> None:
        """Hears how the completion ended: with `ModelUnavailable` if the connection went before the first delta, with
        another `ModelError` later, with `CancelledError` if it was cancelled."""


class Cancellable(Shape):
    """What can be waited for: a Deferred, or a stream."""

    def cancel(self) -> None:
        """Ends it, and has it say so."""


W = TypeVar("W", bound=Cancellable)


class Watch:
    """The time limits of one call, on a clock that stands still while the receiver holds the stream.

    A segment only notes the time. The timer reads the note when it fires, and is armed again for what is
    left. Once a limit has passed, `verdict` says which, and what is being waited for is cancelled.
    """

    __slots__ = (
        "_clock",
        "_complaint",
        "_end",
        "_heard",
        "_held",
        "_held_since",
        "_patience",
        "_timer",
        "_total",
        "_waiting",
        "verdict",
    )

    def __init__(self, clock: IReactorTime, total: float) -> None:
        self.verdict = ""
        self._clock = clock
        self._total = total
        self._held = 0.0
        self._held_since: float | None = None
        self._timer: IDelayedCall | None = None
        self._waiting: Cancellable | None = None
        self._end = clock.seconds() + total

    def over(self, waiting: W) -> W:
        """Makes `waiting` what is cancelled when the time is up."""
        self._waiting = waiting
        return waiting

    def expect(self, patience: float, complaint: str) -> None:
        """From now on no silence may last longer than `patience` seconds; if one does, `complaint` is why."""
        self._patience, self._complaint = patience, complaint
        now = self._clock.seconds()
        self._heard = now - self._held
        # A timer that rings no later looks by then, and is armed again.
        if self._timer is None or self._timer.getTime() > now + patience:
            self._arm()

    def heard(self) -> None:
        """The silence was broken."""
        self._heard = self._clock.seconds() - self._held

    def hold(self) -> None:
        """The receiver holds the stream: no time passes."""
        if self._held_since is None:
            self._held_since = self._clock.seconds()

    def release(self) -> None:
        """The receiver lets the stream go on."""
        if self._held_since is not None:
            self._held += self._clock.seconds() - self._held_since
            self._held_since = None
            if self._timer is None:
                self._arm()

    def cancel(self) -> None:
        """Ends what is waited for."""
        if self._waiting is not None:
            self._waiting.cancel()

    def stop(self) -> None:
        """No limit holds any more."""
        self._waiting = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _now(self) -> float:
        return self._clock.seconds() - self._held

    def _arm(self) -> None:
        now = self._now()
        # No later than LOOK, so that it need not be set anew for what is expected next, which is to come sooner.
        left = max(0.0, min(self._end - now, self._heard + self._patience - now, LOOK))
        if self._timer is not None:
            # Not `reset`: the reactor goes through all of its timers to have one of them ring sooner.
            self._timer.cancel()
        self._timer = self._clock.callLater(left, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._held_since is not None:
            return  # release() arms it again
        now = self._now()
        if now >= self._end:
            self.verdict = f"was not done after {self._total:g} seconds"
        elif now >= self._heard + self._patience:
            self.verdict = self._complaint
        else:
            self._arm()
            return
        self.cancel()


@implementer(IPushProducer)
class DeltaStream(Protocol):
    """Reads one response into a receiver; `who` names the model in errors, `idle` is in seconds.

    With `linger` the server never ends the response itself: that many seconds after the last frame, in which the
    decoder may yet find that it was not the last, the stream is closed from here.
    """

    __slots__ = (
        "_begun",
        "_call",
        "_clock",
        "_closing",
        "_decoder",
        "_held",
        "_idle",
        "_linger",
        "_lingering",
        "_over",
        "_receiver",
        "_request_id",
        "_socket",
        "_watch",
        "_who",
    )

    _log = Logger()

    def __init__(
        self,
        who: str,
        decoder: Decoder,
        receiver: IDeltaReceiver,
        watch: Watch,
        idle: float,
        call: Call,
        linger: float | None = None,
        request_id: str = "",
    ) -> None:
        self._who = who
        self._request_id = request_id
        self._decoder = decoder
        self._receiver = receiver
        self._watch = watch
        self._idle = idle
        self._linger = linger
        self._begun = self._held = self._lingering = self._over = False
        # None once the outcome is known, which is also when the receiver hears no more.
        self._call: Call | None = call
        self._closing: IDelayedCall | None = None

    def deliver(self, response: Response, clock: IReactorTime) -> None:
        """Streams the body of `response` (asked for with `unbuffered=True`)."""
        self._clock = clock
        response.deliverBody(self)
        # deliverBody() ends by letting the socket run. If all of the body was there it is free for the next call.
        if self._held and self._call is not None:
            self._socket.pauseProducing()

    def cancel(self) -> None:
        """Closes the connection, held or not."""
        if self._call is not None:
            self._close()

    def makeConnection(self, transport: ITransport) -> None:
        """Takes the socket in hand."""
        self._socket = cast(IPushProducer, transport)

    def dataReceived(self, segment: bytes) -> None:
        """Hands on everything that `segment` holds in one call."""
        if self._call is None:
            return
        deltas: list[ModelDelta] = []
        error: ModelError | None = None
        try:
            self._decoder.received(segment, deltas)
        except ModelError as reported:
            error = reported
        except (*UNREADABLE, TooLongError) as garbled:
            error = self._unreadable(garbled)
        if deltas:
            if not self._begun:
                self._begin()
            self._receiver.deltasReceived(deltas)
        if error is not None:
            self._settle(error)
            self._socket.stopProducing()
        elif self._decoder.finished:
            self._finish()
        elif self._lingering:
            self._lingering = False
            self._expect_more()
        elif self._begun:
            self._watch.heard()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is over; whether the completion is, the decoder knows."""
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        if self._call is None:
            return
        if outcome := self._take_last() or self._decoder.result():
            self._settle(outcome)
            return
        cause = root_cause(reason.value)
        why = in_words(cause)
        if not isinstance(cause, ConnectionClosed | ResponseDone | PotentialDataLoss):
            turn = about(self._request_id)
            self._log.failure("{turn}while reading from {who}", Failure(cause), turn=turn, who=self._who)
        if self._begun:
            self._settle(ModelError(f"{self._who} broke off in the middle of its reply: {why}"))
        else:
            self._settle(ModelUnavailable(f"{self._who} broke off before its reply: {why}"))

    def pauseProducing(self) -> None:
        """Stops reading the socket; the call's limits wait as well."""
        if self._call is not None and not self._over:
            self._held = True
            self._watch.hold()
            self._socket.pauseProducing()

    def resumeProducing(self) -> None:
        """Reads on."""
        if self._call is not None and not self._over:
            self._held = False
            self._watch.release()
            self._socket.resumeProducing()

    def stopProducing(self) -> None:
        """Hangs up, as cancelling the call does."""
        self.cancel()

    def _begin(self) -> None:
        self._begun = True
        self._expect_more()
        self._receiver.registerProducer(self)

    def _take_last(self) -> ModelError | None:
        """Hands on what only the end completes; what is wrong with that, if anything is."""
        # Nothing is left to be paused; the connection may be free for the next call already.
        self._over = True
        deltas: list[ModelDelta] = []
        error: ModelError | None = None
        try:
            self._decoder.ended(deltas)
        except ModelError as reported:
            error = reported
        except TooLongError as garbled:
            error = self._unreadable(garbled)
        except UNREADABLE:
            pass  # a frame that was cut off
        if deltas:
            if not self._begun:
                self._begin()
            self._receiver.deltasReceived(deltas)
        return error

    def _unreadable(self, garbled: Exception) -> ModelError:
        return ModelError(f"{self._who} sent what cannot be read: {garbled}")

    def _expect_more(self) -> None:
        self._watch.expect(self._idle, _fell_silent(self._idle))

    def _finish(self) -> None:
        if self._linger is None:
            self._settle(self._outcome())
            # The response's own end is usually right behind, and keeps the connection fit for the next call.
            self._socket.resumeProducing()
            # The fast client knows whether it is there already.
            if not getattr(self._socket, "is_over", False):
                self._closing = self._clock.callLater(LINGER, self._socket.stopProducing)
        elif self._linger == 0:
            self._close()
        elif not self._lingering:
            # The watch closes the stream, and waits with that while the receiver holds it.
            self._lingering = True
            self._watch.expect(self._linger, "")

    def _close(self) -> None:
        self._settle(self._outcome())
        # Not loseConnection(): under TLS that would wait for the other side to agree.
        self._socket.stopProducing()

    def _outcome(self) -> ModelResult | CancelledError:
        """What it is if it ends now, from here."""
        return (self._decoder.result() if self._decoder.finished else None) or CancelledError()

    def _settle(self, outcome: ModelResult | Exception) -> None:
        """Parts with the receiver and makes `outcome` known."""
        call, self._call = self._call, None
        if call is None:
            return
        if self._begun:
            self._receiver.unregisterProducer()
            outcome = _final(outcome)
        call.ended(outcome)


@lru_cache(maxsize=64)
def _fell_silent(seconds: float) -> str:
    """The complaint, one for all streams of a patience."""
    return f"fell silent for {seconds:g} seconds in the middle of its reply (idle_timeout)"


def _final(outcome: ModelResult | Exception) -> ModelResult | Exception:
    """The outcome as one after which nobody asks again: what has been heard of an answer must not come twice."""
    if isinstance(outcome, ModelUnavailable):
        return ModelError(str(outcome))
    if isinstance(outcome, ModelError):
        outcome.refused = False
    return outcome


def root_cause(error: BaseException | None) -> BaseException | None:
    """What lies under the wrappers that Twisted's HTTP client puts around an exception."""
    while reasons := getattr(error, "reasons", None):
        error = reasons[0].value
    return error
