"""What a server adds to its answer and wants back with it: its thoughts, their signatures, those of its calls.

DeepSeek and Kimi refuse a later request without `reasoning_content`, Gemini one without the `thought_signature` in a
call's `extra_content`; OpenRouter has `reasoning_details` for that, LiteLLM `thinking_blocks`. All of it is kept
with the message, under the name of the back end, and goes to no other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..upstream.sse import OVERHEAD
from ..upstream.wire import encode

# Characters of one answer. Of thoughts the beginning is kept; of what is signed, a part would be of no use.
MOST = 128 * 1024
# Bytes of memory for the pieces of one answer.
MOST_PIECES = 16 * 1024 * 1024

# What is told in pieces, in the objects of a list.
_PIECES = ("text", "summary", "thinking", "data", "signature")

Kept = dict[str, dict[str, Any]]


class Extras:
    """Collects for one answer; `back_end` is whose."""

    __slots__ = ("_back_end", "_calls", "_collected", "_field", "_fields", "_size", "_thoughts")

    def __init__(self, back_end: str) -> None:
        self._back_end = back_end
        self._field = ""
        self._thoughts: list[str] = []
        self._fields: dict[str, Any] = {}
        # By place of the call.
        self._calls: dict[int, dict[str, Any]] = {}
        self._size = self._collected = 0

    def think(self, field: str, text: str) -> None:
        """A piece of thought that came in `field`."""
        if self._size < MOST:
            self._size += len(text)
            self._field = field
            self._thoughts.append(text)

    def add(self, **fields: Any) -> None:
        """Fields of a piece of the message, as far as they are there; lists hold objects in pieces."""
        for name, value in fields.items():
            if not value or not self._has_room(value):
                continue
            before = self._fields.get(name)
            if isinstance(value, list) and isinstance(before, list):
                before += value
            else:
                self._fields[name] = value

    def add_to_call(self, place: int, **fields: Any) -> None:
        """Fields of a piece of the call at `place`, as far as they are there."""
        if known := {name: value for name, value in fields.items() if value and self._has_room(value)}:
            self._calls.setdefault(place, {}).update(known)

    def _has_room(self, value: Any) -> bool:
        """Whether there is room to collect this, too; what is told in pieces takes more than it will in the end."""
        self._collected += len(encode(value)) + OVERHEAD
        return self._collected <= MOST_PIECES

    def of_message(self) -> Kept:
        """The message's `extra`."""
        if not (self._fields or self._thoughts):
            return {}
        fields = {
            name: _whole(value) if isinstance(value, list) else value for name, value in self._fields.items()
        }
        if self._thoughts:
            fields[self._field] = "".join(self._thoughts)[:MOST]
        return kept(self._back_end, fields)

    def of_call(self, place: int) -> Kept:
        """The `extra` of a call."""
        return kept(self._back_end, self._calls.get(place, {}))


def kept(back_end: str, fields: Mapping[str, Any]) -> Kept:
    """The `extra` that holds `fields`, but for those that are too long to be kept."""
    small = {name: value for name, value in fields.items() if isinstance(value, str) or _is_small(value)}
    return {back_end: small} if small else {}


def _is_small(value: Any) -> bool:
    return len(encode(value)) <= MOST


def _whole(pieces: Sequence[Any]) -> list[dict[str, Any]]:
    """The objects that were told in pieces, one after another."""
    objects: list[dict[str, Any]] = []
    texts: list[dict[str, list[str]]] = []
    for piece in pieces:
        if not isinstance(piece, dict):
            continue
        if not (objects and _goes_on(objects[-1], piece)):
            objects.append({})
            texts.append({})
        for name, value in piece.items():
            if name in _PIECES and isinstance(value, str):
                texts[-1].setdefault(name, []).append(value)
                objects[-1].setdefault(name, value)
            elif value is not None:
                objects[-1][name] = value
    for whole, parts in zip(objects, texts, strict=True):
        whole.update((name, "".join(values)) for name, values in parts.items())
    return objects


def _goes_on(last: dict[str, Any], piece: dict[str, Any]) -> bool:
    same: Sequence[str] = ("type", "index") if "index" in piece else ("type",)
    return all(last.get(name) == piece.get(name) for name in same) and (
        "index" in piece or not last.get("signature")
    )
