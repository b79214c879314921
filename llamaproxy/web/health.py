"""What load balancers ask: whether the process lives, and whether requests may be sent to it."""

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from .site import Intake

LIVES, READY = b"/healthz", b"/readyz"

# Seconds for which an answer is good; many balancers may ask.
FRESH = 1.0
# A balancer that has asked within so many seconds is told that this server leaves, so many times, before it is deaf;
# but no longer than so many seconds are waited for that.
WATCHED, TIMES, PATIENCE = 15.0, 2, 5.0

# What is not there in a sentence, or "".
Check = Callable[[], Awaitable[str]]


class Health:
    """Answers both questions. `checks` are asked in their order."""

    log = Logger()

    def __init__(self, clock: IReactorTime, checks: Sequence[Check] = ()) -> None:
        self._clock = clock
        self._checks = checks
        self._known: tuple[float, str] | None = None
        self._asking: list[Deferred[str]] | None = None
        self._asked_at: float | None = None
        self._leaving = False
        self._told = 0
        self._left: Deferred[None] | None = None
        self._overdue: IDelayedCall | None = None

    def leave(self) -> Deferred[None]:
        """From here on it is not ready; fires once balancers have had the time to hear that, if there are any."""
        self._leaving = True
        self._left = Deferred()
        if self._asked_at is None or self._clock.seconds() - self._asked_at > WATCHED:
            self.hurry()
        else:
            self._overdue = self._clock.callLater(PATIENCE, self.hurry)
        return self._left

    def hurry(self) -> None:
        """Does not wait for them any longer."""
        if self._overdue is not None and self._overdue.active():
            self._overdue.cancel()
        if self._left is not None and not self._left.called:
            self._left.callback(None)

    def page(self, request: Intake, path: bytes) -> int:
        """Answers GET or HEAD of one of the two paths."""
        if path == LIVES:
            _answer(request, "")
        elif self._leaving:
            _answer(request, "The server is shutting down.")
            self._told += 1
            if self._told >= TIMES:
                self.hurry()
        else:
            self._asked_at = self._clock.seconds()
            self._problem().addCallback(lambda problem: _answer(request, problem))
        return NOT_DONE_YET

    def _problem(self) -> Deferred[str]:
        """What is not there; one look serves all who ask meanwhile, and a moment later."""
        answer: Deferred[str] = Deferred()
        if self._asking is not None:
            self._asking.append(answer)
        elif self._known is not None and self._clock.seconds() - self._known[0] < FRESH:
            answer.callback(self._known[1])
        else:
            self._asking = [answer]
            Deferred.fromCoroutine(self._look()).addErrback(self._failed).addCallback(self._looked)
        return answer

    async def _look(self) -> str:
        for check in self._checks:
            if problem := await check():
                return problem
        return ""

    def _failed(self, failure: Failure) -> str:
        self.log.failure("whether the server is ready cannot be said", failure)
        return "Whether the server is ready cannot be said; its log says why."

    def _looked(self, problem: str) -> None:
        self._known = self._clock.seconds(), problem
        waiting, self._asking = self._asking or [], None
        for each in waiting:
            each.callback(problem)


def _answer(request: Intake, problem: str) -> None:
    if request.channel is None:
        return
    body = (problem or "ok").encode()
    request.setResponseCode(503 if problem else 200)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(body))
    request.write(body)
    request.finish()
