"""The pages' paths: who may ask for what, and what they get.

Whoever may come in gets the chat and the console's empty pages. What the console shows, and every change, is for the
operator: a browser that followed a link (see `door`), or a program that shows the operator's key.
"""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

from msgspec import DecodeError, Struct, ValidationError, json
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ..seams.errors import BadRequest, Forbidden, NotFound, Unauthorized
from ..seams.gates import Kind, Side
from ..seams.oversight import Decision, IOversight, IRecords
from ..web import errors
from ..web.guard import Guard
from ..web.site import Intake
from . import files, qr
from .checkup import Checkup
from .door import ConsoleDoor, Visit, cookie, may_change
from .feed import Feed
from .loglines import LogLines
from .snapshot import Snapshot, shown

CONSOLE, CHAT = "/console", "/chat"
# What anybody gets who may come in, by path.
OPEN: Mapping[str, str] = {
    CHAT: "chat.html",
    "/chat/chat.js": "chat.js",
    "/chat/markdown.js": "markdown.js",
    "/chat/chat.css": "chat.css",
    "/chat/manifest.webmanifest": "manifest.webmanifest",
    "/chat/icon.svg": "icon.svg",
    "/chat/icon-192.png": "icon-192.png",
    "/chat/icon-512.png": "icon-512.png",
    "/console/console.js": "console.js",
    "/console/charts.js": "charts.js",
    "/console/enter.js": "enter.js",
    "/console/console.css": "console.css",
    "/console/icon.svg": "icon.svg",
}
# Minutes for which the words of a session may be kept at once.
MOST_MINUTES = 24 * 60

Answer = bytes | Coroutine[Any, Any, bytes]
T = TypeVar("T")


class Enter(Struct, frozen=True):
    """What a browser brings that follows a link."""

    code: str


class Decide(Struct, frozen=True):
    """An answer to a question for leave."""

    session_id: str
    code: str
    decision: Decision


class Set(Struct, frozen=True):
    """A switch, and how it is to stand."""

    kind: Kind
    name: str
    side: Side
    allowed: bool


class Words(Struct, frozen=True):
    """Whose words are kept, and for how long; 0 minutes ends it."""

    session_id: str
    minutes: float


class Pages(Resource):
    """All paths of the pages.

    `keep` writes a switch into the operator's file; `key` is the operator's, for the doctor.
    """

    isLeaf = True
    log = Logger()

    def __init__(
        self,
        guard: Guard,
        oversight: IOversight,
        records: IRecords,
        snapshot: Snapshot,
        lines: LogLines,
        checkup: Checkup,
        clock: IReactorTime,
        address: Callable[[Intake], str],
        keep: Callable[[Kind, str, Side, bool], Deferred[None]],
        key: str,
    ) -> None:
        super().__init__()
        self._guard = guard
        self._oversight = oversight
        self._records = records
        self._snapshot = snapshot
        self._lines = lines
        self._checkup = checkup
        self._clock = clock
        self._address = address
        self._keep = keep
        self._key = key
        self._door = ConsoleDoor(clock.seconds)
        self._views: dict[str, Callable[[Intake], Answer]] = {
            "/console/me": self._me,
            "/console/live": self._live,
            "/console/trace": self._trace,
            "/console/log": self._log,
            "/console/qr.svg": self._qr,
        }
        self._changes: dict[str, Callable[[Intake], Answer]] = {
            "/console/decide": self._decide,
            "/console/switch": self._switch,
            "/console/words": self._words,
            "/console/checkup": self._examine,
            "/console/leave": self._leave,
        }

    def render(self, request: IRequest) -> Any:
        """See `IResource`."""
        intake = cast(Intake, request)
        files.protect(intake)
        try:
            answer = self._answer_to(intake)
        except Exception:
            return self._failed(intake, Failure())
        if isinstance(answer, bytes):
            return answer
        answering = Deferred.fromCoroutine(self._finish(intake, answer))
        if not answering.called:
            intake.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(lambda failure: self.log.failure("while answering", failure))
        return NOT_DONE_YET

    async def _finish(self, request: Intake, coming: Coroutine[Any, Any, bytes]) -> None:
        try:
            body = await coming
        except CancelledError:
            return
        except Exception:
            body = self._failed(request, Failure())
        if request.channel is not None:
            request.write(body)
            request.finish()

    def _failed(self, request: Intake, failure: Failure) -> bytes:
        error = errors.as_agent_error(failure, request)
        if request.startedWriting:
            return b""
        errors.answer(request, error)
        return _json(request, {"error": str(error)})

    def _answer_to(self, request: Intake) -> Answer:
        path = "/" if request.plain_path == "/" else request.plain_path.rstrip("/")
        reads = request.method in (b"GET", b"HEAD")
        if path in ("/", CONSOLE) and reads:
            return files.send(request, "console.html" if self._door.visit(request) else "enter.html")
        if path in OPEN and reads:
            return files.send(request, OPEN[path])
        _check_site(request)
        request.setHeader(b"cache-control", b"no-store")
        if path == "/console/enter" and request.method == b"POST":
            return self._enter(request)
        if path == "/console/link" and request.method == b"POST":
            if not self._guard.is_operators(request):
                raise Unauthorized("This needs the operator's key.")
            return _json(request, {"path": f"{CONSOLE}#{self._door.new_link()}"})
        if path in self._views and reads:
            self._admit(request)
            return self._views[path](request)
        if path in self._changes and request.method == b"POST":
            visit = self._admit(request)
            if visit is not None and not may_change(request, visit):
                raise Forbidden("A change has to come from the console's own page.")
            return self._changes[path](request)
        if path in {*self._views, *self._changes, *OPEN, "/console/enter", "/console/link", CONSOLE}:
            allowed = (
                ["POST"] if path in self._changes or path.endswith(("/enter", "/link")) else ["GET", "HEAD"]
            )
            raise errors.WrongMethod(f"Method not allowed; this path takes {', '.join(allowed)}.", allowed)
        raise NotFound("There is nothing here.")

    def _admit(self, request: Intake) -> Visit | None:
        """The visit of the browser; None for a program with the operator's key. Raises `Unauthorized`."""
        visit = self._door.visit(request)
        if visit is None and not self._guard.is_operators(request):
            raise Unauthorized(
                "The console is the operator's. On the server's machine, agentctl console opens it."
            )
        return visit

    # -- the door

    def _enter(self, request: Intake) -> bytes:
        secret = self._door.enter(_read(request, Enter).code)
        if secret is None:
            raise Unauthorized("This link has been used, or is too old. agentctl console makes another one.")
        request.setHeader(b"set-cookie", cookie(secret, request.isSecure()))
        return _json(request, {"done": True})

    def _leave(self, request: Intake) -> bytes:
        self._door.leave(request)
        request.setHeader(b"set-cookie", cookie("", request.isSecure()))
        return _json(request, {"done": True})

    def _me(self, request: Intake) -> bytes:
        visit = self._door.visit(request)
        return _json(request, {"token": visit.token if visit else "", "chat": self._address(request)})

    # -- what is seen

    def _live(self, request: Intake) -> Answer:
        return self._carried(Feed(request, self._snapshot, self._clock, self._oversight.watch))

    async def _carried(self, feed: Feed) -> bytes:
        return await feed.carry()

    def _trace(self, request: Intake) -> bytes:
        """Records of a session, or the one of a request; the newest of all where none is named."""
        of, most = _argument(request, "of"), _argument(request, "most")
        if not of:
            _, found = self._records.since(0, int(most) if most.isdecimal() and len(most) < 4 else 1)
            found = found[::-1]
        else:
            record = self._records.find(of)
            found = [record] if record else self._records.of(of)
        return _json(request, {"records": [shown(record) for record in found]})

    async def _log(self, request: Intake) -> bytes:
        after = _argument(request, "after")
        number = int(after) if after.isdecimal() and len(after) < 16 else 0
        if _argument(request, "wait") and not self._lines.since(number):
            await self._lines.more(self._clock)
        return _json(request, {"lines": self._lines.since(number)})

    def _qr(self, request: Intake) -> bytes:
        request.setHeader(b"content-type", b"image/svg+xml")
        return qr.picture(self._address(request))

    # -- what is changed

    async def _decide(self, request: Intake) -> bytes:
        asked = _read(request, Decide)
        if not await self._oversight.decide(asked.session_id, asked.code, asked.decision):
            raise NotFound("That question is not open any more.")
        return _json(request, {"done": True})

    async def _switch(self, request: Intake) -> bytes:
        asked = _read(request, Set)
        if asked.kind == "question" or len(asked.name) > 200:
            raise BadRequest("There is no such switch.")
        await self._oversight.set_switch(asked.kind, asked.name, asked.side, asked.allowed)
        await self._keep(asked.kind, asked.name, asked.side, asked.allowed)
        return _json(request, {"done": True})

    def _words(self, request: Intake) -> bytes:
        asked = _read(request, Words)
        self._records.keep_words(asked.session_id, 60 * max(0.0, min(asked.minutes, MOST_MINUTES)))
        return _json(request, {"done": True})

    def _examine(self, request: Intake) -> bytes:
        # Weighs half a megabyte, and so is loaded with the first examination.
        from ..doctor.visit import Server

        host = request.getHost()
        scheme = "https" if request.isSecure() else "http"
        server = Server(scheme, host.host, host.port, "")
        examining = Deferred.fromCoroutine(self._checkup.begin(server, self._key))
        examining.addErrback(partial(self.log.failure, "the doctor could not finish"))
        return _json(request, {"done": True})


def _check_site(request: Intake) -> None:
    """Raises `Forbidden` for what a page of another origin asks, as far as the browser says so."""
    if (request.getHeader(b"sec-fetch-site") or b"same-origin") not in (b"same-origin", b"none"):
        raise Forbidden("Another page may not use the console.")


def _read(request: Intake, kind: type[T]) -> T:
    try:
        return json.decode(request.content.read(), type=kind)
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"This is not what this path takes: {error}") from None


def _argument(request: Intake, name: str) -> str:
    query = parse_qs(urlsplit(request.uri.decode("latin-1")).query, max_num_fields=10)
    return query.get(name, [""])[0]


def _json(request: Intake, value: Any) -> bytes:
    body = json.encode(value)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", b"%d" % len(body))
    return body
