"""The fast path through a stream's frames: those of one reply differ in nothing but their text.

`Repeats` learns from one frame what stands before and after the text, and from then on cuts the texts of whole runs of
such frames out of a segment, without taking JSON apart. Why that gives what the slow path gives:

- What it learned was tried: put around a text of its own choosing, the slow path decoded it to that text alone. JSON is
  read from left to right, so whatever else stands between the same bytes, if it is the inside of one JSON string, has
  the same fate.
- A text is taken as it is only if it is UTF-8 without a quote, a backslash or a control character; anything else must
  pass for a JSON string on its own, and if it does not (half an emoji), its whole frame goes the slow way.
- A frame is taken only whole, with the blank line that ends it; what remains of a segment goes the slow way as well.
"""

from collections.abc import Callable

from msgspec import DecodeError, json

from ...seams.types import ModelDelta, Text

_FIELD = b"data: "
_END = b"\n\n"
_CONTENT = b'"content":"'
# A number is looked for at a tenth of the cost: of bytes it is first tried whether they are one.
_NEWLINE = ord("\n")
# A text that no server's frame holds by chance, with what JSON escapes and UTF-8 splits.
_PROBE = 'a\\"\u00e9\U0001f600z'
# What cannot stand in a JSON string as it is.
_SPECIAL = bytes([*range(0x20), *b'"\\'])
# Servers whose frames never repeat are not studied for ever.
MAX_LESSONS = 8

_string = json.Decoder(str).decode


class Repeats:
    """Knows the repeating frame of one stream.

    `text_of` is the slow path: the text in an event's data, None if it holds anything else.
    """

    __slots__ = ("_head", "_lessons", "_tail", "_text_of")

    def __init__(self, text_of: Callable[[bytes], str | None]) -> None:
        self._text_of = text_of
        self._head = self._tail = b""
        self._lessons = 0

    @property
    def known(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._head)

    def learn(self, data: bytes) -> None:
        """Studies the data of an event that held a text and nothing else."""
        if self._lessons >= MAX_LESSONS or _NEWLINE in data:
            return
        self._lessons += 1
        before, found, rest = data.partition(_CONTENT)
        after = rest[_length_of_string(rest) :]
        try:
            if not found or self._text_of(before + found + json.encode(_PROBE)[1:-1] + after) != _PROBE:
                return
        except DecodeError:
            return
        self._head, self._tail = _FIELD + before + found, after + _END

    def take(self, segment: bytes, deltas: list[ModelDelta]) -> int:
        """Adds the texts of the frames that `segment` begins with; how many of its bytes those were."""
        head, tail = self._head, self._tail
        if not head or not segment.startswith(head):
            return 0
        between = tail + head
        if segment.endswith(tail):
            taken = len(segment)
            texts = segment[len(head) : -len(tail)].split(between)
        else:
            *texts, last = segment[len(head) :].split(between)
            taken = len(segment) - len(head) - len(last)
        for position, text in enumerate(texts):
            is_plain = len(text.translate(None, _SPECIAL)) == len(text)
            try:
                words = text.decode() if is_plain else _string(b'"%b"' % text)
            except (UnicodeDecodeError, DecodeError):
                # Where this frame begins.
                taken = sum(map(len, texts[:position])) + position * len(between)
                break
            if words:
                deltas.append(Text(words))
        if taken:
            self._lessons = 0
        return taken


def _length_of_string(data: bytes) -> int:
    """Bytes up to the quote that ends the JSON string whose inside `data` begins with."""
    end = data.find(b'"')
    while end > 0 and _is_escaped(data, end):
        end = data.find(b'"', end + 1)
    return len(data) if end < 0 else end


def _is_escaped(data: bytes, position: int) -> bool:
    backslashes = position - len(data[:position].rstrip(b"\\"))
    return backslashes % 2 == 1
