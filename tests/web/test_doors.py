"""Every endpoint against all rights, safe ones, none, the operator and a stranger; the document shows the same."""

from pathlib import Path
from typing import Any

from llamaproxy.config import Profile
from llamaproxy.console.pages import CONSOLE, OPEN, Pages
from llamaproxy.web.guard import Guard
from llamaproxy.web.health import LIVES, READY
from llamaproxy.web.routes import Routes
from tests.console.case import PagesCase
from tests.support import House
from tests.test_docs import read
from tests.web.doors import COLUMNS, DOORS, NO, YES, Door, rows

STRANGER = "8.8.8.8"
RIGHTS: dict[str, dict[str, Any]] = {
    "all": {"commands": "all"},
    "safe": {"commands": "safe"},
    "none": {"commands": "none"},
    "operator": {"operator": True},
}


# Something that each of them understands.
BODY: dict[str, Any] = {
    "model": "main",
    "name": "main",
    "source": "main",
    "destination": "copy",
    "code": "wrong",
    "messages": [{"role": "user", "content": "!help"}],
    "max_tokens": 9,
    "stream": False,
}


class DoorTests(PagesCase):
    def let_in(self, method: str, path: str, column: str) -> str:
        profiles = {name: Profile(key=f"{name}-key", **more) for name, more in RIGHTS.items()}
        self.take_house(House(folder=Path(self.mktemp())), Guard(callers=profiles))
        headers = {} if column == "nobody" else {"Authorization": f"Bearer {column}-key"}
        body = BODY if method in ("POST", "DELETE") else b""
        code = self.front.connect(STRANGER).send(method, path, body, **headers).response().code
        return NO if code in (401, 403) else YES

    def cells_of(self, door: Door) -> tuple[str, ...]:
        found: list[str] = []
        for column in COLUMNS:
            seen = {self.let_in(method, door.path, column) for method in door.methods}
            self.assertEqual(len(seen), 1, (door, column))
            found += seen
        return tuple(found)

    def test_each_cell_is_as_the_table_says(self) -> None:
        for door in DOORS:
            self.assertEqual(self.cells_of(door), door.may, door.rule)

    def test_every_endpoint_is_in_the_table(self) -> None:
        self.take_house(self.house)
        routes = self.front.site.resource
        assert isinstance(routes, Routes)
        there = {
            (rule.rule, method)
            for kind in routes.endpoints
            for rule in kind.app.url_map.iter_rules()
            for method in rule.methods or ()
        }
        there |= {(path.decode(), method) for path in (LIVES, READY) for method in ("GET", "HEAD")}
        there |= {("/metrics", "GET"), ("/", "GET"), ("/", "HEAD")}
        pages = routes.pages
        assert isinstance(pages, Pages)
        there |= {(path, method) for path in (CONSOLE, *OPEN, *pages.views) for method in ("GET", "HEAD")}
        there |= {(path, "POST") for path in (*pages.changes, *pages.entrances)}
        self.assertEqual({(door.rule, method) for door in DOORS for method in door.methods}, there)

    def test_document_shows_the_table(self) -> None:
        self.assertIn(rows(), read("docs/rights.md"))
