"""A whole server in memory, with its pages."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from llamaproxy.seams.oversight import IFiles, Reloaded, Written
from llamaproxy.server.overlook import Worker, overlook
from llamaproxy.web.guard import Guard
from llamaproxy.web.routes import Routes
from tests.support import Front, Response, Wire
from tests.web.test_routes import WebCase

KEY = "k" * 40


@implementer(IFiles)
class FakeFiles:
    """The operator's files: notes what is written into them."""

    def __init__(self) -> None:
        self.kept: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self.says = Written()

    def operator_key(self) -> str:
        return KEY

    def written(self) -> Written:
        return self.says

    def keep_gate(self, *what: Any) -> Deferred[None]:
        return self._keep(None, *what)

    def set_model(self, *what: Any) -> Deferred[None]:
        return self._keep(None, *what)

    def add_caller(self, name: str, key: str, commands: Any) -> Deferred[str]:
        return self._keep(name or "phone", name, key, commands)

    def remove_caller(self, name: str, key: str) -> Deferred[None]:
        if self.failure is not None:
            return fail(self.failure)
        self.kept = [each for each in self.kept if each[:2] != (name, key)]
        return succeed(None)

    def _keep(self, result: Any, *what: Any) -> Deferred[Any]:
        if self.failure is not None:
            return fail(self.failure)
        self.kept.append(what)
        return succeed(result)


class PagesCase(WebCase):
    """`visit` comes in by a link; `read` and `change` are what the page does then."""

    worker: Worker | None = None

    def setUp(self) -> None:
        super().setUp()
        self.take_house(self.house)

    def take_house(self, house: Any, guard: Guard | None = None) -> None:
        """Puts pages before a house."""
        self.house = house
        guard = guard or Guard(operator_key=KEY)
        self.front = Front(house, guard)
        self.files = FakeFiles()
        site, clock = self.front.site, house.clock
        self.outcome = Reloaded(taken=True, lines=("the files were read again",))
        self.reload: Callable[[], Deferred[Reloaded]] = lambda: succeed(self.outcome)
        routes = site.resource
        assert isinstance(routes, Routes)
        made = overlook(
            site,
            house.agent.oversight,
            house.recorder,
            self.files,
            lambda: self.reload(),
            clock,
            self.worker,
        )
        self.witness = made.witness
        routes.pages = made.pages

    def link(self) -> str:
        """A code, as `agentctl console` gets it."""
        answer = self.front.ask("POST", "/console/link", b"{}", Authorization=f"Bearer {KEY}")
        path: str = answer.json()["path"]
        return path.partition("#")[2]

    def visit(self) -> tuple[str, str]:
        """The cookie and the token of a browser that followed a link."""
        answer = self.front.ask("POST", "/console/enter", {"code": self.link()})
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return cookie, self.front.ask("GET", "/console/me", Cookie=cookie).json()["token"]

    def change(self, path: str, body: dict[str, Any], **headers: str) -> Response:
        """What a button does."""
        cookie, token = self.visit()
        return self.front.ask("POST", path, body, Cookie=cookie, X_Console_Token=token, **headers)

    def listen(self) -> Wire:
        """A console that looks on."""
        cookie, _ = self.visit()
        return self.front.connect().send("GET", "/console/live", Cookie=cookie)


def heard(wire: Wire) -> bytes:
    """What a wire got since the last time."""
    transport: StringTransport = wire.transport
    value: bytes = transport.value()
    transport.clear()
    return value
