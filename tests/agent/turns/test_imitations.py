"""What looks like the agent's own questions and refusals."""

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import lists, sampled_from
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.turns import imitations

# A long s is one to whoever does not tell capitals from small letters.
PIECES = sampled_from(
    [
        "!",
        "yes",
        "NO",
        "alway\u017f",
        " ",
        "ABCD",
        ": ",
        "need\u017f your leave",
        "It was ",
        "refused",
        ". To allow it",
    ]
)


class ImitationsTests(SynchronousTestCase):
    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=500)
    @given(lists(PIECES, max_size=6).map("".join))
    def test_nothing_that_looks_so_is_passed_over_for_lack_of_its_signs(self, text: str) -> None:
        self.assertEqual(imitations.imitates(text), imitations._IMITATION.search(text) is not None)
