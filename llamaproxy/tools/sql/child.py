"""The program that runs one SQLite statement: some of SQLite's steps take hours, and only a process can be ended.

It reads the order (JSON) from its first line of input and answers with lines of JSON: `{"ask": [table, side]}` for
leave to touch a table, which a line `1` or `0` answers, and at last `{"text": ...}` or `{"error": ...}`.
"""

import json
import re
import resource
import sqlite3
import sys
import time
from contextlib import closing, suppress
from functools import cache
from typing import Any

from .table import Table, changed

# No value may be larger, in bytes; SQLite would make some of a gigabyte.
LARGEST_VALUE = 8 * 1024 * 1024
# The memory of the whole process.
_MOST_MEMORY = 1024 * 1024 * 1024
# How often a running statement looks at the clock, in its own instructions.
_LOOK_EVERY = 20_000
_ALL = "*"

# Which of a trigger's, index's, view's or table's two names is that of the table that is changed.
_CHANGES: dict[int, int] = {
    sqlite3.SQLITE_INSERT: 0,
    sqlite3.SQLITE_UPDATE: 0,
    sqlite3.SQLITE_DELETE: 0,
    sqlite3.SQLITE_CREATE_TABLE: 0,
    sqlite3.SQLITE_CREATE_TEMP_TABLE: 0,
    sqlite3.SQLITE_DROP_TABLE: 0,
    sqlite3.SQLITE_DROP_TEMP_TABLE: 0,
    sqlite3.SQLITE_CREATE_VIEW: 0,
    sqlite3.SQLITE_CREATE_TEMP_VIEW: 0,
    sqlite3.SQLITE_DROP_VIEW: 0,
    sqlite3.SQLITE_DROP_TEMP_VIEW: 0,
    sqlite3.SQLITE_CREATE_VTABLE: 0,
    sqlite3.SQLITE_DROP_VTABLE: 0,
    sqlite3.SQLITE_CREATE_INDEX: 1,
    sqlite3.SQLITE_CREATE_TEMP_INDEX: 1,
    sqlite3.SQLITE_DROP_INDEX: 1,
    sqlite3.SQLITE_DROP_TEMP_INDEX: 1,
    sqlite3.SQLITE_CREATE_TRIGGER: 1,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER: 1,
    sqlite3.SQLITE_DROP_TRIGGER: 1,
    sqlite3.SQLITE_DROP_TEMP_TRIGGER: 1,
    sqlite3.SQLITE_ALTER_TABLE: 1,
}
# What only describes the database, or what only SQLite itself can write.
_CATALOGUE = re.compile(
    r"sqlite_(temp_)?(master|schema)|sqlite_sequence|sqlite_stat1|pragma_\w+|json_(each|tree)"
)
_SHOWS_ALL = re.compile(r"sqlite_stat\d|sqlite_dbpage|sqlite_dbdata|sqlite_dbptr|dbstat")
_PRAGMAS = """
    table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list database_list
    collation_list function_list module_list pragma_list compile_options encoding user_version schema_version
    application_id page_count page_size freelist_count journal_mode foreign_keys data_version
"""
_HARMLESS_PRAGMAS = frozenset(_PRAGMAS.split())
_OUTSIDE = frozenset(
    {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "fsdir", "zipfile"}
)
_SHADOWS = {
    "fts3": "content segments segdir docsize stat",
    "fts4": "content segments segdir docsize stat",
    "fts5": "content data idx docsize config",
    "rtree": "node rowid parent",
    "rtree_i32": "node rowid parent",
    "geopoly": "node rowid parent",
}
# The table whose rows a full-text index is made of, where it keeps none of its own.
_CONTENT = re.compile(r"\bcontent\s*+=\s*+[\"'`\[]?(\w++)", re.IGNORECASE)
_VIRTUAL = re.compile(r"\s*create\s+virtual\s+table\b.*?\busing\s+[\"`\[]?(\w+)", re.IGNORECASE | re.DOTALL)


@cache
def _granted(table: str, side: str) -> bool:
    """Asks for leave to touch a table."""
    _say({"ask": [table, side]})
    return sys.stdin.readline().strip() == "1"


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Warden:
    """SQLite's authorizer: asks for leave for each table as the statement is prepared, inside views and triggers too.

    `owners` are the virtual tables by the names of the tables where they keep what they hold, `sources` the tables
    that virtual ones show something of (`*` for all of them).
    """

    def __init__(self, owners: dict[str, str], sources: dict[str, str], reading: bool) -> None:
        self._owners = owners
        self._sources = sources
        self._reading = reading

    def __call__(self, action: int, first: str | None, second: str | None, schema: str | None, _: Any) -> int:
        """SQLITE_OK or SQLITE_DENY."""
        return sqlite3.SQLITE_OK if self._allows(action, first, second, schema) else sqlite3.SQLITE_DENY

    def _allows(self, action: int, first: str | None, second: str | None, schema: str | None) -> bool:
        if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
            return False
        if action == sqlite3.SQLITE_FUNCTION:
            return (second or "").lower() not in _OUTSIDE
        if action == sqlite3.SQLITE_PRAGMA:
            return (first or "").lower() in _HARMLESS_PRAGMAS
        if action == sqlite3.SQLITE_ANALYZE:
            return self._touches(first, schema, "read")
        if action == sqlite3.SQLITE_READ:
            return self._touches(first, schema, "read")
        if action == sqlite3.SQLITE_CREATE_VTABLE and (second or "").lower() not in _SHADOWS:
            return _granted(_ALL, "read") and self._touches(first, schema, "write")
        if action in _CHANGES:
            return self._touches((first, second)[_CHANGES[action]], schema, "write")
        return True

    def _touches(self, table: str | None, schema: str | None, side: str) -> bool:
        name = (table or "").lower()
        if not name or _CATALOGUE.fullmatch(name):
            return True
        if _SHOWS_ALL.fullmatch(name):
            return _granted(_ALL, side)
        if name in self._owners:
            # R-Trees prepare their writes for a read, which on a reading connection cannot be run.
            name, side = self._owners[name], "read" if self._reading else side
        if name in self._sources and not _granted(self._sources[name], "read"):
            return False
        return _granted(name if schema in (None, "main") else f"{schema}.{name}".lower(), side)


def stay_inside(action: int, *_: str | None) -> int:
    """Lets no statement open other files; VACUUM INTO attaches its file, too."""
    outside = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
    return sqlite3.SQLITE_DENY if outside else sqlite3.SQLITE_OK


def _virtual(connection: sqlite3.Connection) -> tuple[dict[str, str], dict[str, str]]:
    """The owners and the sources of the virtual tables there are."""
    owners, sources = {}, {}
    for name, sql in connection.execute("SELECT lower(name), sql FROM sqlite_master WHERE type = 'table'"):
        if found := _VIRTUAL.match(sql or ""):
            module = found[1].lower()
            if _SHOWS_ALL.fullmatch(module):
                sources[name] = _ALL
            elif content := _CONTENT.search(sql):
                sources[name] = content[1].lower()
            for suffix in _SHADOWS.get(module, "").split():
                owners[f"{name}_{suffix}"] = name
    return owners, sources


def run(order: dict[str, Any]) -> str:
    """Runs the statement of an order; see `SqliteDatabase`."""
    with closing(
        sqlite3.connect(order["uri"], uri=True, timeout=order["seconds"], isolation_level=None)
    ) as connection:
        connection.execute(f"PRAGMA query_only = {int(order['reading'])}")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        until = time.monotonic() + order["seconds"]
        connection.set_progress_handler(lambda: time.monotonic() > until, _LOOK_EVERY)
        connection.set_authorizer(
            Warden(*_virtual(connection), order["reading"]) if order["gated"] else stay_inside
        )
        cursor = connection.execute(order["sql"])
        if cursor.description is None:
            return changed(cursor.rowcount)
        columns = [column[0] for column in cursor.description]
        return Table(order["rows"], order["bytes"]).fill(columns, cursor)


def main() -> None:
    """Runs the order that stands in the input."""
    order = json.loads(sys.stdin.readline())
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    # Should nobody be there any more to end it.
    with suppress(ValueError, OSError):
        seconds = int(order["seconds"]) + 5
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        _say({"text": run(order)})
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        _say({"error": str(error)})
    except MemoryError:
        _say({"error": "out of memory"})


if __name__ == "__main__":
    main()
