"""Tables on a terminal, as wide as it is."""

from collections.abc import Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .rows import Row


def draw(heads: Sequence[str], rows: Sequence[Row], out: TextIO) -> None:
    """One row for each; what to do about it stands below its other cells, over the whole width if need be."""
    console = Console(file=out, highlight=False, soft_wrap=False)
    table = Table(*heads, box=SIMPLE_HEAD, header_style="bold cyan", pad_edge=False)
    if any(row.note for row in rows):
        table.add_column("", overflow="fold", style="yellow")
    for row in rows:
        table.add_row(*map(Text.from_ansi, row.cells), *([Text(row.note)] if row.note else []))
    console.print(table)
