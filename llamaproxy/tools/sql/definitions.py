"""What a statement touches in MySQL and MariaDB beyond the tables that it names, held against the gates.

It is read from what the server keeps: the definitions of views, triggers and routines, foreign keys, and tables that
are made of others. Whatever a statement names is followed there, so that what nobody may run is not even planned.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ...seams.errors import GateClosed
from ...seams.gates import ALL, HOST, UNKNOWN, Leave, Need, Side
from .guard import classify
from .statement import Verdict

# Gives the rows of a query with its parameters.
Ask = Callable[[str, Sequence[Any]], list[Sequence[Any]]]

_TABLES = """
    SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE, v.VIEW_DEFINITION, t.TABLE_TYPE FROM information_schema.TABLES t
    LEFT JOIN information_schema.VIEWS v ON v.TABLE_SCHEMA = t.TABLE_SCHEMA AND v.TABLE_NAME = t.TABLE_NAME
    WHERE t.TABLE_SCHEMA IN %s AND t.TABLE_NAME IN %s
"""
_TRIGGERS = """
    SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s
"""
_ROUTINES = """
    SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES
    WHERE ROUTINE_SCHEMA NOT IN ('sys', 'mysql') AND ROUTINE_NAME IN %s
"""
_KEYS = """
    SELECT CONSTRAINT_SCHEMA, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS
    WHERE UNIQUE_CONSTRAINT_SCHEMA = %s AND REFERENCED_TABLE_NAME = %s
    AND (DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION'))
"""
_UNION = re.compile(r"UNION=\(((?:(?!UNION=\()[^)])*)\)")
# Engines whose tables lie elsewhere: in files of any kind, or on other servers.
_ELSEWHERE = frozenset({"connect", "federated", "spider", "s3", "oqgraph"})
_WORD = re.compile(r"`((?:[^`]|``)+)`|([\w$]+)")
_QUALIFIED = re.compile(r"(?<![\w$])([\w$]++)`?\s*+\.\s*+`?([\w$]++)")
_TARGET = re.compile(
    r"\b(?:(?:insert|replace)\s+(?:\w+_priority\s+|delayed\s+|ignore\s+)*(?:into\s+)?"
    r"|update\s+(?:low_priority\s+|ignore\s+)*|delete\s+(?:low_priority\s+|quick\s+|ignore\s+)*from\s+"
    r"|truncate\s+(?:table\s+)?)(?:`?[\w$]+`?\s*\.\s*)?`?([\w$]+)",
    re.IGNORECASE,
)
_DYNAMIC = frozenset({"prepare", "execute", "immediate"})


class Definitions:
    """Looks through one connection; `schema` is the one that bare names belong to."""

    def __init__(self, ask: Ask, leave: Leave, schema: str) -> None:
        self._ask = ask
        self._leave = leave
        self._schema = schema
        self._seen: set[tuple[str, str, Side]] = set()
        # The tables behind names that were let through, in lower case.
        self.passed: set[str] = set()

    def hold(self, verdict: Verdict) -> None:
        """Looks at all that the statement may touch. Raises `ToolError`."""
        names = (*verdict.reads, *verdict.writes, *verdict.shows)
        if verdict.is_doubtful:
            names = (*names, *words_of(verdict.text))
        for need in self.behind(names, verdict.writes, verdict.only_describes):
            if need is not None:
                raise GateClosed(need)

    def existing(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are tables or views."""
        return [self._full(row[0], row[1]) for row in self._tables(names)]

    def doubt(self) -> Iterator[Need | None]:
        """The gates in the way of what may do anything."""
        yield self._leave.closed(UNKNOWN, "write")
        yield self._leave.shut(ALL, "read")
        yield self._leave.shut(ALL, "write")

    def behind(
        self, names: Iterable[str], written: Iterable[str], only_shown: bool = False
    ) -> Iterator[Need | None]:
        """The gates in the way behind those names, of which some are written."""
        written = {name.lower() for name in written}
        for schema, table, engine, definition, kind in self._tables(names):
            side: Side = "write" if self._full(schema, table).lower() in written else "read"
            if (schema, table, side) in self._seen:
                continue
            self._seen.add((schema, table, side))
            if "VIEW" in kind and kind != "SYSTEM VIEW":
                yield from self._in_view(definition, side, only_shown)
            elif (engine or "").lower() == "mrg_myisam":
                yield from self._in_union(schema, table, side)
            elif (engine or "").lower() in _ELSEWHERE:
                yield self._leave.closed(HOST, "write")
            if side == "write":
                yield from self._in_triggers(schema, table)
                yield from self._in_keys(schema, table)

    def _closed(self, table: str, side: Side) -> Need | None:
        self.passed.add(table.lower())
        return self._leave.closed(table, side)

    def _tables(self, names: Iterable[str]) -> list[Sequence[Any]]:
        """What there is of those names, as (schema, name, engine, definition of a view, type)."""
        wanted = {
            (schema or self._schema, table) for schema, _, table in (name.rpartition(".") for name in names)
        }
        if not wanted or not self._schema:
            return []
        schemas, tables = (tuple({each[part] for each in wanted}) for part in (0, 1))
        rows = self._ask(_TABLES, (schemas, tables))
        lower = {(schema.lower(), table.lower()) for schema, table in wanted}
        return [row for row in rows if (row[0].lower(), row[1].lower()) in lower]

    def _full(self, schema: str, table: str) -> str:
        return table if schema.lower() == self._schema.lower() else f"{schema}.{table}"

    def _in_view(self, definition: str | None, side: Side, only_shown: bool) -> Iterator[Need | None]:
        verdict = classify(definition or "", "mysql", self._schema)
        if verdict.is_doubtful:
            yield from self.doubt()
        for table in verdict.reads:
            yield (self._leave.shut(table, "read") if only_shown else self._closed(table, "read"))
            if side == "write":
                yield self._closed(table, side)
        for power in verdict.powers:
            yield self._leave.closed(power, "read")
        yield from self.behind(verdict.reads, verdict.reads if side == "write" else (), only_shown)

    def _in_union(self, schema: str, table: str, side: Side) -> Iterator[Need | None]:
        quoted = ".".join(f"`{part.replace('`', '``')}`" for part in (schema, table))
        [[_, text]] = self._ask(f"SHOW CREATE TABLE {quoted}", ())
        union = _UNION.search(text)
        for each in words_of(union[1]) if union else ():
            yield self._closed(each, side)

    def _in_triggers(self, schema: str, table: str) -> Iterator[Need | None]:
        for (action,) in self._ask(_TRIGGERS, (schema, table)):
            yield from self._in_code(action)

    def _in_code(self, code: str | None) -> Iterator[Need | None]:
        """Of a trigger or a routine, whose language nobody here parses: what it names, and what it calls."""
        words = words_of(code or "")
        if code is None or _DYNAMIC & set(words):
            yield from self.doubt()
        written = {name.lower() for name in _TARGET.findall(code or "")}
        names = [self._full(row[0], row[1]) for row in self._tables(words)]
        targets = {name for name in names if name.rpartition(".")[2].lower() in written}
        for name in names:
            yield self._closed(name, "write" if name in targets else "read")
        yield from self.behind(names, targets)
        for name, body in self._ask(_ROUTINES, (tuple(words),)) if words else ():
            if ("", name, "read") not in self._seen:
                self._seen.add(("", name, "read"))
                yield from self._in_code(body)

    def _in_keys(self, schema: str, table: str) -> Iterator[Need | None]:
        children = [self._full(*row) for row in self._ask(_KEYS, (schema, table))]
        for child in children:
            yield self._closed(child, "write")
        yield from self.behind(children, children)


def words_of(text: str) -> list[str]:
    """Whatever may be a name in a text, in lower case, with a schema as well as without."""
    bare = ((quoted.replace("``", "`") or plain).lower() for quoted, plain in _WORD.findall(text))
    full = (f"{schema}.{name}".lower() for schema, name in _QUALIFIED.findall(text))
    return list(dict.fromkeys((*bare, *full)))
