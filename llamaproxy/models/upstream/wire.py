"""JSON from and to a model's server, which may cut an emoji in half without that costing the turn."""

import json as lenient
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import DecodeError, convert, json

from ...seams.surrogates import joined

T = TypeVar("T")


def decoder(shape: type[T]) -> Callable[[bytes], T]:
    """A decoder of JSON texts as `shape`, with lone surrogates as they are. What it makes raises `UNREADABLE`."""
    decode = json.Decoder(shape).decode

    def decoded(data: bytes) -> T:
        try:
            return decode(data)
        except DecodeError as error:
            if b"\\ud" not in data.lower():
                raise
            try:
                value = lenient.loads(data.decode())
            except ValueError:
                raise error from None
        return convert(value, shape)

    return decoded


def encode(value: Any) -> bytes:
    """The JSON text of `value`, made of dicts, lists and the like; for lone surrogates see `joined`."""
    try:
        return json.encode(value)
    except UnicodeEncodeError:
        return joined(lenient.dumps(value, ensure_ascii=False)).encode()
