"""Rows as text for a model: compact, bounded, and saying so where something is left out."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

# A cell is cut after this many characters, so that one long text does not push out all other rows.
LONGEST_CELL = 2000


class Table:
    """Takes rows until it is full: at most `max_rows`, and `max_bytes` of text."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._lines: list[str] = []
        self._bytes = 0

    def fill(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
        """The text: a line of names, a line per row, and a count. Takes no more rows than fit, and one."""
        self._lines.append(" | ".join(_cell(name) for name in columns))
        count = 0
        for row in rows:
            line = " | ".join(_cell(value) for value in row)
            self._bytes += len(line.encode("utf-8", "replace")) + 1
            if count == self._max_rows or self._bytes > self._max_bytes:
                self._lines.append(
                    f"({_rows(count)} shown; there are more. Ask for fewer rows or columns, or count them.)"
                )
                return "\n".join(self._lines)
            self._lines.append(line)
            count += 1
        self._lines.append(f"({_rows(count)})")
        return "\n".join(self._lines)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def changed(count: int) -> str:
    """What to say of a statement that gives no rows; `count` is -1 where the database does not tell."""
    return "Done." if count < 0 else f"Done, {_rows(count)} changed."


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes | bytearray | memoryview):
        text = f"0x{bytes(value[:32]).hex()}" + (f"... ({len(value)} bytes)" if len(value) > 32 else "")
    elif isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    if len(text) > LONGEST_CELL:
        text = f"{text[:LONGEST_CELL]}... ({len(text)} characters)"
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("|", "\\|")
