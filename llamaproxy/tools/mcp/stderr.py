"""What an MCP server's program writes to its standard error, as lines for our log, and no flood of them."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TextIO, cast

# What of a line is kept, in bytes, and how many lines in how many seconds.
LONGEST_LINE = 500
MOST_LINES, WINDOW = 100, 60.0

Say = Callable[[str], None]


class Lines(asyncio.Protocol):
    """Cuts what comes into lines and gives each to `say`; more than are wanted are only counted."""

    def __init__(self, say: Say, seconds: Callable[[], float]) -> None:
        self._say = say
        self._seconds = seconds
        self._rest = b""
        self._began = seconds()
        self._lines = 0

    def data_received(self, data: bytes) -> None:
        """Passes on the lines that end in `data`."""
        first, *others = data.split(b"\n")
        self._rest += first[: LONGEST_LINE + 1 - len(self._rest)]
        for piece in others:
            self._end_line()
            self._rest = piece[: LONGEST_LINE + 1]

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes on what has no end of line."""
        self._end_line()
        self._tell_left_out()

    def _end_line(self) -> None:
        line, self._rest = self._rest.strip(), b""
        if not line:
            return
        if self._seconds() - self._began >= WINDOW:
            self._tell_left_out()
            self._began, self._lines = self._seconds(), 0
        self._lines += 1
        if self._lines <= MOST_LINES:
            cut = "..." if len(line) > LONGEST_LINE else ""
            self._say(line[:LONGEST_LINE].decode("utf-8", "replace") + cut)

    def _tell_left_out(self) -> None:
        if self._lines > MOST_LINES:
            self._say(f"(and {self._lines - MOST_LINES} more lines)")


@asynccontextmanager
async def stderr_to(say: Say) -> AsyncGenerator[TextIO, None]:
    """A file for a program's standard error, whose lines `say` gets; to be closed once the program has it."""
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as source, open(writing, "w") as file:
        transport, _ = await loop.connect_read_pipe(lambda: Lines(say, loop.time), source)
        try:
            yield cast(TextIO, file)
        finally:
            transport.close()
