"""How a request begins, and what can never become one: other protocols are told so without waiting for a line's end."""

import re

from ..dialects.detect import is_utf8
from ..seams.errors import AgentError, BadRequest, TooLarge
from .heads import Head
from .hosts import is_readable

# Empty lines before a request that are forgiven (RFC 9112, 2.2).
BLANK_LINES = 2

_TLS_HELLO = b"\x16\x03"
# The first line as far as it is there: method, target, version; or an empty one before it.
_POSSIBLE = re.compile(rb"\r|[!#$%&'*+.^_`|~0-9A-Za-z-]{0,32}(?: [!-~\x80-\xff]*(?: [HTP/0-9.]{0,8}\r?)?)?")


class HeadTooLarge(TooLarge):
    """The request's line and headers are over the limit."""

    status, code = 431, "headers_too_large"


class SlowRequest(AgentError):
    """The request did not arrive within the time for it."""

    status, code = 408, "request_timeout"


class OddFraming(BadRequest):
    """A proxy on the way may have found another end of the body: no request behind it is believed."""


def refusal(line: bytes) -> BadRequest | None:
    """Why a request's first line, of which this much is there, can never be one; None if it can."""
    if _POSSIBLE.fullmatch(line):
        return None
    if line.startswith(_TLS_HELLO):
        return BadRequest("This port speaks HTTP without TLS; its addresses begin with http://.")
    return BadRequest("This is not an HTTP request that can be understood.")


def problem(head: Head) -> BadRequest | None:
    """Why no request with this head is read, or None."""
    codings = head.headers.getRawHeaders(b"transfer-encoding", ())
    if codings and [coding.strip().lower() for coding in codings] != [b"chunked"]:
        # Twisted passes over some that others read differently.
        return OddFraming("The request's Transfer-Encoding can only be 'chunked', once.")
    hosts = head.headers.getRawHeaders(b"host", ())
    if len(hosts) > 1:
        return BadRequest("The request names its host more than once.")
    if hosts and not is_readable(hosts[0]):
        return BadRequest("The host that the request names cannot be read.")
    return None


def has_readable_path(head: Head) -> bool:
    """Whether the path is ASCII whose percent-escapes spell UTF-8."""
    return is_utf8(head.target.partition(b"?")[0])
