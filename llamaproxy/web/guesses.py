"""Wrong keys, by the address they came from: whoever tries many has to wait, and nothing of ours waits with them.

A refusal is sent at once and says how long the address has to keep still; until then no new key from there is looked
at, a right one as little as a wrong one. So a guess costs the guesser time, and the server an entry in a table of
bounded size. An app with an old key sends it over and over, which is no guess; and who has shown a right key goes on
with it, whoever else tries keys behind the same address.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_network

from .addresses import Address

# Different wrong keys that cost nothing, then the seconds of the first wait, which doubles with each further one.
FREE = 20
FIRST_WAIT = 2.0
LONGEST_WAIT = 3600.0
# Seconds without a new wrong key after which they are forgotten.
MEMORY = 3600.0
MOST_ADDRESSES = 4096
# Of one address: keys that are known to be wrong, and to be right.
KNOWN_WRONG = 32
KNOWN_RIGHT = 16


class _Tries:
    """What came from one address."""

    def __init__(self) -> None:
        self.count = 0
        self.last = self.until = 0.0
        self.wrong: deque[bytes] = deque(maxlen=KNOWN_WRONG)
        self.right: deque[bytes] = deque(maxlen=KNOWN_RIGHT)


class Guesses:
    """Counts them; `seconds` is the clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses it remembers."""
        return len(self._tries)

    def wait(self, address: Address, digest: bytes, is_right: bool) -> float:
        """For how many seconds keys from this address are not looked at; 0 if this one, by its digest, was."""
        now, tries = self._seconds(), self._tries_of(address)
        if digest in (tries.right if is_right else tries.wrong):
            return 0.0
        if now < tries.until:
            return tries.until - now
        if is_right:
            tries.right.append(digest)
            return 0.0
        if now - max(tries.last, tries.until) > MEMORY:
            tries.count = 0
        tries.count, tries.last = tries.count + 1, now
        tries.wrong.append(digest)
        if tries.count >= FREE:
            # Beyond 2 ** 12 seconds it does not grow.
            tries.until = now + min(FIRST_WAIT * 2 ** min(tries.count - FREE, 12), LONGEST_WAIT)
        return 0.0

    def _tries_of(self, address: Address) -> _Tries:
        """One house has a network of IPv6 addresses to itself, and counts as one."""
        source = (
            str(ip_network((int(address), 64), strict=False))
            if isinstance(address, IPv6Address)
            else str(address)
        )
        tries = self._tries.setdefault(source, _Tries())
        self._tries.move_to_end(source)
        if len(self._tries) > MOST_ADDRESSES:
            self._tries.popitem(last=False)
        return tries
