"""What the head of an answer says, as the fast path reads it."""

import re
from functools import lru_cache

from msgspec import Struct
from twisted.web.http_headers import Headers

from .refusals import is_html
from .unpacking import packing_of

STATUS = re.compile(rb"HTTP/1\.([01]) +(\d{3})(?=[ \r\n])")


class Head(Struct, frozen=True):
    """What the head of an answer says. `codings` and `lengths` are those of its body.

    One that `is_plain` is neither a refusal nor packed nor a page.
    """

    code: int
    headers: Headers
    persists: bool
    codings: tuple[str, ...]
    lengths: tuple[str, ...]
    is_plain: bool


# Of those that a crowd is answered with at the same time, most are the same.
@lru_cache(maxsize=16)
def read_head(head: bytes) -> Head:
    """Takes one apart that begins with a status. Raises `ValueError` if a name or a value in it cannot be one."""
    status, headers = STATUS.match(head), _headers(head)
    assert status is not None
    code = int(status[2])
    has_body = code not in (204, 304)
    return Head(
        code=code,
        headers=headers,
        persists=status[1] == b"1" and "close" not in _values(headers, "connection"),
        codings=tuple(_values(headers, "transfer-encoding")) if has_body else (),
        lengths=tuple(set(_values(headers, "content-length"))) if has_body else ("0",),
        is_plain=200 <= code < 300 and not packing_of(headers) and not is_html(headers),
    )


def _headers(head: bytes) -> Headers:
    headers = Headers()
    for line in head.splitlines()[1:]:
        name, found, value = line.partition(b":")
        if found and name.strip():
            headers.addRawHeader(name.strip(), value.strip())
    return headers


def _values(headers: Headers, name: str) -> list[str]:
    """The comma-separated values of a header, in lower case."""
    lines = headers.getRawHeaders(name, [])
    return [value.strip().lower() for line in lines for value in line.split(",") if value.strip()]
