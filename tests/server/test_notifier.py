"""Notifications: where they go, what is in them, and how often they are tried."""

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.server.notifier import PAUSES, Notifier

TOPIC = "https://ntfy.example.org/mine"


class Answer:
    def __init__(self, code: int) -> None:
        self.code = code

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(None)


class NotifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.outcomes: list[Any] = []
        self.notifier = Notifier(self.post, ["ntfy.example.org"], "https://agent.example.org/", self.clock)

    def post(self, url: str, **more: Any) -> Deferred[Any]:
        self.sent.append((url, more))
        outcome = self.outcomes.pop(0) if self.outcomes else Answer(200)
        return fail(outcome) if isinstance(outcome, Exception) else succeed(outcome)

    def test_one_post_with_the_beginning_of_the_message_and_a_link(self) -> None:
        self.notifier.notify(TOPIC, "count the stars", False)
        [(url, more)] = self.sent
        self.assertEqual((url, more["data"]), (TOPIC, b'"count the stars" was answered.'))
        self.assertEqual(more["headers"]["Click"], "https://agent.example.org/")
        self.assertFalse(more["allow_redirects"])

    def test_question_for_leave(self) -> None:
        self.notifier.notify(TOPIC, "drop it", True)
        self.assertEqual(self.sent[0][1]["data"], b'"drop it" needs your leave.')

    def test_nobody_else_is_told(self) -> None:
        for address in (
            "",
            "https://elsewhere.example.org/mine",
            "https://ntfy.example.org.evil.org/",
            "nonsense",
        ):
            self.notifier.notify(address, "hello", False)
        self.assertEqual(self.sent, [])

    def test_it_is_tried_again_after_a_failure(self) -> None:
        self.outcomes = [OSError(), Answer(503)]
        self.notifier.notify(TOPIC, "hello", False)
        for pause in PAUSES:
            self.clock.advance(pause)
        self.assertEqual(len(self.sent), 3)

    def test_it_is_given_up_after_some_tries_or_a_refusal(self) -> None:
        for outcomes, tries in (
            ([Answer(500)] * 9, 1 + len(PAUSES)),
            ([Answer(403)] * 9, 1),
            ([Answer(302)] * 9, 1),
        ):
            self.setUp()
            self.outcomes = outcomes
            self.notifier.notify(TOPIC, "hello", False)
            for pause in PAUSES:
                self.clock.advance(pause)
            self.assertEqual(len(self.sent), tries)
