"""One call over HTTP: asks a model's server, reads its refusals, takes in its answer, tries once more.

Nearly all of its time a call waits for its stream. So it is no coroutine, whose frames would wait as well, for each of
a thousand streams: every step names the next one, and ends with `ended`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Generic, TypeVar
from typing import Protocol as Shape

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from ...seams.errors import ModelError, ModelTimeout, ModelUnavailable
from ...seams.interfaces import IDeltaReceiver
from ...seams.types import ModelRequest, ModelResult
from .bodies import beginning_of, whole_of
from .client import Response
from .refusals import MAX_BODY, is_html
from .streaming import Decoder, DeltaStream, Watch
from .upstream import Server, Upstream

# Seconds before the second attempt: what broke off may be starting again, or has yet to be seen to be gone.
RETRY_PAUSE = 0.25
# What a server may ask for in its stead; with more to wait for, the client is told how long.
MAX_PAUSE = 5
# How much of an answer that is not a stream is taken in, in bytes.
MAX_ANSWER = 64 * 1024 * 1024

T = TypeVar("T")
S = TypeVar("S")


class Asking(Shape[T]):
    """What is asked, and with which other words after a refusal."""

    def body(self) -> bytes:
        """The JSON text. It is made for each try: it may be long, and the answer takes long."""

    def taken(self, result: T) -> T:
        """Hears that this was taken; what is made of its result."""

    def failed(self, error: Exception) -> bool:
        """Hears that it was not; whether it has other words now, with which to ask again."""


class _Fixed(Struct, frozen=True):
    """What is asked with these words and no others."""

    text: bytes

    def body(self) -> bytes:
        """See `Asking`."""
        return self.text

    def taken(self, result: T) -> T:
        """See `Asking`."""
        return result

    def failed(self, error: Exception) -> bool:
        """See `Asking`."""
        return False


class _Call(ABC, Generic[T]):
    """One call, from its first try to what came of it. Its address is `path` under the base URL of `upstream`."""

    __slots__ = (
        "_asking",
        "_done",
        "_is_cancelled",
        "_is_second",
        "_method",
        "_path",
        "_request",
        "_upstream",
        "_watch",
    )

    _watch: Watch

    def __init__(
        self, upstream: Upstream, method: str, path: str, asking: Asking[T], request: ModelRequest | None
    ) -> None:
        self._upstream = upstream
        self._method = method
        self._path = path
        self._asking = asking
        self._request = request
        self._done: Deferred[T] | None = Deferred(self._cancel)
        self._is_cancelled = self._is_second = False

    def begin(self) -> Deferred[T]:
        """Asks; fires with what came of it.

        Fails with a `ModelError`, or `CancelledError` if it was cancelled, with the connection closed either way.
        """
        done, upstream = self._done, self._upstream
        assert done is not None
        self._watch = Watch(upstream.clock, upstream.time_limit(self._request))
        self._is_second = False
        self._try()
        return done

    def ended(self, outcome: T | Exception) -> None:
        """Takes what came of a try."""
        if isinstance(outcome, CancelledError) or (self._is_cancelled and isinstance(outcome, Exception)):
            verdict = self._watch.verdict
            outcome = ModelTimeout(f"{self._upstream.who} {verdict}") if verdict else CancelledError()
        elif isinstance(outcome, ModelError):
            pause = self._pause(outcome)
            self._upstream.note(outcome, self._request, "; trying once more" if pause else "")
            if pause:
                # Nothing of an answer has come, so asking once more repeats nothing.
                self._is_second = True
                self._wait(deferLater(self._upstream.clock, pause), lambda _: self._try())
                return
        self._watch.stop()
        try:
            if not isinstance(outcome, Exception):
                outcome = self._asking.taken(outcome)
            elif self._asking.failed(outcome):
                self.begin()
                return
        except Exception as error:
            outcome = error
        # What is fired knows the call no more.
        done, self._done = self._done, None
        assert done is not None
        if isinstance(outcome, Exception):
            done.errback(outcome)
        else:
            done.callback(outcome)

    def _pause(self, error: ModelError) -> float:
        """Seconds until the second try; 0 if there is none."""
        if self._is_second or not isinstance(error, ModelUnavailable):
            return 0
        pause = max(RETRY_PAUSE, error.retry_after or 0)
        return pause if pause <= MAX_PAUSE else 0

    def _cancel(self, _: Deferred[T]) -> None:
        self._is_cancelled = True
        self._watch.cancel()

    def _wait(self, waiting: Deferred[S], then: Callable[[S], None]) -> None:
        self._watch.over(waiting).addCallback(then).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        assert isinstance(failure.value, Exception)
        self.ended(failure.value)

    # -- the steps

    def _try(self) -> None:
        patience = self._upstream.entry.first_token_timeout
        self._watch.expect(patience, _never_began(patience))
        try:
            located = self._upstream.locate()
        except Exception as error:
            self.ended(error)
            return
        if isinstance(located, Server):
            self._ask(located)
        else:
            self._wait(located, self._ask)

    def _ask(self, server: Server) -> None:
        try:
            asked = self._upstream.ask(server, self._method, self._path, self._asking.body(), self._request)
        except Exception as error:
            self.ended(self._upstream.no_answer(error))
            return
        self._watch.over(asked).addCallbacks(self._headed, self._unanswered).addErrback(self._broken)

    def _unanswered(self, failure: Failure) -> None:
        self.ended(self._upstream.no_answer(failure.value))

    def _headed(self, response: Response) -> None:
        # The fast client has looked at it already, once for all heads that are the same.
        if not getattr(response, "is_plain", False):
            response = self._upstream.unpacked(response)
            if not 200 <= response.code < 300 or is_html(response.headers):
                self._watch.expect(self._upstream.entry.idle_timeout, "")
                self._wait(beginning_of(response, MAX_BODY), partial(self._refused, response))
                return
        self._take_in(response)

    def _refused(self, response: Response, body: bytes) -> None:
        self.ended(self._upstream.refusal(response, body))

    @abstractmethod
    def _take_in(self, response: Response) -> None:
        """Reads an answer that is no refusal."""


@lru_cache(maxsize=64)
def _never_began(seconds: float) -> str:
    """The complaint, one for all calls of a patience."""
    return f"did not begin its reply within {seconds:g} seconds (first_token_timeout)"


class _Fetch(_Call[bytes]):
    """A call whose answer is taken as a whole."""

    __slots__ = ()

    def _take_in(self, response: Response) -> None:
        self._wait(whole_of(self._upstream.who, response, MAX_ANSWER), self.ended)


class _Stream(_Call[ModelResult]):
    """A call whose answer is streamed to `receiver`; for `linger` see `DeltaStream`."""

    __slots__ = ("_decoder", "_linger", "_receiver")

    _request: ModelRequest

    def __init__(
        self,
        upstream: Upstream,
        method: str,
        path: str,
        asking: Asking[ModelResult],
        request: ModelRequest,
        decoder: Callable[[], Decoder],
        receiver: IDeltaReceiver,
        linger: float | None = None,
    ) -> None:
        super().__init__(upstream, method, path, asking, request)
        self._decoder = decoder
        self._receiver = receiver
        self._linger = linger

    def _take_in(self, response: Response) -> None:
        stream = DeltaStream(
            self._upstream.who,
            self._decoder(),
            self._receiver,
            self._watch,
            self._upstream.entry.idle_timeout,
            self,
            self._linger,
            self._request.request_id,
        )
        self._watch.over(stream)
        stream.deliver(response, self._upstream.clock)


def ask(
    upstream: Upstream,
    path: str,
    asking: Asking[ModelResult],
    request: ModelRequest,
    decoder: Callable[[], Decoder],
    receiver: IDeltaReceiver,
) -> Deferred[ModelResult]:
    """Posts `request` to `path`, in the words that `asking` has for it, and streams the answer to `receiver`."""
    return _Stream(upstream, "POST", path, asking, request, decoder, receiver).begin()


def listen(
    upstream: Upstream,
    path: str,
    request: ModelRequest,
    decoder: Callable[[], Decoder],
    receiver: IDeltaReceiver,
    linger: float,
) -> Deferred[ModelResult]:
    """Streams what is at `path` to `receiver`; for `linger` see `DeltaStream`."""
    return _Stream(upstream, "GET", path, _Fixed(b""), request, decoder, receiver, linger).begin()


def fetch(
    upstream: Upstream, path: str, body: bytes, method: str = "POST", request: ModelRequest | None = None
) -> Deferred[bytes]:
    """Sends the JSON text `body` to `path`; fires with the whole answer."""
    return _Fetch(upstream, method, path, _Fixed(body), request).begin()
