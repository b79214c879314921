"""What `db_query` promises on every database; `test_db_query` runs it on each."""

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from llamaproxy.config.tools import DbQuery
from llamaproxy.seams.errors import ToolError
from llamaproxy.tools.db_query import DbQueryTool
from llamaproxy.tools.sql import guard
from llamaproxy.tools.sql.statement import Verdict
from llamaproxy.tools.threads import Workers

from .support import call


class DatabaseCase(TestCase):
    """`url` says where the database is, `endless` is a read that would run for minutes, `huge` one of megabytes."""

    timeout = 120  # a server may have to be set up first
    endless: str
    huge: str

    def url(self) -> str:
        raise NotImplementedError

    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.tool = self.make(self.url())

    def make(self, url: str, **settings: Any) -> DbQueryTool:
        self.workers = Workers(reactor)
        tool = DbQueryTool(DbQuery(url=url, **settings), "", self.home, self.workers)
        self.addCleanup(tool.stop)
        return tool

    async def sql(self, statement: str, **settings: Any) -> str:
        tool = self.make(self.url(), **settings) if settings else self.tool
        return await call(tool, reactor, sql=statement)

    async def refused(self, statement: str, **settings: Any) -> str:
        try:
            text = await self.sql(statement, **settings)
        except ToolError as error:
            return str(error)
        raise AssertionError(f"{statement} gave {text}")

    async def test_writes_and_reads(self) -> None:
        await self.sql("CREATE TABLE people (id int, name text)")
        self.assertEqual(
            await self.sql("INSERT INTO people VALUES (1, 'Ann'), (2, NULL)"), "Done, 2 rows changed."
        )
        text = await self.sql("SELECT id, name FROM people ORDER BY id")
        self.assertEqual(text, "id | name\n1 | Ann\n2 | NULL\n(2 rows)")

    async def test_cells_stay_in_their_row(self) -> None:
        text = await self.sql("SELECT 'a|b' AS x, 'c\nd' AS y")
        self.assertEqual(text.splitlines()[1], "a\\|b | c\\nd")

    async def test_more_rows_than_allowed_are_left_out_and_said_so(self) -> None:
        union = " UNION ALL ".join(f"SELECT {n}" for n in range(10))
        text = await self.sql(f"SELECT 1 AS n UNION ALL {union}", max_rows=3)
        self.assertIn("(3 rows shown; there are more.", text)
        self.assertEqual(len(text.splitlines()), 5)

    async def test_more_bytes_than_allowed_are_left_out_and_said_so(self) -> None:
        text = await self.sql(
            "SELECT 'aaaaaaaaaa' UNION ALL SELECT 'bbbbbbbbbb' UNION ALL SELECT 'c'", max_bytes=22
        )
        self.assertIn("(2 rows shown; there are more.", text)

    async def test_a_huge_value_is_cut(self) -> None:
        text = await self.sql(self.huge)
        self.assertLess(len(text), 5000)
        self.assertIn("characters)", text)

    async def test_a_read_that_writes_after_all_is_refused_by_the_database(self) -> None:
        await self.sql("CREATE TABLE kept (id int)")
        # As if the guard had been fooled.
        self.patch(guard, "classify", lambda sql, *_: Verdict(text=sql))
        await self.refused("INSERT INTO kept VALUES (1)")
        await self.refused("SELECT 1; INSERT INTO kept VALUES (1)")
        await self.refused("COMMIT; INSERT INTO kept VALUES (1)")
        self.assertIn("\n0\n", await self.sql("SELECT count(*) FROM kept"))

    async def test_a_mistake_is_told_in_the_databases_words(self) -> None:
        self.assertIn("no_such_table", await self.refused("SELECT * FROM no_such_table"))

    async def test_a_statement_ends_at_its_time_limit(self) -> None:
        await self.refused(self.endless, statement_timeout=0.3)

    async def test_a_cancelled_statement_ends(self) -> None:
        running = call(self.tool, reactor, sql=self.endless)
        await deferLater(reactor, 0.2)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        while self.workers.busy:
            await deferLater(reactor, 0.01)

    async def test_two_statements_are_refused_even_as_a_write(self) -> None:
        await self.refused("SELECT 1; SELECT 2")
