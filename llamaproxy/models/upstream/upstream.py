"""The server of one model: how it is asked, and what goes wrong with it, in words. For a whole call see `call`."""

from collections.abc import Callable
from time import time
from urllib.parse import urlsplit

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...config.schema import ModelEntry
from ...seams.errors import ModelError, ModelUnavailable
from ...seams.names import DEPTH_HEADER
from ...seams.telling import about
from ...seams.types import ModelRequest
from .client import Http, Response
from .endings import ResponseFailed
from .refusals import refusal
from .secrets import MIN_SECRET, hide
from .streaming import root_cause
from .troubles import in_words, is_lasting, speaks_for_itself
from .unpacking import KNOWN, Unpacked, packing_of

_COMMON_HEADERS = {"content-type": "application/json", "user-agent": "llamaproxy"}


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
        self.entry = entry
        self._http = http
        self.clock = clock
        self.locate = locate
        self._headers = headers
        # The one that was shown to the server last, which nothing that is told may hold.
        self._key = ""

    def time_limit(self, request: ModelRequest | None) -> float:
        """Seconds that the call which `request` asks for may take."""
        asked = request.timeout if request else None
        return self.entry.llm_call_timeout if asked is None else asked

    def ask(
        self, server: Server, method: str, path: str, body: bytes, request: ModelRequest | None
    ) -> Deferred[Response]:
        """Sends the JSON text `body` to `path` under the base URL; fires with the head of the answer."""
        self._key = server.key
        headers = {**_COMMON_HEADERS, **_passed_on(request), **self._headers(server.key)}
        return self._http.request(method, server.url.rstrip("/") + path, headers, body)

    def unpacked(self, response: Response) -> Response:
        """An answer whose body is handed on as it was before it was packed. Raises `ModelError`."""
        packings = packing_of(response.headers)
        if not packings:
            return response
        if packings[1:] or packings[0] not in KNOWN:
            raise ModelError(f"{self.who} packs its answers in a way that nobody asked for and few can read")
        return Unpacked(response)

    def note(self, error: ModelError, request: ModelRequest | None, more: str = "") -> None:
        """Tells the operator of an error, which is without the key from now on."""
        hide(error, self._key)
        server = urlsplit(self.entry.host).netloc.rpartition("@")[2] or "a process of our own"
        turn = about(request.request_id if request else "")
        self._log.info(
            "{turn}{error} ({server}){more}", turn=turn, error=str(error), server=server, more=more
        )

    def no_answer(self, error: BaseException | None) -> Exception:
        """The one kind of error, or the cancelling, that lies behind what the HTTP client failed with."""
        cause = root_cause(error)
        if isinstance(cause, CancelledError | ConnectingCancelledError):
            return CancelledError()
        kind = ModelError if is_lasting(cause) else ModelUnavailable
        happened = "cannot be reached"
        if isinstance(error, ResponseFailed):
            happened = "failed" if speaks_for_itself(cause) else "hung up before it answered"
        return kind(f"{self.who} {happened}: {in_words(cause, self.entry.connect_timeout)}")

    def refusal(self, response: Response, body: bytes) -> ModelError:
        """The error for an answer that is not what was asked for, of which `body` is the beginning."""
        if len(self._key) >= MIN_SECRET:
            body = body.replace(self._key.encode(), b"***")
        return refusal(self.who, response.code, response.headers, body, time(), self.entry.env_key)
