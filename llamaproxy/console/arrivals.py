"""How a phone without a key gets one: the operator makes a link, and whoever opens it first becomes a caller."""

from collections.abc import Callable

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..seams.errors import AgentError, BadRequest
from ..seams.oversight import IFiles, Reloaded
from ..seams.types import Rights
from ..web.guard import Guard
from ..web.site import Intake
from . import qr
from .pairing import LINK_LASTS, Pairing, new_key
from .wire import as_json, read

PAIR = "/pair"
# Characters of a name that a phone wishes.
LONGEST_NAME = 200


class Invite(Struct, frozen=True):
    """Which chat commands the newcomer may use; None for those that everybody may."""

    commands: Rights | None = None


class Arrive(Struct, frozen=True):
    """What a phone brings: the link's code, and how it wants to be called."""

    code: str
    name: str = ""


class Arrivals:
    """Makes links and lets phones in by them; `base` gives the address that a phone can use."""

    log = Logger()

    def __init__(
        self,
        pairing: Pairing,
        guard: Guard,
        files: IFiles,
        reload: Callable[[], Deferred[Reloaded]],
        base: Callable[[Intake], str],
    ) -> None:
        self._pairing = pairing
        self._guard = guard
        self._files = files
        self._reload = reload
        self._base = base

    def invite(self, request: Intake) -> bytes:
        """A new link, as text and as a picture for a camera."""
        url = self.link(self._base(request), read(request, Invite).commands)
        picture = qr.picture(url).decode()
        return as_json(request, {"url": url, "svg": picture, "seconds": LINK_LASTS})

    def link(self, base: str, commands: Rights | None = None) -> str:
        """A new link at that address. The code stands behind a #, so that no log and no proxy has it."""
        return f"{base}{PAIR}#{self._pairing.invite(commands)}"

    async def arrive(self, request: Intake) -> bytes:
        """Makes the key and the profile of who comes by a link."""
        asked = read(request, Arrive)
        if len(asked.name) > LONGEST_NAME:
            raise BadRequest("That is too long for a name.")
        address = self._guard.address(request)
        invitation = self._pairing.use(asked.code, address)
        key = new_key()
        try:
            name = await self._files.add_caller(asked.name, key, invitation.commands)
            outcome = await self._reload()
            if not outcome.taken:
                raise AgentError("The server cannot take the new profile over; its log says why.")
        except AgentError:
            self._pairing.give_back(invitation)
            raise
        self.log.info("profile {name} was made for {address}, by a link", name=name, address=str(address))
        return as_json(request, {"name": name, "key": key, "base": self._base(request)})
