"""Strict reading of answers: a shape is a msgspec type, and what does not fit it is a `Fault` with its place."""

import re
from collections.abc import Sequence
from types import GenericAlias
from typing import Any, Union

from msgspec import UNSET, DecodeError, Struct, UnsetType, ValidationError, defstruct, json

_MISSING = re.compile(r"Object missing required field `(.+)`")
# httpx ends lines at these, so ollama-python does.
_OTHER_LINE_ENDS = ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
# The Go client's longest line, in bytes.
_LONGEST_LINE = 8 * 1024 * 1024


class Fault(Exception):
    """A client would fail over this answer: `problem` is with the field at `path`, "" for the body as a whole."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path, self.problem = path, problem


def shape(required: dict[str, Any], optional: dict[str, Any] | None = None) -> type[Struct]:
    """An object with fields of these types. An `optional` one may be absent; null passes where the type says so."""
    absent = [(name, Union[kind, UnsetType], UNSET) for name, kind in (optional or {}).items()]  # noqa: UP007
    return defstruct("Shape", [*required.items(), *absent])


def many(kind: Any) -> Any:
    """A list of `kind`."""
    return GenericAlias(list, (kind,))


def read(shape: Any, body: bytes) -> Any:
    """`body` as a value of `shape`. No number passes for another kind, and no null for a value. Raises Fault."""
    try:
        return json.decode(body, type=shape)
    except ValidationError as error:
        raise _fault(str(error)) from None
    except (DecodeError, UnicodeDecodeError) as error:
        raise Fault("", f"not JSON: {error}") from None


def lines(body: bytes) -> list[bytes]:
    """The lines of a newline-delimited stream, as the least forgiving readers split it. Raises Fault."""
    if not body.endswith(b"\n"):
        raise Fault("", "the last line has no end")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Fault("", "not UTF-8") from None
    for end in _OTHER_LINE_ENDS:
        if end in text:
            raise Fault("", f"U+{ord(end):04X} is not escaped, and ends a line for ollama-python")
    found = body[:-1].split(b"\n")
    for number, line in enumerate(found, 1):
        if not line.strip():
            raise Fault("", f"line {number} is blank")
        if len(line) > _LONGEST_LINE:
            raise Fault("", f"line {number} is longer than the CLI reads")
    return found


def events(body: bytes, forbidden: Sequence[bytes] = ()) -> list[bytes]:
    """The payloads of an event stream; fields in `forbidden` break the client that reads it. Raises Fault."""
    if body.lstrip().startswith((b"{", b"[")):
        raise Fault("", "JSON instead of an event stream, which shows as an empty reply")
    if not body.endswith(b"\n\n"):
        raise Fault("", "the last event has no blank line after it, and is lost")
    found = []
    for number, line in enumerate(body.splitlines(), 1):
        name, _, value = line.partition(b":")
        if name in forbidden:
            raise Fault(f"line {number}", f"{name.decode()}: is a field that this client fails over")
        if name == b"data":
            found.append(value.removeprefix(b" "))
        elif name not in (b"", b"event", b"id", b"retry"):
            raise Fault(f"line {number}", "is no line of an event stream")
    if not found:
        raise Fault("", "no event at all")
    return found


def _fault(message: str) -> Fault:
    """msgspec's "Expected `str`, got `int` - at `$.models[0].name`" as a place and a problem."""
    problem, _, place = message.partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    if missing := _MISSING.fullmatch(problem):
        return Fault(f"{path}.{missing[1]}".lstrip("."), "is missing")
    return Fault(path, problem[:1].lower() + problem[1:].replace("`", ""))
