"""How a request begins, and what can never become one: other protocols are told so without waiting for a line's end."""

import re

from ..seams.errors import AgentError, BadRequest, TooLarge

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
