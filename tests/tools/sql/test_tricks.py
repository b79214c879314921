"""Tables that are shut by name, against every trick: neither a value nor a change gets past the gates."""

from llamaproxy.seams.errors import ToolError

from .everyday import EVERYDAY
from .gated import GatedCase, MariaDbGated, PostgresGated, SqliteGated
from .tricks import TRICKS


class _Tricks(GatedCase):
    async def run_all(self) -> None:
        """Runs what everybody runs."""
        refused = []
        for sql in EVERYDAY[self.dialect]:
            try:
                await self.ask(sql)
            except ToolError as error:
                refused.append(f"{self.dialect}: {sql!r}: {error}")
        self.assertEqual(refused, [], "\n".join(refused))

    async def hold(self, only_database: bool = False) -> None:
        """Tries all tricks."""
        before = self.contents()
        wrong = []
        for sql in TRICKS[self.dialect]:
            wrong += await self._holds(sql, before, only_database)
        self.assertEqual(wrong, [], "\n".join(wrong))


class SqliteTricks(SqliteGated, _Tricks):
    async def test_tables_that_are_shut_stay_shut(self) -> None:
        await self.hold()

    async def test_everyday_statements_run(self) -> None:
        await self.run_all()

    async def test_the_database_holds_them_shut_where_the_guard_is_fooled(self) -> None:
        await self.hold(only_database=True)


class PostgresTricks(PostgresGated, _Tricks):
    async def test_tables_that_are_shut_stay_shut(self) -> None:
        await self.hold()

    async def test_everyday_statements_run(self) -> None:
        await self.run_all()

    async def test_the_database_holds_them_shut_where_the_guard_is_fooled(self) -> None:
        await self.hold(only_database=True)


class MariaDbTricks(MariaDbGated, _Tricks):
    async def test_tables_that_are_shut_stay_shut(self) -> None:
        await self.hold()

    async def test_everyday_statements_run(self) -> None:
        await self.run_all()
