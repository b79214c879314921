"""What the pages' scripts send, and what they get: JSON."""

from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from msgspec import DecodeError, ValidationError, json

from ..seams.errors import BadRequest
from ..web.site import Intake

T = TypeVar("T")


def read(request: Intake, kind: type[T]) -> T:
    """The body. Raises `BadRequest`."""
    try:
        return json.decode(request.content.read(), type=kind)
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"This is not what this path takes: {error}") from None


def argument(request: Intake, name: str) -> str:
    """One of the query, "" for none."""
    query = parse_qs(urlsplit(request.uri.decode("latin-1")).query, max_num_fields=10)
    return query.get(name, [""])[0]


def number(request: Intake, name: str, most: int, otherwise: int = 0) -> int:
    """One of the query that is a number."""
    said = argument(request, name)
    return int(said) if said.isdecimal() and said.isascii() and len(said) <= most else otherwise


def as_json(request: Intake, value: Any) -> bytes:
    """The answer, with its headers set."""
    body = json.encode(value)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", b"%d" % len(body))
    return body
