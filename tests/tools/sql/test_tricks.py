"""Tables that are shut by name, against every trick: neither a value nor a change gets past the gates."""

from unittest import SkipTest

from pymysql import MySQLError

from llamaproxy.seams.errors import ToolError
from llamaproxy.tools.sql.statement import Dialect, Verdict

from .detours import DETOURS
from .everyday import EVERYDAY
from .gated import VALUE, Closed, GatedCase, MariaDbGated, PostgresGated, SqliteGated
from .tricks import TRICKS


class _Tricks(GatedCase):
    timeout = 300

    async def run_all(self) -> None:
        """Runs what everybody runs."""
        refused = []
        for sql in EVERYDAY[self.dialect]:
            try:
                await self.ask(sql)
            except ToolError as error:
                refused.append(f"{self.dialect}: {sql!r}: {error}")
        self.assertEqual(refused, [], "\n".join(refused))

    async def hold(self, tricks: dict[Dialect, list[str]], only_database: bool = False) -> None:
        """Tries all tricks, with the gates in the way or as if they had been fooled."""
        before = self.contents()
        wrong = []
        for sql in tricks[self.dialect]:
            found = await self._found(sql, only_database)
            if found != "closed" and self.contents() != before:
                found = f"it is changed; {found}"
                self.prepare()
            if found not in ("", "closed"):
                wrong.append(f"{self.dialect}: {sql!r}: {found}")
        self.assertEqual(wrong, [], "\n".join(wrong))

    def fool(self) -> None:
        """Has the guard take every statement for a harmless one on `orders`."""
        judged = self.tool._verdict

        def fooled(sql: str) -> Verdict:
            verdict = judged(sql)
            if verdict.only_describes:
                return verdict
            if verdict.writes and not sql.lower().lstrip(" (").startswith(("select", "with")):
                return Verdict(text=sql, writes=("orders",))
            return Verdict(text=verdict.text, reads=("orders",))

        self.patch(self.tool, "_verdict", fooled)

    async def _found(self, sql: str, only_database: bool) -> str:
        """What is wrong with the answer to a trick; `closed` for one that was not begun."""
        try:
            answer = await self.ask(sql, only_database=only_database)
        except Closed:
            return "closed"
        except ToolError as error:
            return "its value is told in the error" if VALUE in str(error) and VALUE not in sql else ""
        if VALUE in answer:
            return "its value is told"
        return "" if only_database else "it was run"


class SqliteTricks(SqliteGated, _Tricks):
    async def test_tables_that_are_shut_stay_shut(self) -> None:
        await self.hold(TRICKS)

    async def test_no_detour_leads_around_them(self) -> None:
        await self.hold(DETOURS)

    async def test_everyday_statements_run(self) -> None:
        await self.run_all()

    async def test_the_database_holds_them_shut_where_the_guard_is_fooled(self) -> None:
        await self.hold(TRICKS, only_database=True)

    async def test_the_database_holds_them_shut_whatever_the_guard_took_them_for(self) -> None:
        self.fool()
        await self.hold(DETOURS, only_database=True)


class PostgresTricks(PostgresGated, _Tricks):
    async def test_values_that_are_stored_apart_are_those_of_their_table(self) -> None:
        [[name]] = self.server.query(
            "SELECT t.relname::text FROM pg_class t JOIN pg_class s ON s.reltoastrelid = t.oid "
            "WHERE s.oid = 'public.secrets'::regclass"
        )
        for only_database in (False, True):
            with self.assertRaisesRegex(ToolError, "read table secrets"):
                await self.ask(f"SELECT * FROM pg_toast.{name}", only_database=only_database)

    async def test_tables_that_are_shut_stay_shut(self) -> None:
        await self.hold(TRICKS)

    async def test_no_detour_leads_around_them(self) -> None:
        await self.hold(DETOURS)

    async def test_everyday_statements_run(self) -> None:
        await self.run_all()

    async def test_the_database_holds_them_shut_where_the_guard_is_fooled(self) -> None:
        await self.hold(TRICKS, only_database=True)

    async def test_the_database_holds_them_shut_whatever_the_guard_took_them_for(self) -> None:
        self.fool()
        await self.hold(DETOURS, only_database=True)


class MariaDbTricks(MariaDbGated, _Tricks):
    async def test_tables_that_are_shut_stay_shut(self) -> None:
        await self.hold(TRICKS)

    async def test_no_detour_leads_around_them(self) -> None:
        await self.hold(DETOURS)

    async def test_everyday_statements_run(self) -> None:
        await self.run_all()

    async def test_the_database_holds_them_shut_whatever_the_guard_took_them_for(self) -> None:
        self.fool()
        await self.hold(DETOURS, only_database=True)

    async def test_the_locks_of_a_plan_tell_what_it_leaves_out(self) -> None:
        self.show_locks()
        await self.run_all()
        self.prepare()
        self.fool()
        for sql in (
            "INSERT INTO orders VALUES ('a') RETURNING (SELECT max(s.x) FROM secrets s)",
            "INSERT INTO calls_secrets VALUES ('mine')",
            "DELETE FROM parents",
            "SELECT v.x FROM merged v",
        ):
            with self.assertRaisesRegex(
                ToolError, "has not allowed to (read|write) table (secrets|kid|vault)"
            ):
                await self.ask(sql, only_database=True)

    def show_locks(self) -> None:
        """Has the server show its locks. Raises `SkipTest`."""
        try:
            self.server.execute("INSTALL SONAME 'metadata_lock_info'")
        except MySQLError as error:
            raise SkipTest(str(error)) from None
        self.addCleanup(self.server.execute, "UNINSTALL SONAME 'metadata_lock_info'")
