"""The words of gates: what is gated, on which sides, and what a call needs open. True always means allowed."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

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
