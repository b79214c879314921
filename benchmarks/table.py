"""Tables as Markdown, to be read in a terminal and pasted into a document as they are."""

from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column is left-aligned, the others hold figures and are right-aligned."""
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(columns), line(rule), *map(line, rows)])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the sorted `values` do not exceed; 0 if there are none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def milliseconds(seconds: float) -> str:
    """For a table's cell."""
    return f"{seconds * 1000:.1f} ms"


def ratio(figure: float, other: float) -> str:
    """How many times `other`; a dash where there is nothing to compare with."""
    return f"{figure / other:.2f}" if other else "-"
