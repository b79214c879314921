"""Tool calls: put together from pieces."""

import re
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from ...seams.surrogates import joined
from ...seams.types import ToolCall, ToolCallDelta
from ..upstream.sse import OVERHEAD, TooLongError
from ..upstream.wire import encode
from .extras import Kept

# What the calls of one answer may be in number, and take in memory.
MAX_CALLS = 256
MAX_SIZE = 16 * 1024 * 1024

# What JSON's brackets and strings are made of.
_SIGN = re.compile(r'["\\{}\[\]]')


class CallCollector:
    """Numbers the pieces of a model's tool calls from 0 and puts them together.

    OpenAI's `index` says which call a piece belongs to, and a new call has an id and a name. Not every server keeps to
    that: some give each of several calls the index 0, or none; some give each piece another id, or the name once more;
    some have no ids; some send the name late, or in pieces. So it is a name that begins a call, where it cannot belong
    to the one before. What has no end raises `TooLongError`.
    """

    __slots__ = ("_by_index", "_calls", "_size")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        # The server's index -> the newest call that had it.
        self._by_index: dict[int, _Call] = {}
        self._size = 0

    def add(self, index: int | None, call_id: str, name: str, arguments: Any) -> ToolCallDelta:
        """Takes a piece, which begins a call or goes on with one; `arguments` are JSON text, or what it would say."""
        text = text_of(arguments)
        newest = self._calls[-1] if self._calls else None
        call = newest if index is None else self._by_index.get(index)
        if call is None or (name and call.is_over(index is not None, call_id, name, text)):
            delta = self.add_whole(call_id, name, text)
            if index is not None:
                self._by_index[index] = self._calls[-1]
            return delta
        return self._go_on(call, call_id, name, text)

    def add_whole(self, call_id: str, name: str, arguments: Any) -> ToolCallDelta:
        """Begins a call; makes an id for it if it has none."""
        if len(self._calls) >= MAX_CALLS:
            raise TooLongError(f"more than {MAX_CALLS} tool calls at once")
        call = _Call(len(self._calls), call_id)
        self._calls.append(call)
        return self._go_on(call, call.id, name, text_of(arguments))

    def finished(self, extra_of: Callable[[int], Kept] = lambda place: {}) -> tuple[ToolCall, ...]:
        """The calls in the order in which they began; what has neither a name nor an object is none.

        `extra_of` knows the `extra` of the call that has a number.
        """
        if not self._calls:
            return ()
        return tuple(
            ToolCall(
                id=call.id,
                name=call.name,
                arguments=joined(call.arguments) or "{}",
                extra=extra_of(call.place),
            )
            for call in self._calls
            if call.name or call.arguments.lstrip().startswith("{")
        )

    def _go_on(self, call: "_Call", call_id: str, name: str, text: str) -> ToolCallDelta:
        name, text = call.add(call_id, name, text)
        self._size += len(name) + len(text) + OVERHEAD
        if self._size > MAX_SIZE:
            raise TooLongError(f"tool calls of more than {MAX_SIZE} bytes")
        return ToolCallDelta(call.place, call_id, name, text)


class _Call:
    """One call, as far as it came."""

    def __init__(self, place: int, call_id: str) -> None:
        self.place = place
        self.id = call_id or f"call_{token_hex(8)}"
        self.name = ""
        self.length = 0
        # Whether its id is the server's.
        self._has_id = bool(call_id)
        self._pieces: list[str] = []
        self._scan = _Scan()
        self._scanned = 0

    @property
    def arguments(self) -> str:
        """Their text, so far."""
        return "".join(self._pieces)

    def is_over(self, has_index: bool, call_id: str, name: str, text: str) -> bool:
        """Whether a piece of its index that has a name, belongs to another call."""
        if not self.name:
            return False
        if call_id and self._has_id and call_id == self.id:
            # Sent once more, unless one id stands for several.
            return bool(text) and self._is_whole() and not self._repeats(text)
        if call_id:
            return self._has_id or bool(self.length) or name != self.name
        if self.length:
            return name != self.name or self._is_whole()
        # Another piece of the name, from who can tell calls apart.
        return not (has_index or self._has_id)

    def add(self, call_id: str, name: str, text: str) -> tuple[str, str]:
        """Takes a piece; gives what was new in it."""
        if name == self.name:
            name = ""
        if text and self._repeats(text):
            text = ""
        if text and self._pieces == ["{}"]:
            # It held the place of what comes now.
            self._pieces, self.length = [], 0
            self._scan, self._scanned = _Scan(), 0
        self.name += name
        if text:
            self._pieces.append(text)
            self.length += len(text)
        return name, text

    def _repeats(self, text: str) -> bool:
        """Whether `text` is nothing but the arguments once more."""
        return len(text) == self.length and text[0] in "{[" and self._is_whole() and text == self.arguments

    def _is_whole(self) -> bool:
        """Whether the arguments are complete."""
        for piece in self._pieces[self._scanned :]:
            self._scan.add(piece)
        self._scanned = len(self._pieces)
        return self._scan.is_over


class _Scan:
    """Follows a JSON text to the end of its value, in linear time however it is cut."""

    def __init__(self) -> None:
        self.is_over = False
        self._depth = 0
        self._quoted = self._escaped = False

    def add(self, piece: str) -> None:
        """Goes on through the next piece."""
        escaped = 0 if self._escaped else -1
        for found in _SIGN.finditer(piece):
            sign, place = found[0], found.start()
            if place == escaped:
                continue
            if self._quoted:
                if sign == "\\":
                    escaped = place + 1
                elif sign == '"':
                    self._quoted, self.is_over = False, not self._depth
            elif sign == '"':
                self._quoted, self.is_over = True, False
            elif sign in "{[":
                self._depth, self.is_over = self._depth + 1, False
            elif sign in "}]":
                self._depth -= 1
                self.is_over = self._depth <= 0
        self._escaped = bool(piece) and escaped == len(piece)


def text_of(arguments: Any) -> str:
    """Arguments as JSON text: some servers send what it would say."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return encode(arguments).decode()
