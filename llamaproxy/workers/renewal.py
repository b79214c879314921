"""The operator's files, read again by the supervisor on behalf of its workers."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredLock

from ..config import Home, load_configuration
from ..models.embedded.keeper import Keeper
from ..models.embedded.local import Local
from ..seams.errors import AgentError
from ..seams.oversight import Reloaded
from ..server.assembly import Plan
from ..server.reload import MISTAKES, Fresh, Reloader, told
from .office import Office, Outcomes, is_refused

SILENT = "no answer came; it goes by the files when it starts again"


class Renewal:
    """Reads them once for all, so that no two workers differ; `adopt` hears by which plan new workers start.

    `embedded` are the models that run in this process, and end with it.
    """

    def __init__(
        self,
        plan: Plan,
        reloader: Reloader,
        embedded: dict[str, Local],
        office: Office,
        adopt: Callable[[Plan], None],
    ) -> None:
        self._plan = plan
        self._reloader = reloader
        self._embedded = embedded
        self._office = office
        self._adopt = adopt
        self._home = Home(Path(plan.home))
        self._one_at_a_time = DeferredLock()
        self._replaced = 0

    def reload(self) -> Deferred[Reloaded]:
        """Has all workers go by the files as they are now; after a mistake all stays as it was."""
        running = self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._reload()))
        return running.addCallback(told)

    async def _reload(self) -> Reloaded:
        restore = self._reloader.remember()
        started: dict[str, Local] = {}
        try:
            config = load_configuration(self._home)
            fresh = self._reloader.prepare(config)
            broken = {key: why async for key, why in self._unstarted(fresh, started)}
        except MISTAKES as error:
            restore()
            for model in started.values():
                model.stop()
            return Reloaded(taken=False, lines=(str(error),))
        new = {key: model for key, model in started.items() if key not in broken}
        before, after = self._plan, replace(self._plan, config=config, default_model=fresh.default)
        # Workers that take it over, or start meanwhile, ask for these.
        self._adopt(after)
        self._office.embed(dict(keepers_of({**self._reloader.current, **new})))
        outcomes = await self._office.go_by(config, before.config)
        if is_refused(outcomes):
            restore()
            self._adopt(before)
            self._office.embed(dict(keepers_of(self._reloader.current)))
            self._retire(started)
            return Reloaded(
                taken=False, lines=(f"no worker can go by them: {'; '.join(_refusals(outcomes))}",)
            )
        self._plan = after
        self._renew_embedded(fresh, broken)
        self._retire({key: model for key, model in started.items() if key in broken})
        return _told(outcomes, broken)

    async def _unstarted(self, fresh: Fresh, started: dict[str, Local]) -> Any:
        """Starts the new embedded models; gives those that cannot be, but fails for the one that is needed."""
        for key, model in fresh.back_ends.items():
            if isinstance(model, Local):
                started[key] = model
                try:
                    await model.start()
                except AgentError as error:
                    if key == fresh.default:
                        raise
                    yield key, str(error)

    def _renew_embedded(self, fresh: Fresh, broken: dict[str, str]) -> None:
        left = self._reloader.note(fresh, broken)
        current = {key: each for key, each in self._reloader.current.items() if isinstance(each, Local)}
        for key in left:
            self._embedded.pop(key, None)
        self._embedded.update(current)
        self._office.embed(dict(keepers_of(current)))
        self._retire({key: model for key, model in left.items() if isinstance(model, Local)})

    def _retire(self, models: dict[str, Local]) -> None:
        """Has them end once no worker asks them any more, or else with this process."""
        for key, keeper in keepers_of(models):
            self._replaced += 1
            name = f"{key} (before change {self._replaced})"
            self._embedded[name] = models[key]
            self._office.retire(keeper, partial(self._end, name))

    def _end(self, name: str) -> None:
        if model := self._embedded.pop(name, None):
            model.stop()


def _told(outcomes: Outcomes, broken: dict[str, str]) -> Reloaded:
    """What came of it in all workers; they nearly always say the same."""
    lines = list(dict.fromkeys(line for _, each in outcomes if each and each.taken for line in each.lines))
    first = lines[:1] or ["the files were read again"]
    troubles = [f"model '{key}' cannot be used: {why}" for key, why in broken.items()]
    return Reloaded(
        taken=True, lines=tuple(dict.fromkeys([*first, *_refusals(outcomes), *lines[1:], *troubles]))
    )


def _refusals(outcomes: Outcomes) -> list[str]:
    """Which workers do not go by it, and why; those with the same reason in one line."""
    reasons: dict[str, list[str]] = {}
    for worker, outcome in outcomes:
        if outcome is None:
            reasons.setdefault(SILENT, []).append(str(worker + 1))
        elif not outcome.taken:
            reasons.setdefault("; ".join(outcome.lines), []).append(str(worker + 1))
    return [
        f"worker{'s' if len(workers) > 1 else ''} {', '.join(workers)}: {reason}"
        for reason, workers in reasons.items()
    ]


def keepers_of(models: Any) -> Iterator[tuple[str, Keeper]]:
    """Those who keep the embedded ones among the models."""
    for key, model in models.items():
        if isinstance(model, Local) and isinstance(model.keeper, Keeper):
            yield key, model.keeper
