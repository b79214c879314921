"""A whole server in memory, with its pages."""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import StringTransport

from llamaproxy.console.checkup import Checkup
from llamaproxy.console.loglines import LogLines
from llamaproxy.console.pages import Pages
from llamaproxy.console.snapshot import Snapshot
from llamaproxy.web.guard import Guard
from llamaproxy.web.routes import Routes
from tests.support import Front, Response, Wire
from tests.web.test_routes import WebCase

KEY = "k" * 40


class PagesCase(WebCase):
    """`visit` comes in by a link; `read` and `change` are what the page does then."""

    def setUp(self) -> None:
        super().setUp()
        self.take_house(self.house)

    def take_house(self, house: Any) -> None:
        """Puts pages before a house."""
        self.house = house
        guard = Guard(operator_key=KEY)
        self.front = Front(house, guard)
        self.lines = LogLines()
        self.kept: list[tuple[Any, ...]] = []
        site, clock = self.front.site, house.clock
        oversight, records = house.agent.oversight, house.recorder
        checkup = Checkup(run=lambda *_: Deferred())
        snapshot = Snapshot(site, oversight, records, self.lines, checkup, clock.seconds)
        routes = site.resource
        assert isinstance(routes, Routes)
        routes.pages = Pages(
            guard,
            oversight,
            records,
            snapshot,
            self.lines,
            checkup,
            clock,
            lambda request: "http://192.168.1.2:11434/chat",
            self.keep,
            KEY,
        )
        site.has_pages = True

    def keep(self, *what: Any) -> Deferred[None]:
        """Stands in for writing a switch into the operator's file."""
        self.kept.append(what)
        return succeed(None)

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
