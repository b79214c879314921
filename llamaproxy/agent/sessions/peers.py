"""What a server has to know of its other processes when it is only one."""

from collections.abc import Collection, Iterator, Sequence
from itertools import count
from secrets import randbits

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ...seams.interfaces import IPeer, IPeers
from ...seams.limits import Ruling, Used
from ...seams.names import FIRST_SHORT_ID, NUMBER_BITS
from ...seams.types import SessionCard


@implementer(IPeers)
class Alone:
    """There are none."""

    processes = 1
    names = ()
    _live = 0

    def __init__(self) -> None:
        self.number = randbits(NUMBER_BITS)

    def join(self, peer: IPeer) -> None:
        """See `IPeers`."""
        self._peer = peer

    def short_ids(self) -> Iterator[int]:
        """See `IPeers`."""
        return count(FIRST_SHORT_ID)

    def tell_live(self, number: int) -> None:
        """See `IPeers`."""
        self._live = number

    def live_in_all(self) -> int:
        """See `IPeers`."""
        return self._live

    def tell_user(self, session_id: str, source: str, talks: bool) -> None:
        """See `IPeers`."""

    def admit(self, session_id: str, source: str, most: int, share: int) -> Deferred[str] | None:
        """See `IPeers`."""
        return None

    def tell_used(self, used: Used) -> None:
        """See `IPeers`."""

    def rule(self, ruling: Ruling) -> Deferred[None]:
        """See `IPeers`."""
        self._peer.obey(ruling)
        return succeed(None)

    def sessions(self) -> Deferred[Sequence[SessionCard]]:
        """See `IPeers`."""
        return succeed(())

    def has_here(self, session_id: str) -> bool:
        """See `IPeers`."""
        return True

    def gone(self, numbers: Collection[int]) -> Deferred[Collection[int]]:
        """See `IPeers`."""
        return succeed([number for number in numbers if number != self.number])

    def remove(self, session_id: str) -> Deferred[str] | None:
        """See `IPeers`."""
        return None

    def full_id(self, session_id: str) -> Deferred[str]:
        """See `IPeers`."""
        return succeed(session_id)

    def stop_turn(self, session_id: str, job: int) -> Deferred[bool]:
        """See `IPeers`."""
        return succeed(False)

    def keep_turn(self, session_id: str, message: str) -> None:
        """See `IPeers`."""

    def forget(self, session_id: str) -> None:
        """See `IPeers`."""
