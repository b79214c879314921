"""A time limit that holds even for work that does not let itself be cancelled."""

from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


class Overdue(Exception):
    """The time is up."""


def within(work: Deferred[T], seconds: float, clock: IReactorTime) -> Deferred[T]:
    """Fires as `work` does, or after `seconds` with `Overdue`; cancelling it cancels the work.

    Unlike with `Deferred.addTimeout` alone, work that swallows its cancellation is left behind, and what comes
    of it later is dropped.
    """
    outcome: Deferred[T] = Deferred(lambda _: work.cancel())

    def pass_on(result: Any) -> None:
        if not outcome.called:
            outcome.callback(result)  # a Failure, too, goes on as one

    def overdue(_: Any, after: float) -> NoReturn:
        raise Overdue(f"not done after {after:g} seconds")

    work.addBoth(pass_on)
    return outcome.addTimeout(seconds, clock, overdue)
