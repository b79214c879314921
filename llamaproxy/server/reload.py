"""Reads the operator's files again while the server runs: all of what they say takes effect, or nothing does."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from ..agent.agent import Agent, News
from ..agent.calls.toolbox import Toolbox
from ..config import ConfigError, Configuration, Home, ModelEntry, ModelRegistry, load_configuration
from ..config.advice import advice
from ..config.tools import unchanged
from ..models.registry import ModelContext, build_embedders, build_models
from ..seams.errors import AgentError
from ..seams.interfaces import IBackEnd, IEmbedder, IModel
from ..seams.oversight import Reloaded
from ..tools.registry import Tools, Workshop, load_tools
from ..tools.strangers import strangers
from .front import AT_START, Front
from .limits import limits_of
from .retired import Retired

log = Logger()
# Of the operator's, who is told.
MISTAKES = (ConfigError, AgentError, OSError, ValueError)


class Fresh(Struct, frozen=True, kw_only=True):
    """What is made of the files before anything is taken over; `front` takes the web room's part over.

    `troubles` are what is wrong with tools, each in a line.
    """

    config: Configuration
    default: str
    back_ends: dict[str, IBackEnd]
    tools: Tools
    troubles: tuple[str, ...]
    front: Callable[[], None]


class Reloader:
    """Takes over models, gates, limits, callers, prompts and tools, and all that the front door can go by meanwhile.

    `back_ends` are those that are stopped with the server. What they were before stays among them as long as turns
    run that began with them.
    """

    def __init__(
        self,
        home: Home,
        config: Configuration,
        default: str,
        environ: dict[str, str],
        agent: Agent,
        context: ModelContext,
        back_ends: dict[str, IBackEnd],
        tools: Tools,
        toolbox: Toolbox,
        front: Front,
    ) -> None:
        self._home, self._environ = home, environ
        # What holds now.
        self.config = config
        # A flag beats the files as long as the server runs.
        self._flag = default if default != config.registry.default_model else ""
        self._agent, self._context, self._back_ends = agent, context, back_ends
        self._tools, self._toolbox, self._front = tools, toolbox, front
        self.current = dict(back_ends)
        # By which each of the current ones was made.
        self._entries = dict(config.registry.models)
        self.retired = Retired(back_ends, agent.parts.runs, context.reactor)
        self._one_at_a_time = DeferredLock()

    def reload(self) -> Deferred[Reloaded]:
        """Reads the files; after a mistake all stays as it was. The log says what came of it, too."""
        return self.go_by(None).addCallback(told)

    def go_by(self, config: Configuration | None) -> Deferred[Reloaded]:
        """Takes over what another process has read, or with None the files."""
        return self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._reload(config)))

    def note(self, fresh: Fresh, broken: Mapping[str, str]) -> dict[str, IBackEnd]:
        """Has it hold in a process that serves nobody; gives the back ends that are left over.

        `broken` are those that could not be started. What held before goes on in their place.
        """
        left, _ = self._succeed(fresh, self._kept(fresh, broken))
        self.config = fresh.config
        return left

    def remember(self) -> Callable[[], None]:
        """Gives what brings the variables back that hold now."""
        return partial(self._set_environ, dict(self._environ))

    async def _reload(self, config: Configuration | None) -> Reloaded:
        restore = self.remember()
        try:
            fresh = self.prepare(config or load_configuration(self._home))
            broken = {key: problem async for key, problem in self._unstarted(fresh)}
        except MISTAKES as error:
            restore()
            return Reloaded(taken=False, lines=(str(error),))
        lines = [f"model '{key}': {problem}" for key, problem in fresh.config.registry.broken.items()]
        lines += [f"model '{key}' cannot be used: {problem}" for key, problem in broken.items()]
        lines += fresh.troubles
        kept = self._kept(fresh, broken)
        for key in kept:
            if key in fresh.back_ends:
                self.retired.end(fresh.back_ends[key])
        lines += [f"model '{key}' goes on as it was" for key in kept]
        if later := at_next_start(self.config, fresh.config):
            lines.append(f"waits for the next start of the server: {', '.join(later)}")
        self._take_over(fresh, kept)
        self.config = fresh.config
        first = f"the files were read again; {len(self.current)} models, default {fresh.default}"
        return Reloaded(taken=True, lines=(first, *lines, *advice(self._home, os.environ)))

    def prepare(self, config: Configuration) -> Fresh:
        """Makes all that is new or changed, and takes nothing over. Raises `ConfigError`, `OSError` or `ValueError`."""
        self._set_environ({**config.env, **os.environ})
        default = self._flag or config.registry.default_model
        entries = config.registry.models
        changed = {key: entry for key, entry in entries.items() if self._entries.get(key) != entry}
        registry = ModelRegistry(default_model=default, models=changed)
        back_ends: dict[str, IBackEnd] = {
            **build_models(registry, self._context, default),
            **build_embedders(registry, self._context, default),
        }
        if default not in back_ends and not (default in self.current and default in entries):
            raise ConfigError(
                self._home.models_file, "default_model", f"{default} cannot be used", "Correct it."
            )
        workshop = Workshop(reactor=self._context.reactor, environ=self._environ.get, home=self._home.path)
        troubles: list[str] = []
        tools = load_tools(
            config.tools, workshop, lambda line, **fields: troubles.append(line.format(**fields))
        )
        return Fresh(
            config=config,
            default=default,
            back_ends=back_ends,
            tools=tools,
            troubles=(*troubles, *strangers(config, self._home, tools.fixed)),
            front=self._front.prepare(config.settings.front_door, self._environ, self._context.reactor),
        )

    async def _unstarted(self, fresh: Fresh) -> Any:
        """Starts the new back ends; gives those that cannot be, but fails for the one that is needed."""
        for key, back_end in fresh.back_ends.items():
            try:
                await back_end.start()
            except AgentError as error:
                if key == fresh.default:
                    for made in fresh.back_ends.values():
                        self.retired.end(made)
                    raise
                yield key, str(error)

    def _kept(self, fresh: Fresh, broken: Mapping[str, str]) -> list[str]:
        """Models whose entry is wrong now, and was right when they were made."""
        wrong = [*fresh.config.registry.broken, *broken]
        return [key for key in wrong if key in self.current]

    def _take_over(self, fresh: Fresh, kept: list[str]) -> None:
        config = fresh.config
        left, entries = self._succeed(fresh, kept)
        for key, back_end in left.items():
            self.retired.add(key, back_end)
        current = self.current
        self._back_ends.update(current)
        self._tools.renew(fresh.tools, self._toolbox, unchanged(self.config.tools, config.tools))
        fresh.front()
        self._agent.renew(
            News(
                models=cast(
                    dict[str, IModel],
                    {key: one for key, one in current.items() if not entries[key].embedding},
                ),
                embedders=cast(
                    dict[str, IEmbedder], {key: one for key, one in current.items() if entries[key].embedding}
                ),
                default=fresh.default,
                limits=limits_of(config),
                gate_defaults=msgspec.to_builtins(config.gates),
                choices={key: e.llm_tools if e.tool_call_available else () for key, e in entries.items()},
                allowed={key: entry.llm_call_available for key, entry in entries.items()},
                timeouts={key: entry.llm_call_timeout for key, entry in entries.items()},
                prompt_folders={
                    key: f for key, entry in entries.items() if (f := entry.system_prompt_folder)
                },
                prompt_tools=config.settings.prompt_tools,
            )
        )

    def _succeed(self, fresh: Fresh, kept: list[str]) -> tuple[dict[str, IBackEnd], dict[str, ModelEntry]]:
        """Goes over to new back ends; gives those that are left, and the entries that hold."""
        entries, old = dict(self._succession(fresh, kept)), self.current
        self.current = {
            key: fresh.back_ends[key] if key in fresh.back_ends and key not in kept else old[key]
            for key in entries
        }
        self._entries = entries
        left = {key: each for key, each in old.items() if self.current.get(key) is not each}
        return left, entries

    def _succession(self, fresh: Fresh, kept: list[str]) -> Iterator[tuple[str, ModelEntry]]:
        """The entries that hold from now on, in the file's order, those that are kept at the end."""
        for key, entry in fresh.config.registry.models.items():
            same = key in self.current and self._entries.get(key) == entry
            if key not in kept and (key in fresh.back_ends or same):
                yield key, entry
        for key in kept:
            yield key, self._entries[key]

    def _set_environ(self, environ: Mapping[str, str]) -> None:
        # Others look into it, too.
        self._environ.clear()
        self._environ.update(environ)


def at_next_start(old: Configuration, new: Configuration) -> list[str]:
    """The settings that were changed and that a running server cannot go by."""
    before, now = old.settings.front_door, new.settings.front_door
    return [name for name in AT_START if getattr(before, name) != getattr(now, name)]


def told(outcome: Reloaded) -> Reloaded:
    """Has the log say what came of it, too."""
    if not outcome.taken:
        log.error("the files were not taken over, all stays as it was: {line}", line=outcome.lines[0])
        return outcome
    first, *others = outcome.lines
    log.info("{line}", line=first)
    for line in others:
        log.warn("{line}", line=line)
    return outcome
