"""Changes of single keys in the operator's files, and how they are told."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .printer import Printer


class Change(NamedTuple):
    """What a subcommand has set, from which value to which."""

    what: str
    old: Any
    new: Any

    @classmethod
    def make(cls, block: dict[str, Any], name: str, value: Any, default: Any, what: str = "") -> "Change":
        """Sets `name` in an object of a file, unless that is its value already; an absent one has its `default`."""
        old = block.get(name)
        change = cls(what or name, default if old is None else old, plain(value))
        if change.is_one:
            block[name] = change.new
        return change

    @property
    def is_one(self) -> bool:
        """Whether there is a difference."""
        return bool(self.old != self.new)


def announce(changes: Sequence[Change], printer: Printer) -> None:
    """Tells what was changed, from what to what."""
    made = [change for change in changes if change.is_one]
    for what, old, new in made:
        printer.done(f"{what}: {shown(old)} → {shown(new)}")
    if made:
        printer.restart()
        return
    for what, _, new in changes:
        printer.note(f"{what} is {shown(new)} already; nothing to do")


def plain(value: Any) -> Any:
    """The value as people write it: 60, not 60.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: Any) -> str:
    """The value as it stands in a file."""
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else str(plain(value))
