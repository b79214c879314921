"""Questions to the model outside any session, of which each caller has a few at a time, and all have some more."""

from collections import Counter
from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..seams.errors import Busy, Crowded
from ..seams.interfaces import IModel
from ..seams.types import Caller, ChatTurn
from .aside import ask_aside
from .calls.delegation import Delegation

# At the same time, for one address or key, and for everybody. An app asks two or three of them behind each answer.
MOST_OF_ONE = 4
MOST_OF_ALL = 16


class Errands:
    """Runs them, with the model `key` of `backends`."""

    def __init__(self, backends: Mapping[str, IModel], key: str, delegation: Delegation) -> None:
        self._backends = backends
        self._key = key
        self._delegation = delegation
        self._running: set[Deferred[str]] = set()
        self._callers: Counter[str] = Counter()

    def run(self, caller: Caller, turn: ChatTurn, system: str) -> Deferred[str]:
        """See `IAgent.aside`. Raises `Busy` or `Crowded`.

        It is one deeper than its caller, so that servers which ask each other, or themselves, come to an end.
        """
        source = caller.source or caller.address
        if self._callers[source] >= MOST_OF_ONE:
            raise Busy(f"{MOST_OF_ONE} questions of this kind are under way for you already.")
        if len(self._running) >= MOST_OF_ALL:
            raise Crowded("Too many questions of this kind are under way.")
        asking = Deferred.fromCoroutine(
            ask_aside(
                self._backends[self._key],
                turn,
                system,
                timeout=self._delegation.time_limit(self._key),
                depth=caller.depth + 1,
            )
        )
        self._running.add(asking)
        self._callers[source] += 1

        def over(result: str | Failure) -> str | Failure:
            self._running.discard(asking)
            self._callers[source] -= 1
            if not self._callers[source]:
                del self._callers[source]
            return result

        return asking.addBoth(over)

    def stop(self) -> None:
        """Ends those under way."""
        for asking in list(self._running):
            asking.cancel()
