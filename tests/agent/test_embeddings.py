"""Which embedder the agent asks."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import NoEmbedder
from tests.support import CountingEmbedder, House


class EmbedTests(SynchronousTestCase):
    def test_the_embedder_of_that_name_is_asked_or_else_the_first(self) -> None:
        first, second = CountingEmbedder("first"), CountingEmbedder("second")
        agent = House(folder=Path(self.mktemp()), embedders=[first, second]).agent
        for model, asked in (("second", second), ("first", first), ("text-embedding-3-small", first)):
            first.dimensions = second.dimensions = None
            answer = self.successResultOf(agent.embed(["hello"], model, 2))
            self.assertEqual((asked.dimensions, answer.vectors[0].tolist()), (2, [5.0, 0.2]))

    def test_embedders_are_not_among_the_models_to_talk_to(self) -> None:
        agent = House(folder=Path(self.mktemp()), embedders=[CountingEmbedder()]).agent
        self.assertEqual([info.key for info in agent.models()], ["main"])
        self.assertEqual([info.key for info in agent.embedders()], ["vectors"])

    def test_without_an_embedder_the_error_says_what_the_operator_can_do(self) -> None:
        agent = House(folder=Path(self.mktemp())).agent
        error = self.failureResultOf(agent.embed(["hello"]), NoEmbedder).value
        self.assertIn("llm-models.json", str(error))
