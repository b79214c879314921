"""What MySQL and MariaDB say themselves that a statement touches, held against the gates before it runs.

There are three witnesses, and none sees everything. The server prints the statement as it has read it beside its
plan, with views replaced by their tables. The trace of its optimizer has each query as it was before parts of it were
left out. And where the server shows them, the locks that the plan has taken tell each table, on whatever way: through
views, triggers, routines, foreign keys and merged tables.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress

from pymysql import MySQLError

from ...seams.errors import GateClosed, ToolError
from ...seams.gates import ALL, HOST, Leave, Need, Side
from .definitions import Ask, Definitions, words_of
from .names import is_catalogue
from .powers import begun, powers_of_table, powers_of_words
from .statement import Verdict

_PLANNED = re.compile(r"[\s(]*+(select|with|values|insert|replace|update|delete)\b", re.IGNORECASE)
_QUERY = re.compile(r"\b(?:select|with)\b.*", re.IGNORECASE | re.DOTALL)
# What the server plans only a part of, or nothing; its words tell what it names.
_CHANGING = re.compile(
    r"(?:(create|alter|drop)\s++(?:(?:or|replace|temporary|unique|fulltext|spatial|online|ignore|algorithm\s*+=\s*+\w++"
    r"|sql|security|definer|invoker)\s++)*+(?:table|view|index)|truncate)\b",
    re.IGNORECASE,
)
_DESCRIBING = re.compile(r"(explain|describe|desc|show)\b", re.IGNORECASE)

_TRACE = """
    SELECT JSON_EXTRACT(TRACE, '$**.expanded_query'), MISSING_BYTES_BEYOND_MAX_MEM_SIZE
    FROM information_schema.OPTIMIZER_TRACE
"""
_LONGEST_TRACE = 8 * 1024 * 1024
# MariaDB with the plugin METADATA_LOCK_INFO, and MySQL.
_LOCKS = (
    """
    SELECT TABLE_SCHEMA, TABLE_NAME, LOCK_MODE FROM information_schema.METADATA_LOCK_INFO
    WHERE THREAD_ID = CONNECTION_ID() AND LOCK_TYPE = 'Table metadata lock'
    """,
    """
    SELECT OBJECT_SCHEMA, OBJECT_NAME, LOCK_TYPE FROM performance_schema.metadata_locks
    JOIN performance_schema.threads ON THREAD_ID = OWNER_THREAD_ID
    WHERE PROCESSLIST_ID = CONNECTION_ID() AND OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA <> 'performance_schema'
    """,
)
_SHOWN = 1003
_SYNTAX = 1064
# Errors that quote what stands in the statement, and no values: unknown names, wrong counts, lacking rights.
_QUOTES_NOTHING = frozenset(
    {1044, 1046, 1048, 1049, 1051, 1052, 1054, 1055, 1060, 1064, 1066, 1109, 1110, 1136, 1140, 1142, 1143, 1146, 1222}
    | {1241, 1247, 1253, 1305, 1345, 1347, 1348, 1356, 1364, 1370, 1394, 1442, 1747, 1792, 4124}
)  # fmt: skip
_TEXT = re.compile(r"'(?:[^'\\]|\\.|'')*+'", re.DOTALL)
_NAME = re.compile(r"(`(?:[^`]|``)++`(?:\.`(?:[^`]|``)++`)*+)(\(?)")
_CALL = re.compile(r"\b(\w++)\(")


class Plans:
    """Looks through one connection, in the transaction in which the statement is to run."""

    def __init__(self, ask: Ask, leave: Leave, schema: str, definitions: Definitions, mariadb: bool) -> None:
        self._ask = ask
        self._leave = leave
        self._schema = schema
        self._definitions = definitions
        self._explain = "EXPLAIN EXTENDED" if mariadb else "EXPLAIN"

    def hold(self, verdict: Verdict) -> None:
        """Looks at all that the server says. Raises `ToolError`, or the server's error."""
        for need in self._needs(verdict):
            if need is not None:
                raise GateClosed(need)

    def _needs(self, verdict: Verdict) -> Iterator[Need | None]:
        """The gates in the way."""
        text = begun(verdict.text)
        if verdict.is_doubtful:
            yield from self._definitions.doubt()
        if _PLANNED.match(text):
            yield from self._in_plan(text, verdict)
        elif changing := _CHANGING.match(text):
            creates = (changing[1] or "").lower() == "create"
            for word in words_of(text):
                yield self._leave.shut(word, "read" if creates and word not in verdict.writes else "write")
            if creates and (query := _QUERY.search(text)):
                yield from self._in_plan(query[0], verdict)
        elif _DESCRIBING.match(text) and verdict.only_describes:
            return
        elif not verdict.is_doubtful:
            yield from self._definitions.doubt()

    def _in_plan(self, query: str, verdict: Verdict) -> Iterator[Need | None]:
        try:
            printed, words = self._explained(query)
        except MySQLError as error:
            yield from self._locked(verdict)
            yield from self._unexplained(query, error)
            return
        yield from self._locked(verdict)
        yield from self._printed(printed, verdict)
        if words is None:
            yield self._leave.shut(ALL, "read")
            return
        for word in words - {name.lower() for name in verdict.writes}:
            yield self._leave.shut(word, "read")
        yield from self._definitions.behind(words, ())

    def _explained(self, query: str) -> tuple[str, set[str] | None]:
        """The statement as the server has read it, and what may be a name in its queries; None if that is not known."""
        with suppress(MySQLError):  # an old server, which has no trace
            self._ask(
                f"SET optimizer_trace = 'enabled=on', optimizer_trace_max_mem_size = {_LONGEST_TRACE}", ()
            )
        words = {str(table).lower() for _, _, table, *_ in self._ask(f"{self._explain} {query}", ())}
        printed = " ".join(text for _, code, text in self._ask("SHOW WARNINGS", ()) if code == _SHOWN)
        with suppress(MySQLError):
            for queries, missing in self._ask(_TRACE, ()):
                if missing:
                    return printed, None
                for text in json.loads(queries or "[]"):
                    words.update(words_of(_TEXT.sub("''", text)))
            self._ask("SET optimizer_trace = 'enabled=off'", ())
        return printed, words

    def _unexplained(self, query: str, error: MySQLError) -> Iterator[Need | None]:
        """What the server runs and has no plan for may do anything. Raises what it says of all else."""
        code = error.args[0] if error.args else 0
        if code == _SYNTAX:
            try:
                self._ask("PREPARE llamaproxy FROM %s", (query,))
            except MySQLError as again:
                if again.args[0] == _SYNTAX:
                    raise error from None
            yield from self._definitions.doubt()
        elif code in _QUOTES_NOTHING:
            raise error
        else:
            raise ToolError(f"the database refused it with the error {code}")

    def _printed(self, printed: str, verdict: Verdict) -> Iterator[Need | None]:
        """What is in a statement as the server prints it: tables with their schemas, functions."""
        text = _TEXT.sub("''", printed)
        names: set[str] = set()
        for found in _NAME.finditer(text):
            first, *more = (part.replace("``", "`") for part in found[1][1:-1].split("`.`"))
            if more:
                names.add(self._full(first, more[0]))
            if found[2] and not text[: found.start()].endswith(" into ") and not verdict.is_doubtful:
                yield from self._definitions.doubt()  # a function that is none of the server's
        known = {name.lower() for name in (*verdict.reads, *verdict.writes)} | self._definitions.passed
        unknown = [name for name in self._definitions.existing(names) if name.lower() not in known]
        for name in unknown:
            yield from self._touched(name, "write" if verdict.writes else "read")
        yield from self._definitions.behind(names, unknown if verdict.writes else ())
        if powers_of_words(_CALL.findall(text.lower())):
            yield self._leave.closed(HOST, "write")

    def _locked(self, verdict: Verdict) -> Iterator[Need | None]:
        """The tables that the plan has locked; one that is changed may be looked at."""
        for schema, table, mode in self._locks():
            name = self._full(schema, table)
            side: Side = "read" if mode in ("MDL_SHARED_READ", "SHARED_READ") else "write"
            proposed = {
                each.lower() for each in (*verdict.writes, *(verdict.reads if side == "read" else ()))
            }
            if name.lower() not in proposed:
                yield from self._touched(name, side)

    def _locks(self) -> list[tuple[str, str, str]]:
        for query in _LOCKS:
            with suppress(MySQLError):
                if rows := self._ask(query, ()):
                    return [(row[0], row[1], row[2]) for row in rows]
        return []

    def _touched(self, name: str, side: Side) -> Iterator[Need | None]:
        schema, _, table = name.rpartition(".")
        full = f"{schema or self._schema}.{table}"
        if is_catalogue(full, "mysql") and side == "read":
            return
        for power in powers_of_table(full, "mysql"):
            yield self._leave.closed(power, side)
        yield self._leave.closed(name, side)

    def _full(self, schema: str, table: str) -> str:
        return table if schema.lower() == self._schema.lower() else f"{schema}.{table}"
