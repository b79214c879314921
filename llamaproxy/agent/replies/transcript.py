"""Keeps what was said for the history, in bounded memory however long the reply."""

HEAD_BYTES = 192 * 1024
TAIL_BYTES = 64 * 1024


class Transcript:
    """A reply's text: all of it up to 256 KiB, beyond that its beginning and its end.

    No model's window would hold more of one old answer, and a client that stalls in the middle of an endless
    reply must not make the process grow.
    """

    __slots__ = ("_dropped", "_head", "_tail")

    def __init__(self) -> None:
        self._head = bytearray()
        # None until the head is full.
        self._tail: bytearray | None = None
        self._dropped = 0

    def add(self, text: str) -> None:
        """Appends a piece. Raises `UnicodeEncodeError`, and keeps nothing of it, if that has half a character."""
        data = text.encode()
        if not self._tail:
            room = HEAD_BYTES - len(self._head)
            if len(data) <= room:
                self._head += data
                return
            cut = _whole(data, room)
            self._head += data[:cut]
            self._tail, data = bytearray(), data[cut:]
        self._tail += data
        if len(self._tail) > 2 * TAIL_BYTES:
            self._dropped += len(self._tail) - TAIL_BYTES
            del self._tail[:-TAIL_BYTES]

    def text(self) -> str:
        """The text; a cut in the middle is marked with the number of bytes that are missing."""
        head = self._head.decode()
        if not self._tail:
            return head
        if not self._dropped:
            return head + self._tail.decode()
        # The cut may have gone through a character.
        return f"{head}\n[... {self._dropped} bytes ...]\n{self._tail.decode('utf-8', 'ignore')}"

    def __bool__(self) -> bool:
        return bool(self._head)


def _whole(data: bytes, size: int) -> int:
    """The most bytes, `size` or a few less, after which no character is cut in two."""
    while 0 < size < len(data) and data[size] & 0xC0 == 0x80:
        size -= 1
    return size
