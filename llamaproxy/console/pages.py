"""The pages' paths: who may ask for what, and what they get.

Whoever may come in gets the chat and the console's empty pages. What the console shows, and every change, is for the
operator: a browser that followed a link (see `door`), or a program that shows the operator's key.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ..seams.errors import Forbidden, NotFound, Unauthorized
from ..web import errors
from ..web.guard import Guard
from ..web.site import Intake
from . import files
from .arrivals import PAIR, Arrivals
from .changes import Changes
from .door import ConsoleDoor, Visit, cookie, may_change
from .views import Views
from .wire import as_json, read

CONSOLE, CHAT = "/console", "/chat"
# What anybody gets who may come in, by path.
OPEN: Mapping[str, str] = {
    CHAT: "chat.html",
    PAIR: "pair.html",
    "/pair/pair.js": "pair.js",
    **{
        f"{CHAT}/{name}": name
        for name in (
            "base.css",
            "chat.css",
            "nodes.js",
            "marks.js",
            "markdown.js",
            "chats.js",
            "pictures.js",
            "hearing.js",
            "talk.js",
            "chat.js",
        )
    },
    "/chat/manifest.webmanifest": "manifest.webmanifest",
    "/chat/icon.svg": "icon.svg",
    "/chat/icon-192.png": "icon-192.png",
    "/chat/icon-512.png": "icon-512.png",
    "/console/console.js": "console.js",
    "/console/sections.js": "sections.js",
    "/console/charts.js": "charts.js",
    "/console/enter.js": "enter.js",
    "/console/console.css": "console.css",
    "/console/icon.svg": "icon.svg",
}

Answer = bytes | Coroutine[Any, Any, bytes]
Answering = Callable[[Intake], Answer]


class Enter(Struct, frozen=True):
    """What a browser brings that follows a link."""

    code: str


class Pages(Resource):
    """All paths of the pages; `base` gives the address of the server that a phone can use."""

    isLeaf = True
    log = Logger()

    def __init__(
        self,
        guard: Guard,
        door: ConsoleDoor,
        views: Views,
        changes: Changes,
        arrivals: Arrivals,
        base: Callable[[Intake], str],
    ) -> None:
        super().__init__()
        self._guard = guard
        self._base = base
        self._door = door
        # For the operator, who looks and changes.
        self.views: Mapping[str, Answering] = {**views.table, "/console/me": self._me}
        self.changes: Mapping[str, Answering] = {
            **changes.table,
            "/console/pair": arrivals.invite,
            "/console/leave": self._leave,
        }
        # For whoever has a link, and for programs that show the operator's key.
        self.entrances: Mapping[str, Answering] = {
            "/console/enter": self._enter,
            "/console/link": self._link,
            PAIR: arrivals.arrive,
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
        answering.addErrback(self._note, intake.request_id)
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

    def _note(self, failure: Failure, request_id: str) -> None:
        self.log.failure("while answering {id}", failure, id=request_id)

    def _failed(self, request: Intake, failure: Failure) -> bytes:
        error = errors.as_agent_error(failure, request)
        if request.startedWriting:
            return b""
        errors.answer(request, error)
        return as_json(request, {"error": str(error)})

    def _answer_to(self, request: Intake) -> Answer:
        path = "/" if request.plain_path == "/" else request.plain_path.rstrip("/")
        reads, writes = request.method in (b"GET", b"HEAD"), request.method == b"POST"
        if path in ("/", CONSOLE) and reads:
            return files.send(request, "console.html" if self._door.visit(request) else "enter.html")
        if path in OPEN and reads:
            return files.send(request, OPEN[path])
        _check_site(request)
        request.setHeader(b"cache-control", b"no-store")
        if path in self.entrances and writes:
            return self.entrances[path](request)
        if path in self.views and reads:
            self._admit(request)
            return self.views[path](request)
        if path in self.changes and writes:
            visit = self._admit(request)
            if visit is not None and not may_change(request, visit):
                raise Forbidden("A change has to come from the console's own page.")
            return self.changes[path](request)
        allowed = ["GET", "HEAD"] if path in {*self.views, *OPEN, CONSOLE} else []
        allowed += ["POST"] if path in {*self.changes, *self.entrances} else []
        if allowed:
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

    def _link(self, request: Intake) -> bytes:
        if not self._guard.is_operators(request):
            raise Unauthorized("This needs the operator's key.")
        return as_json(request, {"path": f"{CONSOLE}#{self._door.new_link()}"})

    def _enter(self, request: Intake) -> bytes:
        secret = self._door.enter(read(request, Enter).code, self._guard.address(request))
        if secret is None:
            raise Unauthorized("This link has been used, or is too old. agentctl console makes another one.")
        request.setHeader(b"set-cookie", cookie(secret, request.isSecure()))
        return as_json(request, {"done": True})

    def _leave(self, request: Intake) -> bytes:
        self._door.leave(request)
        request.setHeader(b"set-cookie", cookie("", request.isSecure()))
        return as_json(request, {"done": True})

    def _me(self, request: Intake) -> bytes:
        visit = self._door.visit(request)
        return as_json(
            request, {"token": visit.token if visit else "", "chat": f"{self._base(request)}{CHAT}"}
        )


def _check_site(request: Intake) -> None:
    """Raises `Forbidden` for what a page of another origin asks, as far as the browser says so."""
    if (request.getHeader(b"sec-fetch-site") or b"same-origin") not in (b"same-origin", b"none"):
        raise Forbidden("Another page may not use the console.")
