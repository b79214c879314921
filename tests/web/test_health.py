"""What load balancers are told."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.web.health import FRESH, PATIENCE, Health
from llamaproxy.web.routes import Routes
from llamaproxy.web.site import FrontSite
from tests.support import Response, Wire

from .test_routes import WebCase


class PageTests(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.problem = ""
        self.looks = 0
        self.clock = self.house.clock
        self.health = Health(self.clock, [self.check])
        site = self.front.site
        self.site = FrontSite(
            Routes(self.house.agent, site.guard, self.clock, health=self.health), site.guard, self.clock
        )

    async def check(self) -> str:
        self.looks += 1
        return self.problem

    def get(self, path: str, address: str = "192.168.1.20") -> Response:
        return Wire(self.site, address, "10.0.0.1").send("GET", path).response()

    def test_process_that_lives_says_so_whatever_is_not_there(self) -> None:
        self.problem = "The database is away."
        self.assertEqual(self.get("/healthz").code, 200)
        self.assertEqual(self.looks, 0)

    def test_ready_is_who_has_all_that_a_message_needs(self) -> None:
        self.assertEqual(self.get("/readyz").code, 200)
        self.problem = "The database is away."
        self.clock.advance(FRESH)
        response = self.get("/readyz")
        self.assertEqual((response.code, response.body), (503, b"The database is away."))

    def test_many_questions_cost_one_look(self) -> None:
        for _ in range(5):
            self.get("/readyz")
        self.assertEqual(self.looks, 1)

    def test_strangers_are_told_nothing(self) -> None:
        self.assertEqual(self.get("/readyz", "8.8.8.8").code, 403)

    def test_server_that_is_watched_tells_that_it_leaves_before_it_is_deaf(self) -> None:
        self.get("/readyz")
        left = self.health.leave()
        self.assertEqual(self.get("/readyz").code, 503)
        self.assertNoResult(left)
        self.get("/readyz")
        self.successResultOf(left)


class LeavingTests(SynchronousTestCase):
    def test_server_that_nobody_watches_leaves_at_once(self) -> None:
        self.successResultOf(Health(Clock()).leave())

    def test_watcher_that_asks_no_more_is_not_waited_for_for_long(self) -> None:
        clock = Clock()
        health = Health(clock, [lambda: succeed("")])
        health._asked_at = clock.seconds()
        left: Deferred[None] = health.leave()
        clock.advance(PATIENCE)
        self.successResultOf(left)
