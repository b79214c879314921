"""Reads a frame as a shape of which every field may be anything: what does not fit is left at its default.

A frame that fits exactly, as nearly all do, costs one look more than strict decoding. The others are fitted field by
field: null is the default, a number may be a text and a text a number, one thing may stand for a list of it.
"""

import json as lenient
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar

from msgspec import DecodeError, Struct, ValidationError, inspect, json

T = TypeVar("T", bound=Struct)

# More than anybody counts; what is beyond is no number that the rest of the house could store.
MAX_NUMBER = 2**53


def reader(shape: type[T]) -> Callable[[bytes], T]:
    """A decoder of JSON texts as `shape`. What it makes raises `refusals.UNREADABLE` for what is no JSON at all.

    Lone surrogates stay as they are; bytes that are no UTF-8 become U+FFFD.
    """
    exactly = json.Decoder(shape).decode
    fit = _fitting(inspect.type_info(shape))

    def read(data: bytes) -> T:
        try:
            return exactly(data)
        except ValidationError:
            value = anything(data)
        except DecodeError as error:
            value = _mended(data, error)
        if isinstance(value, list) and value:
            value = value[0]
        fitted = fit(value)
        return shape() if fitted is None else fitted

    return read


def anything(data: bytes) -> Any:
    """The value of a JSON text, as kindly read."""
    try:
        return json.decode(data)
    except DecodeError as error:
        return _mended(data, error)


def count(number: int | None) -> int:
    """A number as one of tokens."""
    return min(max(0, number or 0), MAX_NUMBER)


def _mended(data: bytes, error: DecodeError) -> Any:
    """What is JSON but for halves of emoji, broken UTF-8 or bare control characters."""
    try:
        return lenient.loads(data.decode("utf-8", "replace"), strict=False)
    except ValueError:
        raise error from None


def _fitting(kind: inspect.Type) -> Callable[[Any], Any]:
    """What makes a value fit; it gives None for the default."""
    match kind:
        case inspect.StructType():
            return _struct(kind)
        case inspect.ListType():
            return _list(_fitting(kind.item_type))
        case inspect.UnionType():
            (inner,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
            return _fitting(inner)
        case inspect.StrType():
            return _text
        case inspect.IntType():
            return _number
        case inspect.BoolType():
            return _truth
    return lambda value: value


def _struct(kind: inspect.StructType) -> Callable[[Any], Any]:
    fields = [(field.name, field.encode_name, _fitting(field.type)) for field in kind.fields]

    def fit(value: Any) -> Any:
        if not isinstance(value, dict):
            return None
        fitted = {name: fit(value.get(key)) for name, key, fit in fields}
        return kind.cls(**{name: each for name, each in fitted.items() if each is not None})

    return fit


def _list(fit: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fit_all(value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        return [fitted for each in values if (fitted := fit(each)) is not None]

    return fit_all


def _text(value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float) and isfinite(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _truth(value: Any) -> bool:
    return value == 1 or (isinstance(value, str) and value.lower() == "true")
