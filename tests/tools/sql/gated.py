"""Databases behind gates, with tables that are shut by name and many ways to them."""

import sqlite3
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from llamaproxy.agent.calls.gates import Gates, SessionLeave
from llamaproxy.config.tools import DbQuery
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.gates import DB, GateMap
from llamaproxy.seams.types import ToolContext
from llamaproxy.tools.db_query import DbQueryTool
from llamaproxy.tools.sql.statement import Dialect
from llamaproxy.tools.threads import Workers

from .servers import MariaDb, Missing, Postgres, mariadb, postgres

OPEN = {"read": True, "write": True}
SHUT = {"read": False, "write": False}
VALUE = "hunter2"
SHUT_TABLES = ("secrets", "vault", "kid", "notes", "old_notes", "places")
GATES: GateMap = {DB: {"*": OPEN, **dict.fromkeys(SHUT_TABLES, SHUT)}}


class Closed(ToolError):
    """The call was not even begun."""


class GatedCase(TestCase):
    """A database with shut tables, asked as a model asks."""

    timeout = 120
    dialect: Dialect
    url = "db.sqlite"

    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.prepare()
        self.use(self.url)

    def use(self, url: str) -> None:
        """Asks the database of that address."""
        self.tool = DbQueryTool(DbQuery(url=url), "", self.home, Workers(reactor))
        self.addCleanup(self.tool.stop)

    def prepare(self) -> None:
        """Makes the tables."""
        raise NotImplementedError

    def contents(self) -> Any:
        """What is in the shut tables."""
        raise NotImplementedError

    async def ask(self, sql: str, gates: GateMap = GATES, only_database: bool = False) -> str:
        """What a model gets. Raises `Closed` for what the gates refuse before, and `ToolError`."""
        access = self.tool.access({"sql": sql})
        session = Gates({}, gates)
        closed = session.closed(self.tool, access)
        if closed and not only_database:
            raise Closed(", ".join(need.what for need in closed))
        context = ToolContext(
            session_id="llama-10.0.0.1",
            address="10.0.0.1",
            reactor=reactor,
            leave=SessionLeave(session, access.schema),
        )
        return await self.tool.run({"sql": sql}, context)


class SqliteGated(GatedCase):
    dialect = "sqlite"

    def prepare(self) -> None:
        file = self.home / "db.sqlite"
        file.unlink(missing_ok=True)
        with sqlite3.connect(file) as connection:
            connection.executescript(
                f"""
                CREATE TABLE secrets (id INTEGER PRIMARY KEY, x);
                INSERT INTO secrets VALUES (1, '{VALUE}');
                CREATE INDEX by_x ON secrets (x);
                CREATE TABLE orders (y);
                INSERT INTO orders VALUES ('tea');
                CREATE TABLE people (id INTEGER PRIMARY KEY, name);
                INSERT INTO people VALUES (1, 'Ann'), (2, 'Bob');
                CREATE VIEW v_orders AS SELECT y FROM orders;
                CREATE TABLE logged (y);
                CREATE TABLE log (y);
                CREATE TRIGGER l AFTER INSERT ON logged BEGIN INSERT INTO log VALUES (new.y); END;
                CREATE VIRTUAL TABLE letters USING fts5(body);
                INSERT INTO letters VALUES ('dear reader');
                CREATE VIRTUAL TABLE boxes USING rtree(id, low, high);
                CREATE VIEW v_secrets AS SELECT * FROM secrets;
                CREATE VIEW v_deep AS SELECT x FROM v_secrets;
                CREATE VIEW v_writable AS SELECT id, x FROM secrets;
                CREATE TRIGGER v_w INSTEAD OF INSERT ON v_writable
                    BEGIN INSERT INTO secrets VALUES (new.id, new.x); END;
                CREATE TABLE writes_secrets (y);
                INSERT INTO writes_secrets VALUES ('a');
                CREATE TRIGGER w_i AFTER INSERT ON writes_secrets BEGIN UPDATE secrets SET x = new.y; END;
                CREATE TRIGGER w_u AFTER UPDATE ON writes_secrets BEGIN UPDATE secrets SET x = new.y; END;
                CREATE TRIGGER secrets_guard BEFORE DELETE ON secrets BEGIN SELECT 1; END;
                CREATE VIRTUAL TABLE notes USING fts5(a);
                INSERT INTO notes VALUES ('{VALUE}');
                CREATE VIRTUAL TABLE notes_words USING fts5vocab('notes', 'row');
                CREATE VIEW v_notes AS SELECT c0 FROM notes_content;
                CREATE VIRTUAL TABLE old_notes USING fts4(a);
                INSERT INTO old_notes VALUES ('{VALUE}');
                CREATE VIRTUAL TABLE places USING rtree(id, low, high);
                INSERT INTO places VALUES (1, 2, 3);
                CREATE VIRTUAL TABLE ghost_secrets USING fts5(x, content='secrets', content_rowid='id');
                CREATE VIRTUAL TABLE sizes USING dbstat;
                ANALYZE;
                """
            )
        connection.close()

    def contents(self) -> Any:
        with sqlite3.connect(self.home / "db.sqlite") as connection:
            queries = (
                "SELECT * FROM secrets",
                "SELECT * FROM notes",
                "SELECT name, sql FROM sqlite_master WHERE name <> 'copied' AND name NOT LIKE 'peek%'",
            )
            return [connection.execute(query).fetchall() for query in queries]


class ServerGated(GatedCase):
    """On a server of its own; skipped where there is none."""

    server: Any

    def begin(self) -> Any:
        """The server. Raises `Missing`."""
        raise NotImplementedError

    def clear(self) -> None:
        """Leaves nothing behind: the server is that of other tests, too."""
        raise NotImplementedError

    def setUp(self) -> None:
        try:
            self.server = self.begin()
        except Missing as missing:
            raise SkipTest(str(missing)) from None
        self.url = self.server.url
        self.addCleanup(self.clear)
        super().setUp()


class PostgresGated(ServerGated):
    dialect = "postgres"

    def begin(self) -> Postgres:
        return postgres()

    def clear(self) -> None:
        self.server.execute("DROP SCHEMA IF EXISTS public, hidden CASCADE", "CREATE SCHEMA public")
        self.server.execute("DROP SERVER IF EXISTS loop CASCADE", "DROP SERVER IF EXISTS files CASCADE")

    def prepare(self) -> None:
        self.clear()
        self.server.execute("CREATE SCHEMA hidden")
        self.server.execute(*POSTGRES.replace("'VALUE'", f"'{VALUE}'").split(";;"))

    def contents(self) -> Any:
        tables = ", ".join(f"(SELECT json_agg(t) FROM {table} t)" for table in ("secrets", "vault", "kid"))
        return self.server.query(
            f"SELECT json_build_array({tables}, (SELECT json_agg(rolname) FROM pg_roles WHERE rolsuper), "
            "(SELECT count(*) FROM pg_depend WHERE refobjid = 'secrets'::regclass))"
        )


class MariaDbGated(ServerGated):
    dialect = "mysql"

    def begin(self) -> MariaDb:
        return mariadb()

    def clear(self) -> None:
        self.server.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", database="")

    def prepare(self) -> None:
        self.clear()
        self.server.execute(*MARIADB.replace("'VALUE'", f"'{VALUE}'").split(";;"))

    def contents(self) -> Any:
        return [
            self.server.query(query)
            for query in (
                "SELECT * FROM secrets",
                "SHOW CREATE TABLE secrets",
                "SELECT User FROM mysql.user ORDER BY 1",
            )
        ]


POSTGRES = """
CREATE TABLE secrets (id serial PRIMARY KEY, x text DEFAULT 'none');;
INSERT INTO secrets (x) VALUES ('VALUE');;
CREATE TABLE hidden.secrets (x text);;
INSERT INTO hidden.secrets VALUES ('VALUE');;
CREATE TABLE secrets_child () INHERITS (secrets);;
INSERT INTO secrets_child VALUES (7, 'VALUE');;
CREATE TABLE orders (y text);;
INSERT INTO orders VALUES ('tea');;
CREATE TABLE people (id serial PRIMARY KEY, name text);;
INSERT INTO people (name) VALUES ('Ann'), ('Bob');;
CREATE TABLE bought (id serial PRIMARY KEY, person int REFERENCES people (id) ON DELETE CASCADE);;
CREATE VIEW v_orders AS SELECT y FROM orders;;
CREATE MATERIALIZED VIEW m_orders AS SELECT y FROM orders;;
CREATE VIEW v_month AS SELECT date_trunc('month', now()) AS m, lower(name) || '!' AS n, id::text, count(*) OVER (),
    CASE WHEN name ILIKE 'a%' THEN extract(year FROM now()) END AS e FROM people WHERE id IN (1, 2) ORDER BY id;;
CREATE TABLE copies_of_orders (y text);;
CREATE TABLE events (id int, what text) PARTITION BY RANGE (id);;
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM (0) TO (100);;
CREATE TABLE logged (y text);;
CREATE TABLE log (y text);;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO log VALUES (new.y); RETURN new; END';;
CREATE TRIGGER l AFTER INSERT ON logged FOR EACH ROW EXECUTE FUNCTION note();;
CREATE TABLE parents (id int PRIMARY KEY);;
INSERT INTO parents VALUES (1);;
CREATE TABLE vault (id int, x text) PARTITION BY LIST (id);;
CREATE TABLE vault_1 PARTITION OF vault FOR VALUES IN (1);;
INSERT INTO vault VALUES (1, 'VALUE');;
CREATE TABLE parent_of_kid (x text);;
CREATE TABLE kid (parent int REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE) INHERITS (parent_of_kid);;
INSERT INTO kid VALUES ('VALUE', 1);;
CREATE VIEW v_secrets AS SELECT * FROM ONLY secrets;;
CREATE VIEW v_deep AS SELECT x FROM v_secrets;;
CREATE VIEW v_union AS SELECT y FROM orders UNION ALL SELECT x FROM secrets;;
CREATE MATERIALIZED VIEW m_secrets AS SELECT x FROM secrets;;
CREATE VIEW hidden_path AS SELECT x FROM m_secrets;;
CREATE VIEW v_stats AS SELECT most_common_vals::text FROM pg_stats;;
CREATE VIEW v_xml AS SELECT query_to_xml('select x from secrets', true, true, '');;
CREATE VIEW v_file AS SELECT pg_read_file('/etc/hostname');;
CREATE VIEW v_activity AS SELECT query FROM pg_stat_activity;;
CREATE FUNCTION leak() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT x FROM secrets LIMIT 1); END';;
CREATE FUNCTION leak_sql() RETURNS SETOF text LANGUAGE sql AS 'SELECT x FROM secrets';;
CREATE FUNCTION leak_atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT x FROM secrets LIMIT 1; END;;
CREATE FUNCTION leak_constant() RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN RETURN (SELECT x::int FROM secrets LIMIT 1); END';;
CREATE FUNCTION leak_plus(a int, b int) RETURNS text LANGUAGE sql AS 'SELECT x FROM secrets LIMIT 1';;
CREATE OPERATOR #=# (leftarg = int, rightarg = int, function = leak_plus);;
CREATE VIEW v_leak AS SELECT leak();;
CREATE VIEW v_constant AS SELECT leak_constant();;
CREATE VIEW v_operator AS SELECT 1 #=# 2 AS x;;
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN EXECUTE ''UPDATE sec'' || ''rets SET x = 1''; RETURN new; END';;
CREATE TABLE writes_secrets (y text);;
INSERT INTO writes_secrets VALUES ('a');;
CREATE TRIGGER w AFTER INSERT OR UPDATE ON writes_secrets FOR EACH ROW EXECUTE FUNCTION change();;
CREATE TABLE writes_later (y text);;
CREATE CONSTRAINT TRIGGER w AFTER INSERT ON writes_later DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION change();;
CREATE TABLE ruled (y text);;
CREATE RULE r AS ON INSERT TO ruled DO ALSO DELETE FROM secrets;;
CREATE TABLE copies (y text DEFAULT leak());;
CREATE PROCEDURE change_secrets() LANGUAGE sql AS 'DELETE FROM secrets';;
CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA hidden;;
CREATE EXTENSION IF NOT EXISTS file_fdw SCHEMA hidden;;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'postgres');;
CREATE FOREIGN TABLE far_secrets (x text) SERVER loop OPTIONS (table_name 'secrets');;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;;
CREATE FOREIGN TABLE host_file (x text) SERVER files OPTIONS (filename '/etc/hostname');;
ANALYZE
"""

MARIADB = """
CREATE TABLE secrets (id int PRIMARY KEY, x varchar(50) DEFAULT 'none');;
INSERT INTO secrets VALUES (1, 'VALUE');;
CREATE INDEX by_x ON secrets (x);;
CREATE TABLE orders (y varchar(50));;
INSERT INTO orders VALUES ('tea');;
CREATE TABLE people (id int PRIMARY KEY AUTO_INCREMENT, name varchar(50));;
INSERT INTO people (name) VALUES ('Ann'), ('Bob');;
CREATE TABLE bought (id int PRIMARY KEY AUTO_INCREMENT, person int, FOREIGN KEY (person) REFERENCES people (id)
    ON DELETE CASCADE);;
CREATE VIEW v_orders AS SELECT y FROM orders;;
CREATE VIEW v_month AS SELECT date_format(now(), '%Y-%m') AS m, lower(name) AS n, concat(id, '!') AS c,
    CASE WHEN name LIKE 'a%' THEN year(now()) END AS e, count(*) OVER () AS k
    FROM people WHERE id IN (1, 2) ORDER BY id;;
CREATE VIEW v_text AS SELECT cast(id AS char) AS c, 'ä' AS a, convert(name USING utf8mb4) AS n,
    convert(name USING utf8mb4) COLLATE utf8mb4_bin AS b, coalesce(name, 'none') AS d, if(id > 1, 'x', 'y') AS f,
    now() + INTERVAL 1 DAY AS g FROM people;;
CREATE TABLE logged (y varchar(50));;
CREATE TABLE log (y varchar(50));;
CREATE TRIGGER l AFTER INSERT ON logged FOR EACH ROW INSERT INTO log VALUES (new.y);;
CREATE TABLE parents (id int PRIMARY KEY);;
INSERT INTO parents VALUES (1);;
CREATE TABLE kid (x varchar(50), parent int, FOREIGN KEY (parent) REFERENCES parents (id)
    ON DELETE CASCADE ON UPDATE CASCADE);;
INSERT INTO kid VALUES ('VALUE', 1);;
CREATE VIEW v_secrets AS SELECT * FROM secrets;;
CREATE VIEW v_deep AS SELECT x FROM v_secrets;;
CREATE VIEW v_union AS SELECT y FROM orders UNION ALL SELECT x FROM secrets;;
CREATE ALGORITHM=TEMPTABLE VIEW v_merge AS SELECT max(x) FROM secrets;;
CREATE TABLE vault (id int, x varchar(50)) ENGINE=MyISAM;;
INSERT INTO vault VALUES (1, 'VALUE');;
CREATE TABLE merged (id int, x varchar(50)) ENGINE=MERGE UNION=(vault);;
CREATE FUNCTION leak() RETURNS varchar(50) RETURN (SELECT x FROM secrets LIMIT 1);;
CREATE VIEW v_leak AS SELECT leak();;
CREATE PROCEDURE change_secrets() UPDATE secrets SET x = 'changed';;
CREATE TABLE writes_secrets (y varchar(50));;
CREATE TRIGGER w AFTER INSERT ON writes_secrets FOR EACH ROW UPDATE secrets SET x = new.y;;
CREATE TABLE calls_secrets (y varchar(50));;
CREATE TRIGGER c AFTER INSERT ON calls_secrets FOR EACH ROW CALL change_secrets();;
CREATE SEQUENCE secret_numbers;;
ANALYZE TABLE secrets PERSISTENT FOR ALL
"""
