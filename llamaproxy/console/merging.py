"""What several processes see, put together: sums, the newest, and the middle of what is no sum."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar

from msgspec.structs import replace

from ..seams.elsewhere import View
from ..seams.oversight import Account, CallerTally, Conversing, Health, Point

T = TypeVar("T")
K = TypeVar("K", str, float)


def sessions_of(found: Iterable[Sequence[Conversing]], most: int) -> list[Conversing]:
    """Those that were active last first."""
    return sorted(chain.from_iterable(found), key=lambda session: session.active, reverse=True)[:most]


def health_of(views: Sequence[View], model: str) -> Health:
    """How a model does, over all processes that asked it."""
    found = [each for view in views for each in view.health if each.model == model]
    answered = max(found, key=lambda each: each.answered_at or 0.0, default=Health(model=model))
    failed = max(found, key=lambda each: each.failed_at or 0.0, default=Health(model=model))
    return Health(
        model=model,
        asked=sum(each.asked for each in found),
        failed=sum(each.failed for each in found),
        answered_at=answered.answered_at,
        first=answered.first,
        rate=answered.rate,
        failed_at=failed.failed_at,
        error=failed.error,
    )


def callers_of(views: Sequence[View], most: int) -> list[CallerTally]:
    """Who asked, the newest last."""
    found = _by(lambda tally: tally.caller, (tally for view in views for tally in view.callers))
    merged = [
        CallerTally(
            caller=caller,
            turns=sum(each.turns for each in tallies),
            prompt_tokens=sum(each.prompt_tokens for each in tallies),
            completion_tokens=sum(each.completion_tokens for each in tallies),
            seen=max(each.seen for each in tallies),
        )
        for caller, tallies in found.items()
    ]
    return sorted(merged, key=lambda tally: tally.seen)[-most:]


def accounts_of(views: Sequence[View]) -> list[Account]:
    """What each has used of their budget."""
    found = _by(lambda account: account.caller, (account for view in views for account in view.accounts))
    return [
        replace(
            accounts[-1],
            hour=sum(each.hour for each in accounts),
            day=sum(each.day for each in accounts),
        )
        for accounts in found.values()
    ]


def points_of(views: Sequence[View]) -> list[Point]:
    """The last hour; processes that are a moment apart have another last minute, so minutes are found by their time."""
    found = _by(lambda point: point.at, (point for view in views for point in view.points))
    return [
        Point(
            at=at,
            turns=sum(each.turns for each in points),
            failed=sum(each.failed for each in points),
            first=_middle(each.first for each in points),
            rate=_middle(each.rate for each in points),
            live=sum(each.live for each in points),
            memory=sum(each.memory for each in points),
        )
        for at, points in sorted(found.items())
    ][-len(views[0].points) :]


def _middle(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2 if known else None


def _by(key: Callable[[T], K], values: Iterable[T]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found
