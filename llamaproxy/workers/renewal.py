"""The operator's files, read again by the supervisor on behalf of its workers."""

from collections.abc import Callable, Iterator
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
from .office import Office

# Seconds for which an embedded model that has a successor goes on, for the turns that began with it.
LINGER = 3600.0


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
        reactor: Any,
    ) -> None:
        self._plan = plan
        self._reloader = reloader
        self._embedded = embedded
        self._office = office
        self._adopt = adopt
        self._reactor = reactor
        self._home = Home(Path(plan.home))
        self._one_at_a_time = DeferredLock()
        self._replaced = 0

    def reload(self) -> Deferred[Reloaded]:
        """Has all workers go by the files as they are now; after a mistake all stays as it was."""
        running = self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._reload()))
        return running.addCallback(told)

    async def _reload(self) -> Reloaded:
        try:
            config = load_configuration(self._home)
            fresh = self._reloader.prepare(config)
            broken = [line async for line in self._unstarted(fresh)]
        except MISTAKES as error:
            return Reloaded(taken=False, lines=(str(error),))
        self._plan = replace(self._plan, config=config, default_model=fresh.default)
        self._adopt(self._plan)
        self._renew_embedded(fresh)
        return self._told(await self._office.go_by(config), broken)

    async def _unstarted(self, fresh: Fresh) -> Any:
        for key, model in fresh.back_ends.items():
            if isinstance(model, Local):
                try:
                    await model.start()
                except AgentError as error:
                    if key == fresh.default:
                        raise
                    yield f"model '{key}' cannot be used: {error}"

    def _renew_embedded(self, fresh: Fresh) -> None:
        for key, model in self._reloader.note(fresh).items():
            if isinstance(model, Local):
                self._replaced += 1
                self._embedded.pop(key, None)
                self._embedded[f"{key} (before change {self._replaced})"] = model
                self._reactor.callLater(LINGER, model.stop)
        current = self._reloader.current
        self._embedded.update({key: each for key, each in current.items() if isinstance(each, Local)})
        self._office.embed(dict(keepers_of(current)))

    def _told(self, outcomes: list[tuple[int, Reloaded]], broken: list[str]) -> Reloaded:
        """What came of it in all workers; they nearly always say the same."""
        lines = dict.fromkeys(line for _, each in outcomes if each.taken for line in each.lines)
        lines |= dict.fromkeys(broken)
        lines |= dict.fromkeys(
            f"worker {worker + 1}: {line}"
            for worker, each in outcomes
            if not each.taken
            for line in each.lines
        )
        return Reloaded(taken=True, lines=tuple(lines) or ("the files were read again",))


def keepers_of(models: Any) -> Iterator[tuple[str, Keeper]]:
    """Those who keep the embedded ones among the models."""
    for key, model in models.items():
        if isinstance(model, Local) and isinstance(model.keeper, Keeper):
            yield key, model.keeper
