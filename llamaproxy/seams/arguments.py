"""The arguments of a tool call: the JSON text that a model wrote, read as the object that it means.

Models encode an object twice, put it in a list, break lines inside its strings, or are cut off in the middle of it. Who
runs a call and who sends it to the next server must read the same.
"""

import json as lenient
from typing import Any

from msgspec import DecodeError, json

from .surrogates import joined

# A text inside a text inside a text is a mistake of one layer; more is no mistake that anybody makes.
_LAYERS = 3


def read_arguments(text: str) -> dict[str, Any]:
    """The object; empty if nothing was written. Raises `ValueError`, in words, if nobody can tell what was meant."""
    value: Any = text
    for _ in range(_LAYERS):
        if isinstance(value, str):
            value = read_json(value)
    if isinstance(value, list) and len(value) <= 1:
        value = value[0] if value else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("the arguments must be a JSON object")
    return value


def arguments_object(text: str) -> dict[str, Any]:
    """As `read_arguments`, but empty where there is no telling."""
    try:
        return read_arguments(text)
    except ValueError:
        return {}


def arguments_text(text: str) -> str:
    """The JSON text of the object; as the model wrote it where that is one."""
    try:
        if isinstance(json.decode(text), dict):
            return text
    except (DecodeError, UnicodeEncodeError, RecursionError):
        pass
    return json.encode(arguments_object(text)).decode()


def read_json(text: str) -> Any:
    """JSON as models write it; None for a blank. Raises `ValueError`, in words."""
    if not text.strip():
        return None
    try:
        return json.decode(text)
    except (DecodeError, UnicodeEncodeError, RecursionError) as error:
        problem = f"the arguments are not JSON ({error})"
    try:
        # Line breaks in strings, half a character: what comes of it is plain JSON again.
        value = lenient.loads(text, strict=False)
        return json.decode(joined(lenient.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        raise ValueError(problem) from None
