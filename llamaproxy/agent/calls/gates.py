"""Gates: what tools may do in a session without asking. True always means allowed.

Two maps, `db` by table and `tools` by tool, each with the sides `read` and `write`. A session's own settings lie
over the process's defaults name by name and side by side, so that setting one side leaves the other on its default.
The look-up goes from the exact name over the group to `*`, and what nobody set is not allowed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ...seams.gates import (
    ALL,
    DATABASE_CATEGORY,
    DB,
    META,
    READ_ONLY_GROUPS,
    SIDES,
    TOOLS,
    GateMap,
    Kind,
    Need,
    Side,
)
from ...seams.interfaces import ITool
from ...seams.types import Access

SETTING = "gates"


class Gates:
    """The gates of one session: `settings` are the session's, where they are kept, `defaults` the process's."""

    def __init__(self, settings: dict[str, Any], defaults: GateMap) -> None:
        self._settings = settings
        self._defaults = defaults

    def allows(self, kind: Kind, name: str, side: Side, group: str = "") -> bool:
        """Whether that side is open."""
        own = self._settings.get(SETTING, {}).get(kind, {})
        defaults = self._defaults.get(kind, {})
        for each in (name.lower(), group.lower(), ALL):
            for layer in (own, defaults):
                if each and side in layer.get(each, ()):
                    return bool(layer[each][side])
        return False

    def set(self, kind: Kind, name: str, sides: Sequence[Side], allowed: bool) -> None:
        """Opens or closes sides for this session; to be saved with its settings."""
        own = self._settings.setdefault(SETTING, {}).setdefault(kind, {}).setdefault(name.lower(), {})
        own.update(dict.fromkeys(sides, allowed))

    def names(self, kind: Kind) -> list[str]:
        """What has been set by name, by the session or the operator."""
        own = self._settings.get(SETTING, {}).get(kind, {})
        return sorted({*own, *self._defaults.get(kind, {})})

    def closed(self, tool: ITool, access: Access) -> list[Need]:
        """The gates in the way of a call; none means that it may run."""
        return [
            need
            for need in _needs(tool, access)
            if not self.allows(need.kind, need.name, need.side, need.group)
        ]


def sides_of(tool: ITool) -> tuple[Side, ...]:
    """The sides that the gate of a tool has."""
    sides: tuple[Side, ...] = ("read",) if tool.category in READ_ONLY_GROUPS else SIDES
    return getattr(tool, "sides", sides)


def _needs(tool: ITool, access: Access) -> Iterator[Need]:
    if access.operation is None:
        return
    if tool.category != DATABASE_CATEGORY:
        yield Need(TOOLS, (access.gate or tool.name).lower(), access.operation, tool.category)
    elif access.reads or access.writes:
        yield from (Need(DB, table.lower(), "read") for table in access.reads)
        yield from (Need(DB, table.lower(), "write") for table in access.writes)
    else:
        yield Need(DB, META, access.operation)
