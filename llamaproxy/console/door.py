"""The console's own door: links that work once, a cookie for the browser that followed one, a token for changes."""

import hmac
from collections.abc import Callable
from hashlib import sha256
from secrets import token_urlsafe

from msgspec import Struct
from twisted.web.iweb import IRequest

from ..seams.errors import OverLimit
from ..web.addresses import Address
from ..web.guesses import Guesses

COOKIE = b"llamaproxy_console"
TOKEN_HEADER = b"x-console-token"
# Seconds for which a link waits for its first use, and a browser may stay.
LINK_LASTS = 600.0
VISIT_LASTS = 12 * 3600.0
# Links and visits at the same time; the oldest make room.
MOST = 20


class Visit(Struct, frozen=True):
    """A browser that has followed a link; `token` shows that a change comes from our own page."""

    token: str
    until: float


class ConsoleDoor:
    """Knows who has come in. Keeps digests alone, so that nothing in memory opens it; `seconds` is the clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._guesses = Guesses(seconds)
        self._links: dict[bytes, float] = {}
        self._visits: dict[bytes, Visit] = {}

    def new_link(self) -> str:
        """A code that lets one browser in, once."""
        code = token_urlsafe(24)
        self._links[_digest(code.encode())] = self._seconds() + LINK_LASTS
        _shorten(self._links)
        return code

    def enter(self, code: str, address: Address) -> str | None:
        """Uses a link up; gives the cookie's value, None if the link is not good any more.

        Raises `OverLimit` for who tries many.
        """
        digest = _digest(code.encode("utf-8", "replace"))
        if wait := self._guesses.wait(address, digest, digest in self._links):
            raise OverLimit.of("The number of links that you may try", int(wait) + 1)
        until = self._links.pop(digest, 0.0)
        if until <= self._seconds():
            return None
        secret = token_urlsafe(32)
        self._visits[_digest(secret.encode())] = Visit(token_urlsafe(24), self._seconds() + VISIT_LASTS)
        _shorten(self._visits)
        return secret

    def visit(self, request: IRequest) -> Visit | None:
        """The visit that a request's cookie belongs to, if it is still going on."""
        secret = request.getCookie(COOKIE)
        visit = self._visits.get(_digest(secret)) if secret else None
        return visit if visit is not None and visit.until > self._seconds() else None

    def leave(self, request: IRequest) -> None:
        """The browser goes."""
        self._visits.pop(_digest(request.getCookie(COOKIE) or b""), None)


def may_change(request: IRequest, visit: Visit) -> bool:
    """Whether a change comes from our own page, which knows the token."""
    return hmac.compare_digest(request.getHeader(TOKEN_HEADER) or b"", visit.token.encode())


def cookie(secret: str, is_secure: bool) -> bytes:
    """The value of `Set-Cookie`."""
    lasts = int(VISIT_LASTS) if secret else 0
    kept = b"%b=%b; Path=/console; Max-Age=%d; HttpOnly; SameSite=Strict" % (COOKIE, secret.encode(), lasts)
    return kept + b"; Secure" if is_secure else kept


def _digest(secret: bytes) -> bytes:
    return sha256(secret).digest()


def _shorten(kept: dict[bytes, float] | dict[bytes, Visit]) -> None:
    while len(kept) > MOST:
        del kept[next(iter(kept))]
