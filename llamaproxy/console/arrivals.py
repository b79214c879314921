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
from .pairing import LINK_LASTS, Invitation, Pairing, new_key
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
        # What has begun is not broken off by a phone that leaves: half of it would stay.
        done: Deferred[tuple[str, str]] = Deferred()
        Deferred.fromCoroutine(self._let_in(request, asked.name, invitation)).addBoth(done.callback)
        name, key = await done
        self.log.info("profile {name} was made for {address}, by a link", name=name, address=str(address))
        return as_json(request, {"name": name, "key": key, "base": self._base(request)})

    async def _let_in(self, request: Intake, wish: str, invitation: Invitation) -> tuple[str, str]:
        """The name and the key of a new profile. Raises `AgentError`, with everything as it was before."""
        name, key = "", new_key()
        try:
            name = await self._files.add_caller(wish, key, invitation.commands)
            outcome = await self._reload()
            if not outcome.taken:
                raise AgentError("The server cannot take the new profile over; its log says why.")
            if request.channel is None:
                raise AgentError("The phone has left, and nobody else has the key.")
        except AgentError:
            self._pairing.give_back(invitation)
            if name:
                await self._take_back(name, key)
            raise
        return name, key

    async def _take_back(self, name: str, key: str) -> None:
        """Nobody has the key of a profile that was made."""
        try:
            await self._files.remove_caller(name, key)
            await self._reload()
        except AgentError as error:
            self.log.error(
                "profile {name} was made by a link for nobody, and stays in the file until agentctl caller-remove "
                "{name}: {error}",
                name=name,
                error=str(error),
            )
