"""What the server does not use of a request is said: to the client in a header, to the operator once a day."""

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from ..seams.telling import about
from .site import Intake

HEADER = b"x-llamaproxy-ignored"
DAY = 86_400.0
# Clients that are remembered; beyond that all are told anew.
MOST_CLIENTS = 1000
# Of the User-Agent, the program's name and version.
LONGEST_NAME = 60


class Notices:
    """Says what is ignored; `now` gives Unix seconds."""

    log = Logger()

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._told: dict[tuple[str, str, tuple[str, ...]], float] = {}

    def tell(self, request: Intake, ignored: Sequence[str]) -> None:
        """Tells of the fields of a request that nobody uses, if there are any."""
        if not ignored:
            return
        request.setHeader(HEADER, ", ".join(ignored).encode("ascii"))
        address = getattr(request.getClientAddress(), "host", "-")
        agent = (request.getHeader(b"user-agent") or b"-").decode("latin-1").partition(" ")[0][:LONGEST_NAME]
        key, now = (address, agent, tuple(ignored)), self._now()
        if now - self._told.get(key, -DAY) < DAY:
            return
        if len(self._told) >= MOST_CLIENTS:
            self._told.clear()
        self._told[key] = now
        self.log.info(
            "{turn}{agent} at {address} sends {fields}, which the agent does not use: it has its own",
            turn=about(request.request_id),
            agent=agent,
            address=address,
            fields=", ".join(ignored),
        )
