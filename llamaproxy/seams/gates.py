"""The words of gates: what is gated, on which sides, and what a call needs open. True always means allowed."""

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct

Side = Literal["read", "write"]
Kind = Literal["db", "tools", "question"]
GateMap = Mapping[str, Mapping[str, Mapping[str, bool]]]

SIDES: tuple[Side, Side] = ("read", "write")
DB: Kind = "db"
TOOLS: Kind = "tools"
# No gate, but asked for in the same way: a tool's question, which is the need's name.
QUESTION: Kind = "question"
ALL = "*"
# The table of what names no table: SHOW, DESCRIBE, and whatever cannot be read.
META = "__meta__"
# What no `*` opens, each named like a table: what a statement may do that nobody can tell beforehand, the files and
# programs of the database's machine, and its accounts with what their sessions are doing.
UNKNOWN = "__unknown__"
HOST = "__host__"
ACCOUNTS = "__accounts__"
NEVER_BY_ALL: Mapping[str, str] = {
    UNKNOWN: "run a statement that cannot be judged",
    HOST: "reach files and programs of the database's machine",
    ACCOUNTS: "touch the database's accounts and other sessions",
}
SYSTEM_PROMPT = "system_prompt"
DATABASE_CATEGORY = "db"
# Groups that can be set before any of their tools is installed, and those of them whose tools can only look.
KNOWN_GROUPS = ("search", "extract", "drive")
READ_ONLY_GROUPS = frozenset({"search", "extract"})


class Need(Struct, frozen=True):
    """One gate that a call has to pass; `group` is the tool's category, empty for a table.

    `doubt` is set where the call cannot be judged: by it that one call is known again.
    """

    kind: Kind
    name: str
    side: Side
    group: str = ""
    doubt: str = ""

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
        if self.kind == QUESTION:
            return f"it asks: {self.name}"
        if self.kind == DB and self.name in NEVER_BY_ALL:
            return NEVER_BY_ALL[self.name]
        thing = self.name.replace("_", " ")
        if self.kind == DB:
            thing = "any table" if self.name == ALL else f"table {self.name}"
        return f"{self.side} {thing}"


class Leave(Protocol):
    """What a database call that runs may touch, for a tool to ask from any thread when the database tells it more.

    Tables are named as in `Access`, and `*` is all of them.
    """

    def closed(self, table: str, side: Side) -> Need | None:
        """The gate in the way of that side of a table, if there is one."""

    def shut(self, table: str, side: Side) -> Need | None:
        """The same, only for what somebody shut by its name; for `*` that is any table."""
