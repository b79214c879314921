"""Draws a few lines over a common axis as SVG; enough for a document, and no library to install."""

from collections.abc import Callable, Mapping, Sequence
from math import log10
from typing import Any

from msgspec import Struct

WIDTH, HEIGHT, MARGIN = 420, 300, 56
MOST_MARKS = 7
COLOURS = ("#1b6ca8", "#2e8b57", "#c0392b", "#8e44ad")
_TEXT = 'font-family="sans-serif" font-size="12" fill="#444"'

Points = Sequence[tuple[float, float]]


class Panel(Struct, frozen=True):
    """One diagram: a title, and for each name the points of its line; `y` is on a logarithmic scale, or `from_zero`."""

    title: str
    lines: Mapping[str, Points]
    from_zero: bool = False


def svg(panels: Sequence[Panel], x_title: str) -> str:
    """The panels side by side under one legend."""
    names = list(panels[0].lines)
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 40}" width="{width}">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, name in enumerate(names):
        x = MARGIN + number * 200
        parts.append(
            _tag("line", x1=x, y1=20, x2=x + 24, y2=20, stroke=COLOURS[number], **{"stroke-width": 3})
        )
        parts.append(f'<text x="{x + 30}" y="24" {_TEXT}>{name}</text>')
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * WIDTH} 40)">{_panel(panel, x_title)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, x_title: str) -> str:
    points = [point for line in panel.lines.values() for point in line]
    right = max(x for x, _ in points)
    scale: Callable[[float], float] = float if panel.from_zero else log10
    top = max(y for _, y in points)
    low, high = (
        (0.0, top * 1.2) if panel.from_zero else (log10(min(y for _, y in points) / 1.5), log10(top * 1.5))
    )

    def place(x: float, y: float) -> tuple[float, float]:
        across = MARGIN + x / right * (WIDTH - 2 * MARGIN)
        return across, HEIGHT - MARGIN - (scale(y) - low) / (high - low) * (HEIGHT - 2 * MARGIN)

    parts = [f'<text x="{MARGIN}" y="{MARGIN - 14}" {_TEXT} font-weight="bold">{panel.title}</text>']
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle" {_TEXT}>{x_title}</text>')
    for y in _steps(high) if panel.from_zero else _round_values(low, high):
        _, down = place(0, y)
        parts.append(_tag("line", x1=MARGIN, y1=down, x2=WIDTH - MARGIN, y2=down, stroke="#ddd"))
        parts.append(f'<text x="{MARGIN - 6}" y="{down + 4:.1f}" text-anchor="end" {_TEXT}>{y:g}</text>')
    marked = sorted({x for x, _ in points})
    for x in marked if len(marked) <= MOST_MARKS else _steps(right):
        across, _ = place(x, points[0][1])
        parts.append(
            f'<text x="{across:.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle" {_TEXT}>{x:g}</text>'
        )
    for colour, line in zip(COLOURS, panel.lines.values(), strict=False):
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line)
        parts.append(_tag("polyline", points=path, fill="none", stroke=colour, **{"stroke-width": 2}))
    return "".join(parts)


def _steps(high: float) -> list[float]:
    """A few round values from 0 on."""
    rough = 10.0 ** int(log10(high) - (high < 1))
    step = next(
        rough * part for part in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if high / (rough * part) <= MOST_MARKS
    )
    return [number * step for number in range(int(high / step) + 1)]


def _round_values(low: float, high: float) -> list[float]:
    decades = range(int(low) - 1, int(high) + 2)
    values = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return [value for value in values if low <= log10(value) <= high]


def _tag(name: str, **attributes: Any) -> str:
    listed = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f"<{name} {listed}/>"
