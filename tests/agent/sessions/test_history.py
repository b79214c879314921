"""Which part of a history goes into a prompt, and what it is thought to cost."""

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import builds, integers, just, lists, none, sampled_from, text
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.history import estimate_all, estimate_tokens, last_turn_start, window
from llamaproxy.seams.types import Image, Message, ToolCall

CALLS = (ToolCall(id="1", name="look", arguments='{"at": "it"}'),)
PICTURES = (Image(media_type="image/png", data="x"),)
MESSAGES = builds(
    Message,
    role=sampled_from(["user", "assistant", "tool"]),
    content=text(max_size=40),
    tool_calls=sampled_from([(), (), (), CALLS]),
    images=sampled_from([(), (), (), PICTURES]),
    interrupted=just(False),
)
HISTORIES = lists(MESSAGES, max_size=12)


def fits(messages: Sequence[Message], most: int, tokens: int | None) -> bool:
    cost = sum(estimate_tokens(message) for message in messages)
    return (not most or len(messages) <= most) and (tokens is None or cost <= tokens)


class HistoryTests(SynchronousTestCase):
    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(HISTORIES)
    def test_prompt_costs_what_its_messages_cost(self, messages: list[Message]) -> None:
        self.assertEqual(estimate_all(messages), sum(estimate_tokens(message) for message in messages))

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(HISTORIES, integers(0, 13), none() | integers(-5, 200))
    def test_window_is_the_longest_that_fits_and_begins_with_the_user_or_else_the_last_turn(
        self, history: list[Message], most: int, tokens: int | None
    ) -> None:
        last = last_turn_start(history)
        starts = (index for index, message in enumerate(history[:last]) if message.role == "user")
        start = next((index for index in starts if fits(history[index:], most, tokens)), last)
        self.assertEqual(window(history, most, tokens), history[start:])
