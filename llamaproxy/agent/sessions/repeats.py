"""Programs that send one message over and over, without ever taking in what they are answered."""

from bisect import bisect_right
from collections.abc import Callable

from ...seams.errors import Repeating
from ...seams.types import ChatTurn

# The so-manieth time within so many seconds is refused. Nobody who presses "regenerate" comes there.
TIMES = 30
SECONDS = 60.0
# Messages that are remembered of a session.
KEPT = 256


class Repeats:
    """The messages of one session's last minute; `seconds` is the clock."""

    __slots__ = ("_keys", "_seconds", "_times")

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # Side by side, as a search among nothing but numbers costs next to nothing.
        self._times: list[float] = []
        self._keys: list[int] = []

    def check(self, asked: ChatTurn) -> None:
        """Raises `Repeating` for a message that came too often, at the same place of the same history.

        A prompt without a history and another try of a client that counts them are not counted.
        """
        if not asked.trail or asked.attempt:
            return
        now, key = self._seconds(), hash((asked.text, asked.trail[-1], asked.shown))
        times, keys = self._times, self._keys
        if times and (times[0] <= now - SECONDS or len(times) == KEPT):
            over = max(bisect_right(times, now - SECONDS), len(times) - KEPT + 1)
            del times[:over], keys[:over]
        times.append(now)
        keys.append(key)
        if len(keys) >= TIMES and keys.count(key) >= TIMES:
            raise Repeating(
                f"This message came {TIMES} times within a minute, with nothing new before it, and was answered "
                "each time; it looks like a loop, and is not answered again for now."
            )
