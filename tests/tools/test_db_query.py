"""`db_query` against real databases: SQLite, and private PostgreSQL and MariaDB servers."""

from pathlib import Path
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from llamaproxy.config.tools import DbQuery
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.interfaces import ITool
from llamaproxy.seams.types import Access
from llamaproxy.tools.db_query import DbQueryTool
from llamaproxy.tools.threads import Workers

from . import databases
from .sql.servers import Missing, mariadb, postgres
from .support import call


class AccessTests(SynchronousTestCase):
    def access(self, sql: str, url: str = "db.sqlite") -> Access:
        tool = DbQueryTool(DbQuery(url=url), "", self.home, Workers(Clock()))
        verifyObject(ITool, tool)
        return tool.access({"sql": sql})

    def setUp(self) -> None:
        self.home = Path(self.mktemp())

    def test_tables_are_named_by_side(self) -> None:
        access = self.access("INSERT INTO a SELECT * FROM b")
        self.assertEqual((access.operation, access.reads, access.writes), ("write", ("b",), ("a",)))

    def test_a_description_of_the_database_names_no_table(self) -> None:
        access = self.access("SELECT name FROM sqlite_master")
        self.assertEqual((access.operation, access.reads, access.writes), ("read", (), ()))

    def test_the_dialect_is_that_of_the_url(self) -> None:
        sql = "SELECT * FROM shop.users"
        self.assertEqual(self.access(sql, "mysql://root@localhost/shop").reads, ("users",))
        self.assertEqual(self.access(sql, "postgresql://root@localhost/shop").reads, ("shop.users",))


class SqliteTests(databases.DatabaseCase):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    huge = "SELECT hex(zeroblob(3000000))"

    def url(self) -> str:
        return "db.sqlite"

    async def test_a_missing_file_is_made_by_a_write_only(self) -> None:
        self.assertIn("(0 rows)", await self.sql("SELECT name FROM sqlite_master"))
        self.assertFalse((self.home / "db.sqlite").exists())
        await self.sql("CREATE TABLE t (a int)")
        self.assertTrue((self.home / "db.sqlite").exists())

    async def test_no_statement_reaches_another_file(self) -> None:
        other = self.home / "other.sqlite"
        for statement in (f"ATTACH '{other}' AS other", f"VACUUM INTO '{other}'"):
            await self.refused(statement)
        self.assertFalse(other.exists())

    async def test_no_single_step_of_sqlite_outlives_the_time_limit(self) -> None:
        """Eight of them, as many as there are threads, and the tool still answers."""
        endless = (
            "SELECT printf('%.*c', 2000000000, 'x')",
            "SELECT instr(zeroblob(8000000), zeroblob(4000000) || x'01')",
            "SELECT replace(hex(zeroblob(4000000)), hex(zeroblob(2000000)) || '1', '')",
            "SELECT ltrim(replace(hex(zeroblob(3000000)), '0', 'a'), hex(zeroblob(2000000)) || 'a')",
            "SELECT rtrim(replace(hex(zeroblob(3000000)), '0', 'a'), hex(zeroblob(2000000)) || 'a')",
            "SELECT printf('%2000000000d', 1) || printf('%.2000000000f', 1.5) || printf('%.*c', 2000000000, 'y')",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT group_concat(i) FROM n",
            "WITH RECURSIVE n(i) AS (SELECT zeroblob(8000000) UNION ALL SELECT i FROM n) SELECT max(i) FROM n",
        )
        tool = self.make(self.url(), statement_timeout=0.5)
        calls = [call(tool, reactor, sql=sql) for sql in endless]
        results = await DeferredList(calls, consumeErrors=True)
        self.assertEqual([succeeded for succeeded, _ in results], [False] * len(endless))
        self.assertEqual(self.workers.busy, 0)
        self.assertIn("\n1\n", await call(tool, reactor, sql="SELECT 1"))

    async def test_a_value_of_a_gigabyte_is_refused(self) -> None:
        await self.sql("CREATE TABLE t (a int)")
        self.assertIn("too big", await self.refused("SELECT zeroblob(900000000)"))


class PostgresTests(databases.DatabaseCase):
    endless = "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000) b"
    huge = "SELECT repeat('x', 5000000)"

    def url(self) -> str:
        try:
            self.server = postgres()
        except Missing as missing:
            raise SkipTest(str(missing)) from None
        return self.server.url

    def setUp(self) -> None:
        super().setUp()
        self.server.execute("DROP TABLE IF EXISTS people", "DROP TABLE IF EXISTS kept")

    async def test_a_value_that_no_memory_should_hold_is_refused(self) -> None:
        self.assertIn("more than 16 MiB", await self.refused("SELECT repeat('x', 50000000)"))
        self.assertIn("\n1\n", await self.sql("SELECT 1"))

    async def test_a_function_that_writes_is_refused_inside_a_view(self) -> None:
        self.server.execute(
            "CREATE TABLE IF NOT EXISTS log (a int)",
            "CREATE OR REPLACE FUNCTION sneak() RETURNS int LANGUAGE sql AS 'INSERT INTO log VALUES (1) RETURNING a'",
            "CREATE OR REPLACE VIEW harmless AS SELECT sneak()",
        )
        self.assertIn("read-only transaction", await self.refused("SELECT * FROM harmless"))

    async def test_a_cancelled_statement_ends_on_the_server_too(self) -> None:
        await self.test_a_cancelled_statement_ends()
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%1000000000%'"

        def ended() -> None:
            [[count]] = self.server.query(running)
            assert count <= 1  # this look at it

        self.server.wait(ended)

    async def test_a_server_that_went_away_is_told_and_found_again(self) -> None:
        self.server.kill()
        self.assertIn("cannot be reached", await self.refused("SELECT 1"))
        self.server.boot()
        self.assertIn("\n1\n", await self.sql("SELECT 1"))

    async def test_a_server_that_dies_in_the_middle_is_told(self) -> None:
        running = call(self.tool, reactor, sql=self.endless)
        await deferLater(reactor, 0.3)
        self.server.kill()
        self.addCleanup(self.server.boot)
        with self.assertRaises(ToolError):
            await running


class MariaDbTests(databases.DatabaseCase):
    endless = "SELECT count(*) FROM seq_1_to_1000000000 a, seq_1_to_1000 b"
    huge = "SELECT repeat('x', 5000000)"

    def url(self) -> str:
        try:
            self.server = mariadb()
        except Missing as missing:
            raise SkipTest(str(missing)) from None
        return self.server.url

    def setUp(self) -> None:
        super().setUp()
        self.server.execute("DROP TABLE IF EXISTS people, kept")

    async def test_a_row_that_no_memory_should_hold_is_refused(self) -> None:
        part = "repeat('x', 9000000)"
        self.assertIn("more than 16 MiB", await self.refused(f"SELECT {part}, {part}"))
        self.assertIn("\n1\n", await self.sql("SELECT 1"))

    async def test_a_server_that_went_away_is_told_and_found_again(self) -> None:
        self.server.kill()
        self.assertIn("cannot be reached", await self.refused("SELECT 1"))
        self.server.boot()
        self.assertIn("\n1\n", await self.sql("SELECT 1"))
