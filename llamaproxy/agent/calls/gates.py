"""Gates: what tools may do in a session without asking. True always means allowed.

Two maps, `db` by table and `tools` by tool, each with the sides `read` and `write`. A session's own settings lie
over the process's defaults name by name and side by side, so that setting one side leaves the other on its default.
The look-up goes from the exact name over the group to `*`, and what nobody set is not allowed.

A table that is shut by its name stays shut: with its schema or without, and for every call that nobody can judge.
"""

from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from typing import Any

from ...seams.gates import (
    ALL,
    DATABASE_CATEGORY,
    DB,
    META,
    NEVER_BY_ALL,
    READ_ONLY_GROUPS,
    SIDES,
    TOOLS,
    UNKNOWN,
    GateMap,
    Kind,
    Need,
    Side,
)
from ...seams.interfaces import ITool
from ...seams.types import Access

SETTING = "gates"
NONE_SET: GateMap = {}
# Beside the two kinds: the calls that were allowed for good though nobody can judge them.
_DOUBTS = "doubts"
_NO_TABLES = frozenset({ALL, META, *NEVER_BY_ALL})


class Gates:
    """The gates of one session: `settings` are the session's, where they are kept, `defaults` the process's.

    Between the two lie those that its caller's profile is `starting` with.
    """

    def __init__(self, settings: dict[str, Any], defaults: GateMap, starting: GateMap = NONE_SET) -> None:
        self._settings = settings
        self._defaults = defaults
        self._starting = starting

    def allows(self, kind: Kind, name: str, side: Side, group: str = "", schema: str = "") -> bool:
        """Whether that side is open; `schema` is the one that a bare table name belongs to."""
        name = name.lower()
        if kind == DB and self.shuts(name, side, schema):
            return False
        rest = ALL if kind != DB or name not in NEVER_BY_ALL else ""
        for each in (name, f"{schema.lower()}.{name}" if schema else "", group.lower(), rest):
            if each and (said := self._said(kind, each, side)) is not None:
                return said
        return False

    def shuts(self, table: str, side: Side, schema: str = "") -> bool:
        """Whether a table is shut by its name, with the schema or without it unless the exact name is open."""
        table = table.lower()
        said = self._said(DB, table, side)
        if said is not None:
            return not said
        other = table.rpartition(".")[2] if "." in table else f"{schema.lower()}.{table}"
        return other not in _NO_TABLES and self._said(DB, other, side) is False

    def shut_tables(self, side: Side, schema: str = "") -> list[str]:
        """All tables that are shut by name on that side."""
        return [name for name in self.names(DB) if name not in _NO_TABLES and self.shuts(name, side, schema)]

    def set(self, kind: Kind, name: str, sides: Sequence[Side], allowed: bool) -> None:
        """Opens or closes sides for this session; to be saved with its settings."""
        own = self._settings.setdefault(SETTING, {}).setdefault(kind, {}).setdefault(name.lower(), {})
        own.update(dict.fromkeys(sides, allowed))

    def open_doubt(self, doubt: str) -> None:
        """Lets one call that cannot be judged run for good in this session, and opens nothing else."""
        self._settings.setdefault(SETTING, {}).setdefault(_DOUBTS, {})[doubt] = True

    def knows_doubt(self, doubt: str) -> bool:
        """Whether that call was let through for good."""
        return bool(doubt) and doubt in self._settings.get(SETTING, {}).get(_DOUBTS, {})

    def names(self, kind: Kind) -> list[str]:
        """What has been set by name, by the session or the operator."""
        own = self._settings.get(SETTING, {}).get(kind, {})
        return sorted({*own, *self._starting.get(kind, {}), *self._defaults.get(kind, {})})

    def closed(self, tool: ITool, access: Access) -> list[Need]:
        """The gates in the way of a call; none means that it may run."""
        if self.knows_doubt(access.doubt):
            return []
        return [
            need
            for need in dict.fromkeys(self._needs(tool, access))
            if not self.allows(need.kind, need.name, need.side, need.group, access.schema)
        ]

    def frozen(self) -> "Gates":
        """As they are now, to be asked from other threads."""
        return Gates({SETTING: deepcopy(self._settings.get(SETTING, {}))}, self._defaults, self._starting)

    def _said(self, kind: Kind, name: str, side: Side) -> bool | None:
        """What was set for exactly that name: the session's word, then the profile's, then the operator's for all."""
        for layer in (self._settings.get(SETTING, {}), self._starting, self._defaults):
            sides = layer.get(kind, {}).get(name, {})
            if side in sides:
                return bool(sides[side])
        return None

    def _needs(self, tool: ITool, access: Access) -> Iterator[Need]:
        if access.operation is None:
            return
        if tool.category != DATABASE_CATEGORY:
            yield Need(TOOLS, (access.gate or tool.name).lower(), access.operation, tool.category)
            return
        if not access.reads and not access.writes:
            yield Need(DB, META, access.operation)
        doubtful = bool(access.doubt) or UNKNOWN in access.writes
        shown = [table for table in access.shows if self.shuts(table, "read", access.schema)]
        for side, tables in zip(SIDES, ((*access.reads, *shown), access.writes), strict=True):
            for table in tables:
                yield Need(DB, table.lower(), side, doubt=access.doubt)
            if doubtful or ALL in tables:
                for table in self.shut_tables(side, access.schema):
                    yield Need(DB, table, side, doubt=access.doubt)


class SessionLeave:
    """What a database call may touch that has passed these gates, or was `given` leave for some that are closed."""

    def __init__(self, gates: Gates, schema: str, given: Collection[Need] = ()) -> None:
        self._gates = gates.frozen()
        self._schema = schema
        self._given = {(need.name, need.side) for need in given}

    def closed(self, table: str, side: Side) -> Need | None:
        """The gate in the way of that side of a table, if there is one."""
        need = Need(DB, table.lower(), side)
        if (need.name, side) in self._given:
            return None
        if not self._gates.allows(DB, table, side, schema=self._schema):
            return need
        return self.shut(ALL, side) if table == ALL else None

    def shut(self, table: str, side: Side) -> Need | None:
        """The same, only for what somebody shut by its name; for `*` that is any table."""
        tables = self._gates.shut_tables(side, self._schema) if table == ALL else [table.lower()]
        for each in tables:
            if (each, side) not in self._given and self._gates.shuts(each, side, self._schema):
                return Need(DB, each, side)
        return None


def sides_of(tool: ITool) -> tuple[Side, ...]:
    """The sides that the gate of a tool has."""
    sides: tuple[Side, ...] = ("read",) if tool.category in READ_ONLY_GROUPS else SIDES
    return getattr(tool, "sides", sides)
