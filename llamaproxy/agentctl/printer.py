"""What the operator sees: signs, colours and the progress bar, plain wherever it is not a terminal."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from secrets import token_hex
from typing import Any, NamedTuple, TextIO

from ..seams.visible import discreet, visible
from .rows import Row

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "grey": 90}
_BAR_WIDTH = 30
# Of colours of our own; what is told cannot have it, and so has no colours.
_OWN = token_hex(8)
_COLOUR = re.compile(rf"\x1b{_OWN}\[(\d+)m")


class Sign(NamedTuple):
    """A one-letter state, its colour (empty for none) and what it means."""

    symbol: str
    colour: str
    meaning: str


class Printer:
    """Writes results to `out` and refusals to `err`; colours only what goes to a terminal, and not under NO_COLOR."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err
        # Tells a server that runs of a change; gives what came of it, empty if there is none.
        self.tell_server: Callable[[], str] = str

    def line(self, text: str = "") -> None:
        """Plain output."""
        print(_harmless(text), file=self._out)

    def heading(self, text: str) -> None:
        """What stands above a part of the output."""
        self.line(self._paint(self._out, "cyan", text))

    def json(self, value: Any) -> None:
        """The value as JSON, with nothing of ours around it."""
        from json import dumps

        from msgspec import to_builtins

        # In ASCII, so that nothing in it acts on a terminal.
        print(discreet(dumps(to_builtins(value), indent=2)), file=self._out)

    def table(self, heads: Sequence[str], rows: Sequence[Row]) -> None:
        """A list: a table for a person at a terminal, one line for each row (and one for its note) for all others."""
        if not self._out.isatty() or find_spec("rich") is None:
            for row in rows:
                self.line(row.line)
                if row.note:
                    self.line(f"    {row.note}")
            return
        from .tables import draw

        draw(
            [_harmless(head) for head in heads],
            [row._replace(cells=[*map(_harmless, row.cells)], note=_harmless(row.note)) for row in rows],
            self._out,
        )

    def done(self, text: str) -> None:
        """The request is met."""
        self.line(self._paint(self._out, "green", f"✓ {text}"))

    def note(self, text: str) -> None:
        """Nothing had to be done, or something deserves a look."""
        self.line(self._paint(self._out, "yellow", text))

    def restart(self) -> None:
        """A server that runs does not know of the change yet."""
        told = self.tell_server() or "A running server needs a restart to see this."
        self.line(self._paint(self._out, "cyan", told))

    def refused(self, text: str) -> None:
        """The request is not met; goes to the error stream."""
        self._out.flush()
        first, _, more = text.partition("\n")
        lines = _harmless(f"{self._paint(self._err, 'red', f'✗ {first}')}\n{more}").splitlines()
        print(*lines, sep="\n  ", file=self._err)

    def sign(self, sign: Sign) -> str:
        """The sign's symbol, coloured."""
        return self._paint(self._out, sign.colour, sign.symbol)

    @property
    def is_terminal(self) -> bool:
        """Whether what is written is seen at once."""
        return self._out.isatty()

    @property
    def is_dialogue(self) -> bool:
        """Whether a person is there to answer."""
        return self._out.isatty() and sys.stdin.isatty()

    def ask(self, question: str, default: str = "") -> str:
        """What a person types; the default if that is nothing. Raises `EOFError` if they close the input."""
        hint = f" [{default}]" if default else ""
        print(_harmless(f"{self._paint(self._out, 'cyan', question + hint)} "), end="", file=self._out)
        self._out.flush()
        typed = sys.stdin.readline()
        if not typed:
            self.line()
            raise EOFError
        return typed.strip() or default

    def confirm(self, question: str, default: bool = False) -> bool:
        """Whether a person says yes."""
        try:
            said = self.ask(f"{question} [{'Y/n' if default else 'y/N'}]").lower()
        except EOFError:
            return False
        return said in (("", "y", "yes") if default else ("y", "yes"))

    @contextmanager
    def bar(self) -> Iterator[Callable[[int, int], None]]:
        """Gives a function that draws how many bytes of how many (0: unknown) are done; no-op off a terminal."""

        def draw(done: int, total: int) -> None:
            share = min(done / total, 1) if total else 0
            filled = "█" * int(share * _BAR_WIDTH)
            print(
                f"\r{filled:·<{_BAR_WIDTH}} {done / 1e6:.1f} of {total / 1e6:.1f} MB", end="", file=self._out
            )
            self._out.flush()

        if not self._out.isatty():
            yield lambda done, total: None
            return
        try:
            yield draw
        finally:
            print("\r\x1b[K", end="", file=self._out)

    def _paint(self, stream: TextIO, colour: str, text: str) -> str:
        plain = not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return text if plain or not colour else f"\x1b{_OWN}[{_COLOURS[colour]}m{text}\x1b{_OWN}[0m"


def _harmless(text: str) -> str:
    """The text without passwords, and without what acts on a terminal but for colours of our own."""
    pieces = _COLOUR.split(discreet(text))
    return "".join(
        [f"\x1b[{piece}m" if place % 2 else visible(piece, lines=True) for place, piece in enumerate(pieces)]
    )
