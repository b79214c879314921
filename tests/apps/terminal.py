"""An app at a terminal, for what it does only where somebody sits before it: titles, suggestions, the Escape key."""

import fcntl
import struct
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tests.acceptance.program import Program

ROWS, COLUMNS = 40, 120
# What a program asks of its terminal to learn where the cursor is, and the answer.
WHERE, HERE = b"\x1b[6n", b"\x1b[1;1R"


class Terminal(Program):
    """Types as a person does: whole words, then Enter once the app has shown them."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(arguments, folder, environment, terminal=True)

    def connectionMade(self) -> None:
        fcntl.ioctl(self._terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def outReceived(self, data: bytes) -> None:
        super().outReceived(data)
        if WHERE in data:
            self._terminal.write(HERE)

    async def type(self, words: str) -> None:
        self._terminal.write(words.encode())
        await self.said(words.split()[-1])
        self._terminal.write(b"\r")

    def escape(self) -> None:
        self._terminal.write(b"\x1b")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._terminal.write(b"\x03")

    @property
    def _terminal(self) -> Any:
        return cast(Any, self.transport)
