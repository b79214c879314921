"""A short run of the program that breaks nodes, so that it works when somebody runs it for hours."""

import contextlib

from twisted.trial.unittest import TestCase

from chaos.fleet import Fleet, new_postgres
from tests.store.postgres import or_skip

with contextlib.suppress(ImportError):
    from chaos.nodes import Chaos


class NodeTests(TestCase):
    timeout = 120

    async def test_no_answered_turn_is_lost_whatever_happens_to_nodes_and_database(self) -> None:
        postgres = or_skip(new_postgres)
        self.addCleanup(postgres.end)
        fleet = Fleet(2, postgres)
        self.addCleanup(fleet.end)
        await fleet.start()
        chaos = Chaos(fleet, 8, 1, freeze=2.0)
        found = await chaos.run(["kill", "stop", "immediate", "term"])
        self.assertTrue(found.is_good, f"{found}\n{chaos.problems}")
        self.assertGreater(found.turns, 20)
