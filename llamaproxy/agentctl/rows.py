"""What a list is made of, however it is shown."""

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One thing of a list: its line where there is no terminal, its cells in a table on one, and what to do."""

    line: str
    cells: Sequence[str]
    note: str = ""
