"""Gates: what tools may do in a session without asking. True always means allowed.

Two maps, `db` by table and `tools` by tool, each with the sides `read` and `write`. A session's own settings lie
over the process's defaults name by name and side by side, so that setting one side leaves the other on its default.
The look-up goes from the exact name over the group to `*`, and what nobody set is not allowed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from ...seams.types import Access

if TYPE_CHECKING:  # agentctl comes here, and does without Twisted
    from ...seams.interfaces import ITool

Side = Literal["read", "write"]
Kind = Literal["db", "tools"]
GateMap = Mapping[str, Mapping[str, Mapping[str, bool]]]

SIDES: tuple[Side, Side] = ("read", "write")
DB: Kind = "db"
TOOLS: Kind = "tools"
ALL = "*"
# The table of what names no table: SHOW, DESCRIBE, and whatever cannot be read.
META = "__meta__"
SYSTEM_PROMPT = "system_prompt"
DATABASE_CATEGORY = "db"
# Groups that can be set before any of their tools is installed, and those of them whose tools can only look.
KNOWN_GROUPS = ("search", "extract", "drive")
READ_ONLY_GROUPS = frozenset({"search", "extract"})
SETTING = "gates"


class Need(Struct, frozen=True):
    """One gate that a call has to pass; `group` is the tool's category, empty for a table."""

    kind: Kind
    name: str
    side: Side
    group: str = ""

    @property
    def command(self) -> str:
        """What the user would say to open it."""
        if self.kind == DB:
            return f"!autoAIdb {self.name} {self.side} true"
        if self.name == SYSTEM_PROMPT:
            return f"!autoAISysPrompt {self.side} true"
        if self.group in READ_ONLY_GROUPS and self.side == "read":
            return f"!autogate {self.name} true"
        return f"!autogate {self.name} {self.side} true"

    @property
    def what(self) -> str:
        """What would be touched, in words."""
        thing = f"table {self.name}" if self.kind == DB else self.name.replace("_", " ")
        return f"{self.side} {thing}"


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

    def closed(self, tool: "ITool", access: Access) -> list[Need]:
        """The gates in the way of a call; none means that it may run."""
        return [
            need
            for need in _needs(tool, access)
            if not self.allows(need.kind, need.name, need.side, need.group)
        ]


def sides_of(tool: "ITool") -> tuple[Side, ...]:
    """The sides that the gate of a tool has."""
    sides: tuple[Side, ...] = ("read",) if tool.category in READ_ONLY_GROUPS else SIDES
    return getattr(tool, "sides", sides)


def _needs(tool: "ITool", access: Access) -> Iterator[Need]:
    if access.operation is None:
        return
    if tool.category != DATABASE_CATEGORY:
        yield Need(TOOLS, (access.gate or tool.name).lower(), access.operation, tool.category)
    elif access.reads or access.writes:
        yield from (Need(DB, table.lower(), "read") for table in access.reads)
        yield from (Need(DB, table.lower(), "write") for table in access.writes)
    else:
        yield Need(DB, META, access.operation)
