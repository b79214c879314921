"""Gates that open little: what runs with them, and what the database finds out and refuses."""

from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.gates import DB, GateMap

from .gated import OPEN, SHUT, GatedCase, MariaDbGated, PostgresGated, SqliteGated

READ = {"read": True}
WRITE = {"write": True}
WRITE_ONLY = {"read": False, "write": True}

Row = tuple[dict[str, dict[str, bool]], str, str]

# (gates of tables, statement, the gate in its way; "" for none)
_EVERYWHERE: list[Row] = [
    ({"orders": READ}, "SELECT y FROM orders", ""),
    ({"v_orders": READ}, "SELECT * FROM v_orders", "read table orders"),
    ({"v_orders": READ, "orders": READ}, "SELECT * FROM v_orders", ""),
    ({"v_orders": READ, "orders": SHUT, "*": OPEN}, "SELECT * FROM v_orders", "read table orders"),
    ({"orders": WRITE}, "INSERT INTO orders VALUES ('a')", ""),
    ({"orders": WRITE}, "UPDATE orders SET y = 'b' WHERE y = 'a'", ""),
    ({"orders": WRITE}, "DELETE FROM orders WHERE y = 'b'", ""),
    ({"orders": WRITE_ONLY}, "INSERT INTO orders VALUES ('a')", ""),
    ({"orders": WRITE_ONLY}, "UPDATE orders SET y = 'b' WHERE y = 'a'", ""),
    ({"orders": WRITE_ONLY}, "DELETE FROM orders WHERE y = 'b'", ""),
    ({"orders": WRITE_ONLY, "*": OPEN}, "CREATE TABLE copied AS SELECT y FROM orders", "read table orders"),
    ({"orders": WRITE, "people": READ}, "INSERT INTO orders SELECT name FROM people", ""),
    ({"orders": WRITE}, "INSERT INTO orders SELECT name FROM people", "read table people"),
    ({"orders": READ}, "INSERT INTO orders VALUES ('a')", "write table orders"),
    ({"logged": WRITE}, "INSERT INTO logged VALUES ('a')", "write table log"),
    ({"logged": WRITE, "log": WRITE}, "INSERT INTO logged VALUES ('a')", ""),
    ({"logged": WRITE, "log": SHUT, "*": OPEN}, "INSERT INTO logged VALUES ('a')", "write table log"),
    ({"fresh": WRITE}, "CREATE TABLE fresh (id int PRIMARY KEY, a int UNIQUE)", ""),
    ({"fresh": WRITE}, "CREATE INDEX by_a ON fresh (a)", ""),
    ({"fresh": WRITE}, "ALTER TABLE fresh ADD COLUMN b int", ""),
    ({"fresh": WRITE}, "DROP TABLE fresh", ""),
    ({}, "SELECT 1", "read table __meta__"),
    ({"__meta__": READ}, "SELECT 1", ""),
    ({"__meta__": READ}, "EXPLAIN SELECT y FROM orders", ""),
    ({"__meta__": READ, "orders": SHUT}, "EXPLAIN SELECT y FROM orders", "read table orders"),
    ({"__unknown__": OPEN, "*": OPEN}, "SELECT y FROM\x0corders", "files and programs"),
]  # fmt: skip

_SQLITE: list[Row] = [
    ({"orders": WRITE_ONLY, "*": OPEN}, "DELETE FROM orders RETURNING y", "read table orders"),
    ({"letters": READ}, "SELECT body FROM letters WHERE letters MATCH 'dear'", ""),
    ({"letters": WRITE}, "INSERT INTO letters VALUES ('dear friend')", ""),
    ({"letters": READ}, "SELECT c0 FROM letters_content", "read table letters_content"),
    ({"letters_content": READ}, "SELECT c0 FROM letters_content", "read table letters"),
    ({"letters": SHUT, "*": OPEN}, "SELECT c0 FROM letters_content", "read table letters"),
    ({"boxes": READ}, "SELECT id FROM boxes WHERE low > 0", ""),
    ({"main.orders": SHUT, "*": OPEN}, "SELECT y FROM orders", "read table orders"),
    ({"orders": READ}, "SELECT y FROM main.orders", ""),
    ({"*": OPEN}, "SELECT * FROM sqlite_stat1", ""),
    ({"sqlite_stat1": READ}, "SELECT * FROM sqlite_stat1", "read any table"),
]

_POSTGRES: list[Row] = [
    ({"orders": WRITE_ONLY, "*": OPEN}, "DELETE FROM orders RETURNING y", "read table orders"),
    ({"events": READ}, "SELECT * FROM events", ""),
    ({"events": OPEN}, "INSERT INTO events VALUES (2, 'x')", ""),
    ({"events": READ, "events_2025": SHUT}, "SELECT * FROM events", "read table events_2025"),
    ({"events": SHUT, "*": OPEN}, "SELECT * FROM events_2025", "read table events"),
    ({"people": WRITE}, "INSERT INTO people (name) VALUES ('Una')", ""),
    ({"bought": WRITE}, "INSERT INTO bought (person) VALUES (1)", ""),
    ({"people": WRITE}, "DELETE FROM people WHERE id = 1", "write table bought"),
    ({"people": WRITE, "bought": WRITE}, "DELETE FROM people WHERE id = 1", ""),
    ({"m_orders": READ}, "SELECT * FROM m_orders", "read table orders"),
    ({"public.orders": SHUT, "*": OPEN}, "SELECT y FROM orders", "read table orders"),
    ({"*": OPEN}, "SELECT most_common_vals::text FROM pg_stats", ""),
    ({"pg_catalog.pg_stats": READ}, "SELECT most_common_vals::text FROM pg_stats", "read any table"),
    ({"*": OPEN}, "SELECT * FROM pg_shadow", "accounts"),
    ({"*": OPEN, "__accounts__": READ}, "SELECT usename FROM pg_shadow", ""),
    ({"*": OPEN, "__unknown__": OPEN}, "SELECT pg_read_file('/etc/hostname')", "files and programs"),
    ({"*": OPEN}, "SELECT * FROM v_file", "files and programs"),
    ({"*": OPEN}, "SELECT * FROM v_activity", "accounts"),
    ({"*": OPEN}, "SELECT * FROM host_file", "files and programs"),
    ({"*": OPEN}, "SELECT * FROM v_leak", "cannot be judged"),
    ({"*": OPEN, "__unknown__": OPEN}, "SELECT leak()", ""),
    ({"__unknown__": OPEN}, "SELECT leak()", "read table secrets"),
    ({"__unknown__": OPEN, "secrets": READ}, "SELECT leak_sql()", ""),
]

_MYSQL: list[Row] = [
    ({"people": WRITE}, "DELETE FROM people WHERE id = 1", "write table bought"),
    ({"people": WRITE, "bought": WRITE}, "DELETE FROM people WHERE id = 1", ""),
    ({"shop.orders": SHUT, "*": OPEN}, "SELECT y FROM orders", "read table orders"),
    ({"*": OPEN}, "SELECT * FROM mysql.column_stats", ""),
    ({"*": OPEN}, "SELECT * FROM mysql.user", "accounts"),
    ({"*": OPEN}, "SHOW PROCESSLIST", "accounts"),
    ({"*": OPEN, "__accounts__": READ}, "SELECT User FROM mysql.user", ""),
    ({"*": OPEN, "__unknown__": OPEN}, "SELECT LOAD_FILE('/etc/hostname')", "files and programs"),
    ({"*": OPEN}, "SELECT * FROM v_leak", "cannot be judged"),
    ({"merged": READ}, "SELECT * FROM merged", "read table vault"),
]


class _Narrow(GatedCase):
    async def check(self, rows: list[Row]) -> None:
        """Runs the statements; where a gate is in the way, the refusal has to name it."""
        wrong = []
        for tables, sql, way in rows:
            gates: GateMap = {DB: tables}
            try:
                await self.ask(sql, gates)
                told = ""
            except ToolError as error:
                told = str(error)
            if bool(told) != bool(way) or way not in told:
                wrong.append(f"{sql!r} with {tables}: {told or 'it was run'}")
        self.assertEqual(wrong, [], "\n".join(wrong))


class SqliteNarrow(SqliteGated, _Narrow):
    async def test_each_table_that_is_touched_needs_its_gate(self) -> None:
        await self.check(_EVERYWHERE + _SQLITE)


class PostgresNarrow(PostgresGated, _Narrow):
    async def test_each_table_that_is_touched_needs_its_gate(self) -> None:
        await self.check(_EVERYWHERE + _POSTGRES)

    async def test_a_server_that_only_reads_is_looked_at_through_its_catalogue(self) -> None:
        self.server.execute(
            "CREATE ROLE looker LOGIN",
            "ALTER ROLE looker SET default_transaction_read_only = on",
            "GRANT USAGE ON SCHEMA public TO looker",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker",
        )
        self.addCleanup(self.server.execute, "DROP OWNED BY looker", "DROP ROLE looker")
        self.use(self.server.url.replace("tester", "looker"))
        await self.check(
            [
                ({"orders": READ}, "SELECT y FROM orders", ""),
                ({"v_orders": READ}, "SELECT * FROM v_orders", "read table orders"),
                ({"*": OPEN}, "SELECT * FROM v_file", "files and programs"),
                ({"*": OPEN}, "SELECT * FROM public.v_leak, orders", "cannot be judged"),
                ({"*": OPEN}, "SELECT 1", ""),
            ]
        )


class MariaDbNarrow(MariaDbGated, _Narrow):
    async def test_each_table_that_is_touched_needs_its_gate(self) -> None:
        await self.check(_EVERYWHERE + _MYSQL)
