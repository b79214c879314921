"""The doctor behind the console's button."""

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.console.checkup import Checkup


class CheckupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.trouble: Exception | None = None
        self.asked = 0
        self.checkup = Checkup(self.run_at_once)
        self.server: Any = type("Server", (), {"models": None, "ask": None})()

    def run_at_once(self, function: Any, *arguments: Any) -> Deferred[Any]:
        """A thread that answers at once: first which models there are, then of each client that all is well."""
        self.asked += 1
        if self.trouble is not None and self.asked > 2:
            return fail(self.trouble)
        return succeed(["main"] if self.asked == 1 else "")

    def examine(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.checkup.begin(self.server, "key"))

    def test_every_client_is_asked(self) -> None:
        self.successResultOf(self.examine())
        self.assertTrue(self.checkup.rows)
        self.assertEqual({row.complaint for row in self.checkup.rows}, {""})

    def test_an_examination_that_breaks_off_says_so_and_can_be_begun_again(self) -> None:
        self.trouble = OSError("no thread left")
        self.failureResultOf(self.examine(), OSError)
        *done, last = self.checkup.rows
        self.assertEqual([row.complaint for row in done], [""])
        self.assertIn("could not be finished", last.complaint or "")
        self.trouble, self.asked = None, 0
        self.successResultOf(self.examine())
        self.assertEqual({row.complaint for row in self.checkup.rows}, {""})
