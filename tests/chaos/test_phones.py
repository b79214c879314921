"""A short run of the program that kills servers under phones that have left, so that it works for hours as well."""

from typing import Any

from twisted.trial.unittest import TestCase

from chaos import phones
from chaos.fleet import new_postgres
from tests.store.postgres import or_skip


class PhoneTests(TestCase):
    timeout = 180

    async def play(self, rounds: int, postgres: Any = None) -> None:
        seen: list[phones.Office] = []
        counts, problems = await phones.play(rounds, 3, 5, postgres, seen.append)
        self.assertEqual(problems, [])
        self.assertEqual((len(seen), counts["answers told"]), (rounds, 3 * rounds))

    async def test_no_call_is_made_twice_and_no_answer_lost_when_the_server_is_killed(self) -> None:
        await self.play(2)

    async def test_nor_when_one_of_two_servers_on_one_database_is(self) -> None:
        postgres = or_skip(new_postgres)
        self.addCleanup(postgres.end)
        await self.play(1, postgres)
