"""Embeddings on the wire: how many there may be, and bodies too large to be encoded in one go."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.json import encode

T = TypeVar("T")

# In one request; OpenAI's own limit. More would make Python objects of a body's every comma, and an answer that
# fills the memory.
MAX_TEXTS = 2048

# Vectors in one piece of an answer: some milliseconds of encoding.
PIECE = 64


class EmbedRequest(Struct, frozen=True):
    """What is to be embedded, and by which model in the client's spelling; `dimensions` None is the model's own."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None


def in_pieces(
    fields: dict[str, Any], name: str, items: Sequence[T], form: Callable[[int, T], Any]
) -> Iterator[bytes]:
    """A JSON object with `fields` and, as `name`, the items (each with its index) in their wire `form`."""
    tail = b"]," + encode(fields)[1:]
    for start in range(0, len(items) or 1, PIECE):
        some = [form(start + place, item) for place, item in enumerate(items[start : start + PIECE])]
        head = b"," if start else b"{" + encode(name) + b":["
        yield head + encode(some)[1:-1] + (tail if start + PIECE >= len(items) else b"")
