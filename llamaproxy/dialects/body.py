"""A request's body, or a piece of it, decoded into a struct; what makes no sense is a `BadRequest`."""

import re
from codecs import getincrementaldecoder
from typing import Annotated, TypeVar

from msgspec import DecodeError, Meta, Raw, ValidationError
from msgspec.json import Decoder

from ..seams.errors import BadRequest

# Bytes that are checked at a time.
PIECE = 1024 * 1024

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
# Bytes that are shown of what stands before one.
_SHOWN = 30

_BOM = b"\xef\xbb\xbf"

T = TypeVar("T")

# Names come back in every frame or in an error's text, so they must be short.
Name = Annotated[str, Meta(max_length=256)]

# Of messages in a chat, and of parts in a message: no app's chat comes near it, and each is looked at.
MOST_ENTRIES = 20_000
Entries = Annotated[list[T], Meta(max_length=MOST_ENTRIES)]


def decode_body(body: bytes, decoder: Decoder[T]) -> T:
    """Decodes a request's body, with or without a byte order mark; raises BadRequest naming the field."""
    if not body.isascii():
        body = body.removeprefix(_BOM)
        _check_utf8(body)
    if not body or body.isspace():
        raise BadRequest("missing request body")
    return decode(body, decoder)


def decode(piece: bytes | Raw, decoder: Decoder[T], at: str = "") -> T:
    """Decodes a body, or the piece of it that is called `at`."""
    try:
        return decoder.decode(piece)
    except ValidationError as error:
        raise BadRequest(_explain(error, at)) from None
    except RecursionError:
        raise BadRequest("the request body is nested too deeply") from None
    except UnicodeDecodeError:
        raise BadRequest("the request body is not valid UTF-8") from None
    except DecodeError as error:
        problem = _half_a_character(bytes(piece)) or str(error)
        raise BadRequest(f"the request body is not valid JSON: {problem}") from None


def _check_utf8(body: bytes) -> None:
    """Also of what is skipped over: a piece at a time, as the whole of a large body would be many times as large."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(body), PIECE):
            decoder.decode(body[start : start + PIECE], start + PIECE >= len(body))
    except UnicodeDecodeError:
        raise BadRequest("the request body is not valid UTF-8") from None


def _half_a_character(body: bytes) -> str | None:
    r"""Says where a client has cut an emoji in two and sent `\ud83d` alone, which is no text; None if nowhere."""
    # Escaped backslashes are written in the other way first, so that every backslash begins an escape.
    plain = body.replace(rb"\\", rb"\u005c")
    found = _HALF.search(plain)
    if found is None:
        return None
    before = plain[max(0, found.start() - _SHOWN) : found.start()].decode("utf-8", "ignore")
    return (
        f"half a character, {found[0].decode()}, stands behind {before!r}, where an emoji was cut in two; "
        "leave it out, or send it whole"
    )


def _explain(error: ValidationError, at: str) -> str:
    """msgspec's "Expected `str`, got `int` - at `$.model`" as "model: expected str, got int"."""
    what, _, where = str(error).replace("`", "").partition(" - at $")
    place = f"{at}{where}".lstrip(".") or "the request body"
    return f"{place}: {what[:1].lower()}{what[1:]}"
