"""A task does what Twisted's coroutines do, whatever they wait for and whoever cancels them when."""

from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.tasks import Task

Start = Callable[[Coroutine[Deferred[Any], Any, Any]], Deferred[Any]]
# What is waited for: whether it has fired already, whether it fails, and what is done about a failure.
WAITS = st.tuples(st.booleans(), st.booleans(), st.sampled_from(("raise", "swallow", "nest")))
EVENTS = st.lists(st.sampled_from(("fire", "cancel", "cancel twice")), max_size=12)


def story(start: Start, waits: list[tuple[bool, bool, str]], events: list[str], raises: bool) -> list[Any]:
    """All that happens, in its order."""
    told: list[Any] = []
    pending: list[tuple[int, Deferred[Any], bool]] = []

    def waited(number: int, fired: bool, fails: bool) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred(lambda _: told.append(("cancelled", number)))
        if fired:
            _fire(number, deferred, fails)
        else:
            pending.append((number, deferred, fails))
        return deferred

    async def work() -> str:
        for number, (fired, fails, kind) in enumerate(waits):
            try:
                if kind == "nest":
                    told.append(await start(nested(number, fired, fails)))
                else:
                    told.append(await waited(number, fired, fails))
            except Exception as error:
                told.append((number, type(error).__name__))
                if kind == "raise":
                    raise
        if raises:
            raise ValueError("at the end")
        return "done"

    async def nested(number: int, fired: bool, fails: bool) -> Any:
        return await waited(number, fired, fails)

    task = start(work())
    task.addCallbacks(told.append, lambda failure: told.append(repr(failure.value)))
    for event in events:
        told.append(event)
        if event == "fire" and pending:
            number, deferred, fails = pending.pop(0)
            if not deferred.called:
                _fire(number, deferred, fails)
        elif event != "fire":
            for _ in event.split():
                task.cancel()
    return told


def _fire(number: int, deferred: Deferred[Any], fails: bool) -> None:
    if fails:
        deferred.errback(KeyError(number))
    else:
        deferred.callback(number)


class TaskTests(SynchronousTestCase):
    @given(st.lists(WAITS, max_size=5), EVENTS, st.booleans())
    def test_it_is_told_the_same_story_as_with_twisteds(
        self, waits: list[tuple[bool, bool, str]], events: list[str], raises: bool
    ) -> None:
        self.assertEqual(
            story(Task, waits, events, raises), story(Deferred.fromCoroutine, waits, events, raises)
        )

    def test_who_lets_it_go_finds_nothing_of_the_coroutine_once_it_has_ended(self) -> None:
        async def work() -> int:
            return await waited

        waited: Deferred[int] = Deferred()
        task = Task(work())
        waited.callback(3)
        self.assertEqual(self.successResultOf(task), 3)
        self.assertEqual((task._coroutine, task._awaited), (None, None))
