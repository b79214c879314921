"""What a statement touches in PostgreSQL, as the server itself knows it, held against the gates.

Two looks: before a query runs, at what the server has parsed it to (a view of it, which is rolled back), with what
its views read and which functions they call; and, before anything is shown or kept, at the locks that the transaction
holds: one on each table that it touched, by whatever way.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from ...seams.errors import GateClosed
from ...seams.gates import ALL, HOST, UNKNOWN, Leave, Need, Side
from .functions import PURE
from .powers import powers_of_table, powers_of_words

# Object ids below this are the server's own.
_FIRST_OWN = 16384
# The view was not made for lack of rights, or since the server only reads.
_NO_VIEW = ("42501", "25006")

_PARSED = f"""
    WITH RECURSIVE start(oid) AS ({{start}}), reached(oid) AS (
        SELECT oid::oid FROM start WHERE oid IS NOT NULL
        UNION
        SELECT found[1]::oid FROM reached JOIN pg_catalog.pg_rewrite ON ev_class = reached.oid AND ev_type = '1'
        CROSS JOIN LATERAL pg_catalog.regexp_matches(ev_action::text, ':relid (\\d+)', 'g') AS found
        WHERE reached.oid >= {_FIRST_OWN}
    ), called(oid) AS (
        SELECT DISTINCT found[1]::oid FROM reached JOIN pg_catalog.pg_rewrite ON ev_class = reached.oid
        CROSS JOIN LATERAL pg_catalog.regexp_matches(
            ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g'
        ) AS found WHERE reached.oid >= {_FIRST_OWN}
    )
    SELECT 'r', oid::int8, '', 'i', '' FROM reached WHERE oid IS DISTINCT FROM to_regclass('pg_temp.llamaproxy_look')
    UNION ALL
    SELECT 'f', called.oid::int8, proname::text, provolatile::text, coalesce(extname::text, '')
    FROM called JOIN pg_catalog.pg_proc p ON p.oid = called.oid
    LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
        AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
"""
_LOCKED = """
    SELECT relation::int8, mode FROM pg_catalog.pg_locks
    WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND relation <> 'pg_catalog.pg_locks'::regclass
"""
# A relation with its kin: what it inherits from and what inherits from it, and whose values or numbers it keeps.
_KIN = """
    WITH RECURSIVE given(oid) AS (SELECT pg_catalog.unnest('{{{oids}}}'::oid[])),
    up(start, oid) AS (
        SELECT oid, oid FROM given
        UNION SELECT start, inhparent FROM up JOIN pg_catalog.pg_inherits ON inhrelid = up.oid
    ), down(start, oid) AS (
        SELECT oid, oid FROM given
        UNION SELECT start, inhrelid FROM down JOIN pg_catalog.pg_inherits ON inhparent = down.oid
    ), kin(start, oid, how) AS (
        SELECT oid, oid, 'self' FROM given
        UNION SELECT start, oid, 'up' FROM up WHERE start <> oid
        UNION SELECT start, oid, 'down' FROM down WHERE start <> oid
        UNION SELECT given.oid, c.oid, 'owner' FROM given JOIN pg_catalog.pg_class c ON c.reltoastrelid = given.oid
        UNION SELECT given.oid, refobjid, 'owner' FROM given JOIN pg_catalog.pg_class c ON c.oid = given.oid
            AND c.relkind = 'S' JOIN pg_catalog.pg_depend ON objid = given.oid AND deptype IN ('a', 'i')
            AND classid = 'pg_catalog.pg_class'::regclass AND refclassid = 'pg_catalog.pg_class'::regclass
        UNION SELECT indexrelid, indrelid, 'index' FROM given JOIN pg_catalog.pg_index ON indexrelid = given.oid
            WHERE indexrelid >= {first}
        UNION SELECT conrelid, confrelid, 'key' FROM given JOIN pg_catalog.pg_constraint ON conrelid = given.oid
            AND contype = 'f'
    )
    SELECT start::int8, c.oid::int8, how, nspname::text, relname::text, relkind::text, coalesce(fdwname::text, '')
    FROM kin JOIN pg_catalog.pg_class c ON c.oid = kin.oid JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
    LEFT JOIN pg_catalog.pg_foreign_table ft ON ft.ftrelid = c.oid
    LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid = ft.ftserver
    LEFT JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
"""
# Extensions whose functions only reckon with what they are given.
_RECKONING = """
    pg_trgm citext hstore ltree intarray btree_gin btree_gist cube earthdistance fuzzystrmatch unaccent uuid-ossp
    pgcrypto isn seg bloom postgis vector
"""
_RECKONING_EXTENSIONS = frozenset(_RECKONING.split())
# Functions of the server that read tables whose names, or queries whose text they are given.
_READS_ANY = re.compile(
    r"(table|schema|database|query|cursor)_to_xml\w*|ts_stat|ts_rewrite|pg_sequence_last_value"
)


def _literal(name: str) -> str:
    """A table's name as SQL text with its parts quoted."""
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
    return "'" + quoted.replace("'", "''") + "'"


class _Kin(Struct, frozen=True):
    """A relation, or one that is akin to it: `how` is `self`, `up`, `down`, `owner`, `index` or `key`."""

    start: int
    oid: int
    how: str
    schema: str
    name: str
    kind: str
    wrapper: str

    @property
    def table(self) -> str:
        """The name for the gates."""
        if self.schema.startswith("pg_temp_"):
            return f"pg_temp.{self.name}"
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"


class Relations:
    """Looks of one connection; `only_shown` is for what describes tables, in whose way only those shut by name are."""

    def __init__(self, connection: Connection, leave: Leave, only_shown: bool) -> None:
        self._connection = connection
        self._leave = leave
        self._only_shown = only_shown
        self._allowed: dict[int, Side] = {}

    def foresee(self, query: str, reads: Iterable[str]) -> None:
        """Looks at what a query is parsed to, or where the server makes no view, at what it `reads` by its words.

        Raises `ToolError`, or the server's error.
        """
        self._connection.run("BEGIN")
        start = "SELECT 'pg_temp.llamaproxy_look'::regclass"
        try:
            # Two columns of one name are fine in there, and the end of a line ends a comment.
            self._connection.execute_unnamed(
                f"CREATE TEMP VIEW llamaproxy_look AS SELECT 1 AS one WHERE EXISTS (\n{query}\n)"
            )
        except DatabaseError as error:
            self._connection.run("ROLLBACK")
            what = error.args[0] if error.args else {}
            if not isinstance(what, dict) or what.get("C") not in _NO_VIEW:
                raise
            start = (
                " UNION ALL ".join(f"SELECT to_regclass({_literal(name)})" for name in reads)
                or "SELECT NULL::regclass"
            )
            self._connection.run("BEGIN")
        parsed = self._connection.run(_PARSED.format(start=start))
        touched: dict[int, Side] = {oid: "read" for kind, oid, *_ in parsed if kind == "r"}
        self._check(self._needs(touched, set()))
        self._check(
            self._called(oid, name, volatile, ext) for kind, oid, name, volatile, ext in parsed if kind == "f"
        )
        self._connection.run("ROLLBACK")

    def hold(self, savepoint: str = "") -> None:
        """Looks at what the transaction has touched so far. Raises `ToolError`.

        With a `savepoint` it goes back there before it looks, since a table may be gone by now or have another name.
        """
        touched: dict[int, Side] = {}
        keys: set[int] = set()
        for oid, mode in self._connection.run(_LOCKED):
            if oid in self._allowed:
                continue
            reads = mode in ("AccessShareLock", "RowShareLock")
            if not reads or oid not in touched:
                touched[oid] = "read" if reads else "write"
            if mode == "RowShareLock":
                keys.add(oid)
        if savepoint:
            self._connection.run(f"ROLLBACK TO SAVEPOINT {savepoint}")
        self._check(self._needs(touched, keys))
        if savepoint:
            self._allowed.update(touched)

    def _check(self, needs: Iterable[Need | None]) -> None:
        for need in needs:
            if need is not None:
                raise GateClosed(need)

    def _needs(self, touched: dict[int, Side], keys: set[int]) -> Iterator[Need | None]:
        """The gates in the way. `keys` are locked as a foreign key's table is, which nobody has to have leave for."""
        if not touched:
            return
        rows = [
            _Kin(*row)
            for row in self._connection.run(_KIN.format(oids=",".join(map(str, touched)), first=_FIRST_OWN))
        ]
        parents = {row.start for row in rows if row.how == "up" and row.oid in touched}
        owned = {row.start for row in rows if row.how == "owner"}
        written = {oid for oid, side in (*touched.items(), *self._allowed.items()) if side == "write"}
        free = {row.oid for row in rows if row.how == "key" and row.start in written} & keys - written
        for row in rows:
            side = touched[row.start]
            if row.start in free or row.how == "key":
                continue
            if row.how == "self" and row.oid < _FIRST_OWN:
                yield from (
                    self._leave.closed(power, side)
                    for power in powers_of_table(f"{row.schema}.{row.name}", "postgres")
                )
            elif row.wrapper == "file_fdw":
                yield self._leave.closed(HOST, "write")
            elif row.kind in "Ii" or (row.how == "self" and row.oid in owned):
                continue
            elif row.how == "index":
                # An index alone is touched by what renames or moves it.
                is_known = row.oid in touched or row.oid in self._allowed or row.kind == "t"
                yield None if is_known else self._leave.closed(row.table, side)
            elif row.how == "owner":
                # Its counter goes on when a row is put into it.
                yield None if row.oid in written else self._leave.closed(row.table, "read")
            elif self._only_shown or row.how != "self" or row.kind == "v" or row.start in parents:
                yield self._leave.shut(row.table, side)
            else:
                yield self._leave.closed(row.table, side)

    def _called(self, oid: int, name: str, volatile: str, extension: str) -> Need | None:
        """The gate in the way of a function."""
        if oid >= _FIRST_OWN:
            if extension in _RECKONING_EXTENSIONS:
                return None
        elif _READS_ANY.fullmatch(name):
            return self._leave.closed(ALL, "read")
        elif powers := powers_of_words((name,)):
            return self._leave.closed(powers[0], "write" if powers[0] == HOST else "read")
        elif volatile != "v" or name in PURE["postgres"]:
            return None
        return (
            self._leave.closed(UNKNOWN, "write")
            or self._leave.shut(ALL, "read")
            or self._leave.shut(ALL, "write")
        )
