"""A short run of the program that breaks nodes, so that it works when somebody runs it for hours."""

from twisted.trial.unittest import SkipTest, TestCase

from chaos.fleet import Fleet, new_postgres
from tests.tools.sql.servers import Missing

try:
    from chaos.nodes import Chaos
except ImportError:
    Chaos = None  # type: ignore[assignment,misc]


class NodeTests(TestCase):
    timeout = 120

    async def test_no_answered_turn_is_lost_whatever_happens_to_nodes_and_database(self) -> None:
        if Chaos is None:
            raise SkipTest("psycopg is not installed; with pip: pip install 'llamaproxy[postgres]'")
        try:
            postgres = new_postgres()
        except Missing as missing:
            raise SkipTest(str(missing)) from None
        self.addCleanup(postgres.end)
        fleet = Fleet(2, postgres)
        self.addCleanup(fleet.end)
        await fleet.start()
        chaos = Chaos(fleet, 8, 1, freeze=2.0)
        found = await chaos.run(["kill", "stop", "immediate", "term"])
        self.assertTrue(found.is_good, f"{found}\n{chaos.problems}")
        self.assertGreater(found.turns, 20)
