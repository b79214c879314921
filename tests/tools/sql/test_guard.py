"""The guard's verdicts: a table of statements, each with what it reads and what it writes."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.tools.sql.guard import classify
from llamaproxy.tools.sql.statement import Dialect, Verdict
from llamaproxy.tools.sql.words import LONGEST

Row = tuple[str, str]

# (statement, the tables it reads), none of them writes.
READS: dict[Dialect, list[Row]] = {
    "sqlite": [
        ("SELECT * FROM users", "users"),
        ("SELECT * FROM USERS u JOIN main.Orders o ON o.uid = u.id", "orders users"),
        ("SELECT a FROM users WHERE x IN (SELECT id FROM [Vip]);", "users vip"),
        ("SELECT * FROM 'secret'", "secret"),
        ("SELECT * FROM `secret`, \"more\"", "more secret"),
        ("SELECT größe FROM artikel", "artikel"),
        ("SELECT 1", ""),
        ("VALUES (1), (2)", ""),
        ("SELECT /* DELETE FROM users; */ a FROM users -- ; DROP TABLE users", "users"),
        ("SELECT ';', 'DELETE FROM users', '--' FROM t", "t"),
        ("WITH users AS (SELECT 1) SELECT * FROM users", ""),
        ("WITH secret AS (SELECT * FROM secret) SELECT * FROM secret", "secret"),
        ("SELECT * FROM (WITH secret AS (SELECT 1) SELECT * FROM secret) x, secret", "secret"),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, b", "b"),
        ("WITH users AS (SELECT 1) SELECT * FROM main.users", "users"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n", ""),
        ("SELECT a FROM t UNION SELECT b FROM u EXCEPT SELECT c FROM v", "t u v"),
        ("SELECT date('now'), printf('%d', 3), json_extract(j, '$.a'), count(*) FILTER (WHERE (a)) FROM t", "t"),
        ("SELECT row_number() OVER (PARTITION BY a ORDER BY b), CAST(a AS DECIMAL(10, 2)) FROM t", "t"),
        ("PRAGMA table_info(users)", ""),
        ("PRAGMA user_version", ""),
        ("SELECT name FROM pragma_table_info('users')", ""),
        ("SELECT sql FROM sqlite_master", ""),
        ("EXPLAIN QUERY PLAN SELECT * FROM users", ""),
        ("EXPLAIN DELETE FROM users", ""),
    ],
    "postgres": [
        ("SELECT * FROM public.users", "users"),
        ("SELECT * FROM other.users", "other.users"),
        ('SELECT * FROM "Users", Users', "Users users"),
        ("SELECT * FROM pg_authid", "pg_catalog.pg_authid"),
        ("SELECT * FROM pg_catalog.pg_tables, information_schema.columns", ""),
        ("TABLE users", "users"),
        ("SELECT a::int, b->>'x', now(), string_agg(x, ',') FROM t WHERE d ~ '\\d+' AND e ILIKE '%x%'", "t"),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY b) FROM t GROUP BY (a), ROLLUP (b)", "t"),
        ("SELECT extract(year from d), substring(a from 1 for 2), trim(both ' ' from x) FROM t", "t"),
        ("SELECT ARRAY(SELECT id FROM users), (SELECT x FROM y), EXISTS (SELECT 1 FROM z)", "users y z"),
        ("SELECT * FROM a LEFT JOIN LATERAL (SELECT * FROM b WHERE b.x = a.x) q ON true", "a b"),
        ("SELECT * FROM generate_series(1, 10) AS g(i), (VALUES (1, 2)) AS v(a, b)", ""),
        ("SELECT pg_catalog.lower(a) FROM t", "t"),
        ("SHOW search_path", ""),
        ("EXPLAIN (FORMAT JSON) SELECT * FROM users", ""),
        ("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM users", "users"),
    ],
    "mysql": [
        ("SELECT * FROM shop.users, other.Users", "other.Users users"),
        ("SELECT IF(a > 1, 'x', 'y'), GROUP_CONCAT(x SEPARATOR ',') FROM `my table` # end", "my table"),
        ("SELECT * FROM t USE INDEX (i) WHERE MATCH (a, b) AGAINST ('x' IN BOOLEAN MODE)", "t"),
        ("SELECT * FROM t WHERE d > NOW() - INTERVAL 1 DAY AND a = 'it\\'s; DELETE FROM t; -- '", "t"),
        ('SELECT "DELETE FROM t", @@version FROM dual_table', "dual_table"),
        ("SHOW TABLES", ""),
        ("SHOW CREATE TABLE users", ""),
        ("DESCRIBE users", ""),
        ("EXPLAIN FORMAT=JSON SELECT * FROM users", ""),
    ],
}  # fmt: skip

# (statement, the tables it writes); "?" is what nobody can name.
WRITES: dict[Dialect, list[Row]] = {
    "sqlite": [
        ("INSERT INTO main.a (x, y) SELECT p, q FROM b", "a"),
        ("INSERT OR REPLACE INTO a VALUES (1)", "a"),
        ("REPLACE INTO a (x) VALUES (1)", "a"),
        ("UPDATE users SET a = (SELECT max(x) FROM orders)", "users"),
        ("delete from users where id in (select uid from orders)", "users"),
        ("WITH x AS (SELECT 1) DELETE FROM users", "users"),
        ("CREATE TABLE x (a int)", "x"),
        ("DROP TABLE users", "users"),
        ("CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END", "?"),
        ("SELECT 1; DELETE FROM users", "?"),
        ("SELECT 1; SELECT 2", "?"),
        ("SELECT load_extension('x')", "?"),
        ("SELECT writefile('x', 'y') FROM t", "?"),
        ("SELECT readfile('/etc/passwd')", "?"),
        ("SELECT \"load_extension\"('x')", "?"),
        ("SELECT load_extension/**/('x')", "?"),
        ("SELECT * FROM users WHERE my_function(a)", "?"),
        ("SELECT 1 WHERE 1 IN secret", "?"),
        ("SELECT 1 WHERE 1 IN main.secret", "?"),
        ("ATTACH 'x' AS y", "?"),
        ("DETACH y", "?"),
        ("VACUUM INTO 'x'", "?"),
        ("REINDEX", "?"),
        ("PRAGMA user_version = 5", "?"),
        ("PRAGMA user_version(5)", "?"),
        ("PRAGMA writable_schema = ON", "?"),
        ("PRAGMA main.journal_mode = DELETE", "?"),
        ("BEGIN", "?"),
        ("SELECT 1 FROM t\u00a0WHERE 1", "?"),
        ("\u017fELECT 1", "?"),
        ("SELECT ran\u212a() FROM t", "?"),
        ("SELECT 1\0; DELETE FROM t", "?"),
        ("SELECT " + "(" * 500 + "1" + ")" * 500, "?"),
        ("SELECT '" + "x" * LONGEST + "'", "?"),
        ("", "?"),
        ("-- nothing", "?"),
        ("SELECT 'open", "?"),
        ("SELECTED * FROM users", "?"),
    ],
    "postgres": [
        ("WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d", "users"),
        ("WITH u AS (UPDATE a SET x = 1 RETURNING *), v AS (INSERT INTO b SELECT * FROM u) SELECT * FROM c", "a b"),
        ("INSERT INTO shop.a (x) VALUES (1) ON CONFLICT (x) DO UPDATE SET x = (SELECT b FROM u)", "shop.a"),
        ("MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE", "a b"),
        ("TRUNCATE a, b", "a b"),
        ("DROP TABLE a, public.b", "a b"),
        ("ALTER TABLE a ADD COLUMN x int", "a"),
        ("CREATE TABLE a AS SELECT * FROM b", "a b"),
        ("SELECT * INTO copied FROM users", "?"),
        ("SELECT * FROM users FOR UPDATE", "?"),
        ("SELECT * FROM users FOR KEY SHARE SKIP LOCKED", "?"),
        ("SELECT setval('s', 1)", "?"),
        ("SELECT \"setval\"('s', 1)", "?"),
        ("SELECT pg_catalog.setval('s', 1)", "?"),
        ("SELECT public.lower('s')", "?"),
        ("SELECT public . lower ('s')", "?"),
        ("WITH setval(a) AS (SELECT 1) SELECT setval('s', 1) FROM setval", "?"),
        ("SELECT nextval('s')", "?"),
        ("SELECT pg_sleep(1)", "?"),
        ("SELECT pg_read_file('/etc/passwd')", "?"),
        ("SELECT pg_terminate_backend(1)", "?"),
        ("SELECT pg_advisory_lock(1)", "?"),
        ("SELECT lo_export(1, '/x')", "?"),
        ("SELECT set_config('x', 'y', false)", "?"),
        ("SELECT * FROM dblink('x', 'DELETE FROM t') AS t(a int)", "?"),
        ("SELECT query_to_xml('DELETE FROM t', true, true, '')", "?"),
        ("SELECT (my_function()).*", "?"),
        ("COPY users TO PROGRAM 'cat'", "users ?"),
        ("COPY users FROM '/etc/passwd'", "users ?"),
        ("EXPLAIN ANALYZE DELETE FROM users", "users"),
        ("EXPLAIN (ANALYZE true) INSERT INTO users VALUES (1)", "users"),
        ("EXPLAIN ANALYZE SELECT setval('s', 1)", "?"),
        ("EXPLAIN SELECT setval('s', 1)", "?"),
        ("EXPLAIN SELECT 1; DELETE FROM users", "?"),
        ("SHOW x; DELETE FROM users", "?"),
        ("DO $$ BEGIN DELETE FROM users; END $$", "?"),
        ("CALL f()", "?"),
        ("SET x = 1", "?"),
        ("GRANT ALL ON t TO u", "t ?"),
        ("NOTIFY x", "?"),
        ("LISTEN x", "?"),
        ("LOCK TABLE t", "?"),
        ("PREPARE p AS DELETE FROM t", "?"),
        ("EXECUTE p", "?"),
        ("VACUUM", "?"),
        ("CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql", "f ?"),
        ("SELECT a$b$ FROM t; DELETE FROM t; --$b$", "?"),
        ("SELECT E'\\'; DELETE FROM t; --'", "?"),
        ("SELECT U&'\\0061'", "?"),
        ("COMMIT; DELETE FROM users", "?"),
    ],
    "mysql": [
        ("UPDATE a JOIN b ON a.x = b.x SET b.y = 1", "a b"),
        ("DELETE a FROM a JOIN b ON a.x = b.x", "a b"),
        ("REPLACE INTO other.a (x) SELECT y FROM b", "other.a"),
        ("SELECT * FROM users INTO OUTFILE '/tmp/x'", "?"),
        ("SELECT * INTO DUMPFILE '/tmp/x' FROM users", "?"),
        ("SELECT a INTO @x FROM users", "?"),
        ("SELECT @a := 1", "?"),
        ("SELECT /*! sleep(1), */ 1", "?"),
        ("SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */", "?"),
        ("SELECT /*M! sleep(1), */ 1", "?"),
        ("SELECT /*+ SET_VAR(sql_mode='') */ 1", "?"),
        ("SELECT sleep(1)", "?"),
        ("SELECT benchmark(1000000, md5('x'))", "?"),
        ("SELECT get_lock('a', 1)", "?"),
        ("SELECT load_file('/etc/passwd')", "?"),
        ("SELECT 1 --1; DELETE FROM t", "?"),
        ("SHOW TABLES WHERE sleep(5)", "?"),
        ("ANALYZE FORMAT=JSON DELETE FROM t", "?"),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "?"),
        ("HANDLER t OPEN", "?"),
        ("SELECT NEXT VALUE FOR s", "?"),
        ("SELECT nextval(s)", "?"),
        ("SELECT * FROM t LOCK IN SHARE MODE", "?"),
        ("SELECT * FROM t PROCEDURE ANALYSE()", "?"),
        ("DO sleep(1)", "?"),
        ("KILL 5", "?"),
        ("FLUSH TABLES", "?"),
        ("SET GLOBAL x = 1", "?"),
        ("RENAME TABLE a TO b", "?"),
    ],
}  # fmt: skip


# (statement, what it shows besides, what it reaches beyond tables)
BESIDES: dict[Dialect, list[tuple[str, str, str]]] = {
    "sqlite": [
        ("SELECT c0 FROM notes_content", "notes", ""),
        ("PRAGMA table_info('users')", "pragma table_info ( users )", ""),
        ("EXPLAIN SELECT * FROM users", "users", ""),
        ("DELETE FROM users RETURNING name", "users", ""),
        ("DELETE FROM users", "", ""),
        ("CREATE TABLE copy AS SELECT * FROM users", "copy users", ""),
        ("ATTACH 'x' AS y", "", "__host__"),
        ("SELECT load_extension('x')", "", "__host__"),
        ("SELECT 1 FROM\x0ct", "", "__host__ __accounts__"),
    ],
    "postgres": [
        ("UPDATE users SET a = 1 RETURNING a", "users", ""),
        ("SELECT * FROM pg_shadow", "", "__accounts__"),
        ("SELECT * FROM pg_hba_file_rules", "", "__host__"),
        ("SELECT pg_read_file('/x')", "", "__host__"),
        ("SELECT my_function()", "", ""),
        ("COPY users TO PROGRAM 'x'", "users", "__host__"),
        ("GRANT ALL ON users TO x", "users", "__accounts__"),
        ("CREATE ROLE x", "", "__accounts__"),
        ("DO $$ BEGIN END $$", "", "__host__ __accounts__"),
        ("CALL f()", "", "__host__ __accounts__"),
    ],
    "mysql": [
        ("SHOW PROCESSLIST", "", "__accounts__"),
        ("SHOW GRANTS", "", "__accounts__"),
        ("SELECT LOAD_FILE('/x')", "select load_file", "__host__"),
        ("UPDATE LOW_PRIORITY users SET a = 1", "update low_priority set a = 1", ""),
        ("EXECUTE IMMEDIATE 'x'", "execute", "__host__ __accounts__"),
        ("/* a */ -- b\n EXECUTE IMMEDIATE 'x'", "execute", "__host__ __accounts__"),
    ],
}  # fmt: skip


def judged(sql: str, dialect: Dialect) -> Verdict:
    return classify(sql, dialect, {"mysql": "shop"}.get(dialect, ""))


class VerdictTests(SynchronousTestCase):
    def test_a_statement_that_reads_is_told_with_its_tables(self) -> None:
        for dialect, rows in READS.items():
            for sql, tables in rows:
                verdict = judged(sql, dialect)
                self.assertEqual((verdict.writes, " ".join(verdict.reads)), ((), tables), f"{dialect}: {sql}")

    def test_no_statement_that_may_write_passes_as_a_read(self) -> None:
        for dialect, rows in WRITES.items():
            for sql, tables in rows:
                written = set(judged(sql, dialect).writes)
                self.assertEqual(
                    written, set(tables.replace("?", "__unknown__").split()), f"{dialect}: {sql}"
                )

    def test_what_a_write_reads_besides_is_told_too(self) -> None:
        self.assertEqual(judged("INSERT INTO a SELECT * FROM b JOIN c", "mysql").reads, ("b", "c"))
        self.assertEqual(judged("DELETE FROM a WHERE x IN (SELECT x FROM b)", "postgres").reads, ("b",))

    def test_what_shows_besides_and_what_lies_beyond_tables_is_told(self) -> None:
        for dialect, rows in BESIDES.items():
            for sql, shows, powers in rows:
                verdict = judged(sql, dialect)
                self.assertLessEqual(set(verdict.shows), set(shows.split()) | {"(", ")", "="}, sql)
                self.assertEqual(set(verdict.powers), set(powers.split()), f"{dialect}: {sql}")

    def test_statistics_show_values_of_all_tables(self) -> None:
        for dialect, name in (
            ("sqlite", "sqlite_stat4"),
            ("postgres", "pg_stats"),
            ("postgres", "pg_catalog.pg_statistic"),
            ("mysql", "mysql.column_stats"),
            ("mysql", "performance_schema.events_statements_history"),
        ):
            self.assertIn("*", judged(f"SELECT * FROM {name}", dialect).reads, name)  # type: ignore[arg-type]

    def test_a_read_is_sent_without_its_comments(self) -> None:
        sql = "SELECT/*x*/a , -- y\n  'it''s /* no comment */' FROM t /* a /* b */ c */ ;"
        self.assertEqual(judged(sql, "postgres").text, "SELECT a , 'it''s /* no comment */' FROM t")
        self.assertEqual(
            judged("EXPLAIN SELECT count(*) FROM t # z", "mysql").text, "EXPLAIN SELECT count(*) FROM t"
        )

    def test_a_write_is_sent_as_it_is(self) -> None:
        sql = "DELETE /* all */ FROM t"
        self.assertEqual(judged(sql, "postgres").text, sql)
