"""Cuts what a socket delivers into lines and events, however the network had cut it.

The two framings that model servers stream in: Server-Sent Events (WHATWG HTML, section 9.2, "Server-sent
events") and newline-delimited JSON. Bytes in, bytes out: as every piece is whole when it leaves, a character
whose UTF-8 form was split over two segments needs no care here.
"""

from msgspec import DecodeError, json

MAX_LINE = 8 * 1024 * 1024
# What a piece takes in memory besides its bytes: many small ones count for more than their sum.
OVERHEAD = 64

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The bytes of a line that is no part of an event which are kept, to be told should there be no answer.
_STRAY = 1024
# What stands around the data of nearly every event.
_FIELD, _END = b"data: ", b"\n\n"
# A number is looked for at a tenth of the cost: of bytes it is first tried whether they are one.
_RETURN = ord("\r")


class TooLongError(ValueError):
    """More came of one thing than anybody means; `str()` says so in words for the user."""


class LineTooLongError(TooLongError):
    """A line or event grew over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a line of more than {limit} bytes")


class LineSplitter:
    """Lines without their ends, which are LF, CRLF or CR; what has no end yet waits for the next segment."""

    __slots__ = ("_after_cr", "_limit", "_pieces", "_size")

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

    def ended(self) -> bytes:
        """The last line, if the stream has ended without the end of it."""
        rest, self._pieces, self._size = b"".join(self._pieces), [], 0
        return rest


class NamedEventSplitter:
    """Server-Sent Events by name; for streams in which the data alone does not say what it is."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._lines = LineSplitter(limit)
        self._name = b""
        self._data = Pieces(limit)

    def received(self, segment: bytes) -> list[tuple[bytes, bytes]]:
        """Name and data of the events that `segment` completes. Raises `LineTooLongError`."""
        events = []
        for line in self._lines.received(segment):
            field, _, value = line.partition(b":")
            if not line:
                if data := self._data.taken():
                    events.append((self._name, data))
                self._name = b""
            elif field == b"event":
                self._name = value.removeprefix(b" ")
            elif field == b"data":
                self._data.add(value.removeprefix(b" "))
        return events


class EventSplitter:
    """The data of Server-Sent Events; comments and the fields besides `data` are passed over.

    Two things come as data as well: an event named `error`, as an object that says so, and a body that is no stream
    but JSON from its first byte on, which is what a server sends that does not stream. That comes at the end, whole.
    `stray` is the first line that was no part of an event.
    """

    __slots__ = ("_beginning", "_data", "_is_error", "_limit", "_lines", "_size", "_whole", "stray")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.stray = b""
        self._limit = limit
        self._lines = LineSplitter(limit)
        self._data: list[bytes] = []
        self._size = 0
        self._is_error = False
        # A body that is no stream.
        self._whole: Pieces | None = None
        # The first bytes, until they tell what the body is; None from then on.
        self._beginning: bytes | None = b""

    @property
    def idle(self) -> bool:
        """Whether nothing has come since the last event's end."""
        return self._lines.idle and not self._data and self._beginning is None and self._whole is None

    @property
    def is_whole(self) -> bool:
        """Whether the body is no stream, but JSON."""
        return self._whole is not None

    def received(self, segment: bytes) -> list[bytes]:
        """The data of the events that `segment` completes. Raises `LineTooLongError`."""
        if self._may_be_plain(segment) and (plain := _plain_events(segment)):
            self._beginning = None
            return plain
        if self._beginning is not None:
            segment = self._begin(self._beginning + segment)
        if self._whole is not None:
            self._whole.add(segment)
            return []
        events = []
        for line in self._lines.received(segment):
            if not line:
                if self._data:
                    data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                    events.append(_as_error(data) if self._is_error else data)
                    self._data, self._size = [], 0
                self._is_error = False
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(value) + OVERHEAD
                if self._size > self._limit:
                    raise LineTooLongError(self._limit)
            elif field == b"event":
                self._is_error = value == b" error" or value == b"error"
            elif not self.stray and field not in (b"", b"id", b"retry"):
                self.stray = line[:_STRAY]
        return events

    def ended(self) -> list[bytes]:
        """What the end of the body completes: an event that lacks its blank line, or a body that is no stream."""
        if self._whole is not None:
            return _texts(self._whole.taken(b""))
        events = self.received((self._beginning or self._lines.ended()) + b"\n\n")
        return events if self._whole is None else _texts(self._whole.taken(b""))

    def _may_be_plain(self, segment: bytes) -> bool:
        """Whether a segment may be told at one look, as it begins and ends with an event and nothing came before."""
        return (
            segment.startswith(_FIELD)
            and segment.endswith(_END)
            and len(segment) + OVERHEAD <= self._limit
            and not (self._beginning or self._data or self._is_error)
            and self._whole is None
            and self._lines.idle
        )

    def _begin(self, beginning: bytes) -> bytes:
        """Looks at how the body begins; what of that is to be read now."""
        if len(beginning) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(beginning):
            self._beginning = beginning
            return b""
        beginning = beginning.removeprefix(BYTE_ORDER_MARK)
        words = beginning.lstrip()
        self._beginning = None if words else b""
        if words.startswith((b"{", b"[")):
            self._whole = Pieces(self._limit)
        return beginning


class Pieces:
    """Pieces that are joined in the end, and bounded by the memory that they take."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, piece: bytes) -> None:
        """Takes one more. Raises `LineTooLongError`."""
        self._pieces.append(piece)
        self._size += len(piece) + OVERHEAD
        if self._size > self._limit:
            raise LineTooLongError(self._limit)

    def taken(self, between: bytes = b"\n") -> bytes:
        """All of them, which are forgotten here."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces, self._size = [], 0
        return pieces[0] if len(pieces) == 1 else between.join(pieces)


def _plain_events(segment: bytes) -> list[bytes]:
    """The data of the events in a segment; empty if one is more than a line of data, or not as most write it."""
    events = segment[len(_FIELD) : -len(_END)].split(_END + _FIELD)
    is_plain = segment.count(b"\n") == len(_END) * len(events) and _RETURN not in segment
    return events if is_plain else []


def _as_error(data: bytes) -> bytes:
    """The data of an event named `error` as an object of that kind, whatever it was."""
    try:
        json.decode(data)
    except (DecodeError, RecursionError):
        data = json.encode(data.decode("utf-8", "replace"))
    return b'{"type":"error","error":%b}' % data


def _texts(body: bytes) -> list[bytes]:
    """The JSON texts of a body: one over many lines, or one in each."""
    try:
        json.decode(body)
    except (DecodeError, RecursionError):
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) > 1 and all(line.lstrip().startswith(b"{") for line in lines):
            return lines
    return [body]
