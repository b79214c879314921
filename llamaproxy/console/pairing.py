"""Links by which a phone gets a key and a profile of its own: each works once, and not for long.

The link is the operator's word that whoever opens it first may come in. What is used up is remembered for a while, so
that who comes second hears when and from where the first came.
"""

from collections.abc import Callable
from hashlib import sha256
from secrets import token_urlsafe

from msgspec import Struct

from ..seams.errors import Forbidden, OverLimit
from ..seams.types import Rights
from ..web.addresses import Address
from ..web.guesses import Guesses

# Seconds for which a link waits for its first use, and for which is known that it had one.
LINK_LASTS = 600.0
MEMORY = 24 * 3600.0
# Links at the same time; the oldest make room.
MOST = 100


class Invitation(Struct):
    """One link: until when it is good, which commands its profile may use ("" for what everybody may), who came."""

    until: float
    commands: Rights | None
    used_at: float | None = None
    used_by: str = ""


class Pairing:
    """Knows the links, as digests alone; `seconds` is the clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._invitations: dict[bytes, Invitation] = {}
        self._guesses = Guesses(seconds)

    def invite(self, commands: Rights | None = None) -> str:
        """The code of a new link."""
        code, now = token_urlsafe(24), self._seconds()
        kept = {each: one for each, one in self._invitations.items() if one.until + MEMORY > now}
        kept[_digest(code)] = Invitation(now + LINK_LASTS, commands)
        self._invitations = dict(list(kept.items())[-MOST:])
        return code

    def use(self, code: str, address: Address) -> Invitation:
        """Uses a link up. Raises `Forbidden` for one that is not good any more, `OverLimit` for who guesses."""
        digest = _digest(code)
        invitation = self._invitations.get(digest)
        if wait := self._guesses.wait(address, digest, invitation is not None):
            raise OverLimit.of("The number of links that you may try", int(wait) + 1)
        if invitation is None:
            raise Forbidden("This link is not one of this server's, or was made before its last start.")
        if invitation.used_at is not None:
            ago = _told(self._seconds() - invitation.used_at)
            raise Forbidden(
                f"This link has been used, {ago} ago, from the address {invitation.used_by}. If that was not you, "
                "tell whoever runs this server: they can remove the profile that was made."
            )
        if invitation.until <= self._seconds():
            raise Forbidden("This link is too old; one is good for ten minutes.")
        invitation.used_at, invitation.used_by = self._seconds(), str(address)
        return invitation

    def give_back(self, invitation: Invitation) -> None:
        """Nothing came of it, and the link is good as before."""
        invitation.used_at, invitation.used_by = None, ""


def new_key() -> str:
    """A key for one phone."""
    return token_urlsafe(32)


def _told(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.0f} hours"


def _digest(code: str) -> bytes:
    return sha256(code.encode("utf-8", "replace")).digest()
