"""One call over HTTP: asks a model's server, reads its refusals, takes in its answer, retries once."""

from collections.abc import Callable, Coroutine
from time import time
from typing import Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ...config.schema import ModelEntry
from ...seams.errors import ModelError, ModelTimeout, ModelUnavailable
from ...seams.interfaces import IDeltaReceiver
from ...seams.names import DEPTH_HEADER
from ...seams.telling import about
from ...seams.types import ModelRequest, ModelResult
from .bodies import beginning_of, whole_of
from .client import Http, Response
from .endings import ResponseFailed
from .refusals import MAX_BODY, is_html, refusal
from .secrets import MIN_SECRET, hide
from .streaming import Decoder, DeltaStream, Watch, root_cause
from .troubles import in_words, is_lasting, speaks_for_itself
from .unpacking import KNOWN, Unpacked, packing_of

# Seconds before the second attempt: what broke off may be starting again, or has yet to be seen to be gone.
RETRY_PAUSE = 0.25
# What a server may ask for in its stead; with more to wait for, the client is told how long.
MAX_PAUSE = 5

T = TypeVar("T")
# What becomes of a response that is no refusal.
TakeIn = Callable[[Response, Watch], Deferred[T]]

_COMMON_HEADERS = {"content-type": "application/json", "user-agent": "llamaproxy"}


# How much of an answer that is not a stream is taken in, in bytes.
MAX_ANSWER = 64 * 1024 * 1024


class Server(Struct, frozen=True):
    """Where a model is reached at the moment: its base URL and the key it wants to see, if any."""

    url: str
    key: str = ""


def bearer(key: str) -> dict[str, str]:
    """How most servers want to see a key."""
    return {"authorization": f"Bearer {key}"} if key else {}


def _passed_on(request: ModelRequest | None) -> dict[str, str]:
    """What is passed on to where more agents may be: how deep they are, and what caused it all."""
    if request is None:
        return {}
    depth = {DEPTH_HEADER: str(request.depth)} if request.depth else {}
    return {**depth, **request.span.headers} if request.span else depth


class Upstream:
    """The server of one model entry; `who` names the model in errors. Its address stands in the log only.

    `locate` is asked before each attempt, since a server may move; it raises or fails with a `ModelError`. `headers`
    makes those of the server's own from the key.
    """

    _log = Logger()

    def __init__(
        self,
        who: str,
        entry: ModelEntry,
        http: Http,
        clock: IReactorTime,
        locate: Callable[[], Server | Deferred[Server]],
        headers: Callable[[str], dict[str, str]] = bearer,
    ) -> None:
        self.who = who
        self._entry = entry
        self._http = http
        self._clock = clock
        self._locate = locate
        self._headers = headers
        # The one that was shown to the server last, which nothing that is told may hold.
        self._key = ""

    def listen(
        self,
        request: ModelRequest,
        path: str,
        decoder: Callable[[], Decoder],
        receiver: IDeltaReceiver,
        linger: float,
    ) -> Coroutine[Any, Any, ModelResult]:
        """Streams what is at `path` to `receiver`; for `linger` see `DeltaStream`. Raises as `Question` does."""
        question = Question(self, request, path, decoder, receiver, linger)
        return self.twice("GET", path, bytes, question.take_in, request)

    def fetch(
        self, path: str, body: bytes, method: str = "POST", request: ModelRequest | None = None
    ) -> Coroutine[Any, Any, bytes]:
        """Sends the JSON text `body` to `path` under the base URL; returns the whole answer. Raises as `Question`
        does."""
        return self.twice(
            method, path, lambda: body, lambda response, _: whole_of(self.who, response, MAX_ANSWER), request
        )

    def time_limit(self, request: ModelRequest | None) -> float:
        """Seconds that the call which `request` asks for may take."""
        asked = request.timeout if request else None
        return self._entry.llm_call_timeout if asked is None else asked

    def take_in(self, question: "Question", response: Response, watch: Watch) -> Deferred[ModelResult]:
        """Streams the answer to a question to its receiver."""
        patience, decoder = self._entry.idle_timeout, question.decoder()
        deltas = DeltaStream(
            self.who,
            decoder,
            question.receiver,
            watch,
            patience,
            question.linger,
            question.request.request_id,
        )
        return deltas.deliver(response, self._clock)

    async def twice(
        self,
        method: str,
        path: str,
        body: Callable[[], bytes],
        take_in: TakeIn[T],
        request: ModelRequest | None,
    ) -> T:
        """What `take_in` makes of an answer; asks again where the first try is no answer. Raises as `Question` does."""
        watch = Watch(self._clock, self.time_limit(request))
        try:
            try:
                return await watch.over(
                    take_in(await self._answer(method, path, body, request, watch), watch)
                )
            except ModelUnavailable as error:
                pause = max(RETRY_PAUSE, error.retry_after or 0)
                if pause > MAX_PAUSE:
                    raise
                # Nothing of an answer has come, so asking once more repeats nothing.
                hide(error, self._key)
                self._note(error, request, "; trying once more")
            await watch.over(deferLater(self._clock, pause))
            return await watch.over(take_in(await self._answer(method, path, body, request, watch), watch))
        except CancelledError:
            if watch.verdict:
                raise ModelTimeout(f"{self.who} {watch.verdict}") from None
            raise
        except ModelError as error:
            hide(error, self._key)
            self._note(error, request)
            raise
        finally:
            watch.stop()

    async def _answer(
        self, method: str, path: str, body: Callable[[], bytes], request: ModelRequest | None, watch: Watch
    ) -> Response:
        """The head of an answer that is no refusal."""
        patience = self._entry.first_token_timeout
        watch.expect(patience, f"did not begin its reply within {patience:g} seconds (first_token_timeout)")
        located = self._locate()
        server = located if isinstance(located, Server) else await watch.over(located)
        self._key = server.key
        headers = {**_COMMON_HEADERS, **_passed_on(request), **self._headers(server.key)}
        try:
            url = server.url.rstrip("/") + path
            response = await watch.over(self._http.request(method, url, headers, body()))
        except Exception as error:
            raise self._no_answer(error) from None
        response = self._unpacked(response)
        if not 200 <= response.code < 300 or is_html(response.headers):
            raise await self._refused(response, watch)
        return response

    def _unpacked(self, response: Response) -> Response:
        packings = packing_of(response.headers)
        if not packings:
            return response
        if packings[1:] or packings[0] not in KNOWN:
            raise ModelError(f"{self.who} packs its answers in a way that nobody asked for and few can read")
        return Unpacked(response)

    def _note(self, error: ModelError, request: ModelRequest | None, more: str = "") -> None:
        server = urlsplit(self._entry.host).netloc.rpartition("@")[2] or "a process of our own"
        turn = about(request.request_id if request else "")
        self._log.info(
            "{turn}{error} ({server}){more}", turn=turn, error=str(error), server=server, more=more
        )

    def _no_answer(self, error: Exception) -> Exception:
        """The one kind of error, or the cancelling, that lies behind what the HTTP client failed with."""
        cause = root_cause(error)
        if isinstance(cause, CancelledError | ConnectingCancelledError):
            return CancelledError()
        kind = ModelError if is_lasting(cause) else ModelUnavailable
        happened = "cannot be reached"
        if isinstance(error, ResponseFailed):
            happened = "failed" if speaks_for_itself(cause) else "hung up before it answered"
        return kind(f"{self.who} {happened}: {in_words(cause, self._entry.connect_timeout)}")

    async def _refused(self, response: Response, watch: Watch) -> ModelError:
        watch.expect(self._entry.idle_timeout, "")
        body = await watch.over(beginning_of(response, MAX_BODY))
        if len(self._key) >= MIN_SECRET:
            body = body.replace(self._key.encode(), b"***")
        return refusal(self.who, response.code, response.headers, body, time(), self._entry.env_key)


class Question(Struct, frozen=True):
    """Called with what makes the JSON text of `request`, posts it to `path` under the base URL of `upstream`, and
    streams the answer to `receiver`. The text is made for each attempt: it may be long, and the answer takes long.

    Raises `ModelError`, or `CancelledError` if it was cancelled, with the connection closed either way. For `linger`
    see `DeltaStream`.
    """

    upstream: Upstream
    request: ModelRequest
    path: str
    decoder: Callable[[], Decoder]
    receiver: IDeltaReceiver
    linger: float | None = None

    def __call__(self, body: Callable[[], bytes]) -> Coroutine[Any, Any, ModelResult]:
        """Asks it."""
        return self.upstream.twice("POST", self.path, body, self.take_in, self.request)

    def take_in(self, response: Response, watch: Watch) -> Deferred[ModelResult]:
        """Streams an answer to the receiver."""
        return self.upstream.take_in(self, response, watch)
