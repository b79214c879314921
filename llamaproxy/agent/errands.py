"""Questions to the model outside any session, of which each caller has a few at a time, and all have some more."""

from collections import Counter

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..seams.errors import Busy, Crowded, Forbidden, ModelError
from ..seams.interfaces import IModel
from ..seams.records import LONGEST_REASON, Attempt, Record
from ..seams.types import Caller, ChatTurn, Usage
from .aside import ask_aside
from .backends import Backends
from .calls.delegation import Delegation
from .sessions.ledger import Ledger

# At the same time, for one address or key, and for everybody. An app asks two or three of them behind each answer.
MOST_OF_ONE = 4
MOST_OF_ALL = 16


class Errands:
    """Runs them, with the model that the caller's sessions begin with; `ledger` counts their tokens."""

    def __init__(
        self, backends: Backends, delegation: Delegation, ledger: Ledger, clock: IReactorTime
    ) -> None:
        self._clock = clock
        self._backends = backends
        self._ledger = ledger
        self._delegation = delegation
        self._running: set[Deferred[str]] = set()
        self._callers: Counter[str] = Counter()

    def run(self, caller: Caller, turn: ChatTurn, system: str) -> Deferred[str]:
        """See `IAgent.aside`. Raises `Busy`, `Crowded` or `OverLimit`.

        It is one deeper than its caller, so that servers which ask each other, or themselves, come to an end.
        """
        backends = self._backends.open_to(caller.grants)
        if not backends:
            raise Forbidden("None of the models that you may use here is available; ask the operator.")
        self._ledger.admit(caller, is_message=False)
        key, source = backends.default, caller.source or caller.address
        if self._callers[source] >= MOST_OF_ONE:
            raise Busy(f"{MOST_OF_ONE} questions of this kind are under way for you already.")
        if len(self._running) >= MOST_OF_ALL:
            raise Crowded("Too many questions of this kind are under way.")
        asking = Deferred.fromCoroutine(self._ask(caller, turn, system, key, backends[key]))
        self._running.add(asking)
        self._callers[source] += 1

        def over(result: str | Failure) -> str | Failure:
            self._running.discard(asking)
            self._callers[source] -= 1
            if not self._callers[source]:
                del self._callers[source]
            return result

        return asking.addBoth(over)

    async def _ask(self, caller: Caller, turn: ChatTurn, system: str, key: str, model: IModel) -> str:
        """The answer; what was asked is noted in the turn's record."""
        record = turn.record or Record(start=self._clock.seconds())
        attempt = Attempt(model=key, at=self._clock.seconds() - record.start, messages=1)
        span = record.ask(attempt)

        def spent(usage: Usage) -> None:
            attempt.prompt_tokens, attempt.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            attempt.counted = True
            self._ledger.charge(caller, usage)

        try:
            return await ask_aside(
                model,
                turn,
                system,
                timeout=self._delegation.time_limit(key),
                depth=caller.depth + 1,
                spent=spent,
                span=span,
            )
        except ModelError as error:
            attempt.error = f"{error.code}: {error}"[:LONGEST_REASON]
            raise
        finally:
            attempt.seconds = self._clock.seconds() - record.start - attempt.at

    def stop(self) -> None:
        """Ends those under way."""
        for asking in list(self._running):
            asking.cancel()
