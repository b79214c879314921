"""Cuts what a socket delivers into lines and events, however the network had cut it.

The two framings that model servers stream in: Server-Sent Events (WHATWG HTML, section 9.2, "Server-sent
events") and newline-delimited JSON. Bytes in, bytes out: as every piece is whole when it leaves, a character
whose UTF-8 form was split over two segments needs no care here.
"""

MAX_LINE = 8 * 1024 * 1024


class LineTooLongError(ValueError):
    """A line or event grew over the limit; `str()` says so in words for the user."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a line of more than {limit} bytes")


class LineSplitter:
    """Lines without their ends, which are LF, CRLF or CR; what has no end yet waits for the next segment."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        # The pieces of an unfinished line, joined only once its end is there: a long line stays linear.
        self._pieces: list[bytes] = []
        self._size = 0
        self._after_cr = False

    @property
    def idle(self) -> bool:
        """Whether nothing has come since the last line's end, and nothing of that can be missing."""
        return not (self._pieces or self._after_cr)

    def received(self, segment: bytes) -> list[bytes]:
        """The lines that `segment` completes. Raises `LineTooLongError`."""
        if self._after_cr and segment:
            self._after_cr = False
            segment = segment.removeprefix(b"\n")
        if not segment:
            return []
        lines = segment.splitlines()
        self._after_cr = segment.endswith(b"\r")
        unfinished = b"" if segment.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._pieces:
            lines[0] = b"".join(self._pieces) + lines[0]
            self._pieces, self._size = [], 0
            if len(lines[0]) > self._limit:
                raise LineTooLongError(self._limit)
        if unfinished:
            self._pieces.append(unfinished)
            self._size += len(unfinished)
            if self._size > self._limit:
                raise LineTooLongError(self._limit)
        return lines


class NamedEventSplitter:
    """Server-Sent Events by name; for streams in which the data alone does not say what it is."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._lines = LineSplitter(limit)
        self._name = b""
        self._data = b""

    def received(self, segment: bytes) -> list[tuple[bytes, bytes]]:
        """Name and data of the events that `segment` completes. Raises `LineTooLongError`."""
        events = []
        for line in self._lines.received(segment):
            field, _, value = line.partition(b":")
            if not line:
                if self._data:
                    events.append((self._name, self._data))
                self._name = self._data = b""
            elif field == b"event":
                self._name = value.removeprefix(b" ")
            elif field == b"data":
                self._data += (b"\n" if self._data else b"") + value.removeprefix(b" ")
                if len(self._data) > self._limit:
                    raise LineTooLongError(self._limit)
        return events


class EventSplitter:
    """The data of Server-Sent Events; comments and the fields besides `data` are passed over."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._lines = LineSplitter(limit)
        self._data: list[bytes] = []
        self._size = 0

    @property
    def idle(self) -> bool:
        """Whether nothing has come since the last event's end."""
        return self._lines.idle and not self._data

    def received(self, segment: bytes) -> list[bytes]:
        """The data of the events that `segment` completes. Raises `LineTooLongError`."""
        events = []
        for line in self._lines.received(segment):
            if not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data, self._size = [], 0
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(value)
                if self._size > self._limit:
                    raise LineTooLongError(self._limit)
        return events
