"""Reads the operator's files again while the server runs: all of what they say takes effect, or nothing does."""

import os
from typing import cast

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from ..agent.agent import Agent, News
from ..agent.calls.toolbox import Toolbox
from ..config import ConfigError, Configuration, Home, ModelRegistry, load_configuration
from ..config.advice import advice
from ..config.tools import unchanged
from ..models.registry import ModelContext, build_embedders, build_models
from ..seams.errors import AgentError
from ..seams.interfaces import IBackEnd, IEmbedder, IModel
from ..tools.registry import Tools, Workshop, load_tools
from .limits import limits_of


class Reloader:
    """Takes over models, gates, limits, prompts and tools. Where to listen and who may come in waits for a restart.

    `back_ends` are those that are stopped with the server; what they were before stays among them, since turns that
    run go on with them.
    """

    log = Logger()

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
    ) -> None:
        self._home, self.config, self._environ = home, config, environ
        # A flag beats the files as long as the server runs.
        self._flag = default if default != config.registry.default_model else ""
        self._agent, self._context, self._back_ends = agent, context, back_ends
        self._tools, self._toolbox = tools, toolbox
        self._current = dict(back_ends)
        self._retired = 0
        self._one_at_a_time = DeferredLock()

    def reload(self) -> Deferred[None]:
        """Reads the files; a mistake in them is told, and all stays as it was."""
        return self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._reload()))

    async def _reload(self) -> None:
        try:
            config = load_configuration(self._home)
            self._environ.update({**config.env, **os.environ})
            default = self._flag or config.registry.default_model
            fresh = self._fresh(config, default)
            for key, back_end in fresh.items():
                await self._started(key, back_end, needed=key == default)
        except (ConfigError, AgentError, OSError, ValueError) as error:
            self.log.error("the files were not taken over, all stays as it was: {error}", error=str(error))
            return
        self._take_over(config, default, fresh)
        for line in advice(self._home, os.environ):
            self.log.warn("{line}", line=line)
        if self._needs_restart(config):
            self.log.warn("what was changed about the server itself, or its tools of MCP waits for a restart")
        self.config = config
        self.log.info(
            "the files were read again; {count} models, default {key}", count=len(self._current), key=default
        )

    def _fresh(self, config: Configuration, default: str) -> dict[str, IBackEnd]:
        """Back ends for the entries that are new or changed. Raises `ConfigError`."""
        old = self.config.registry.models
        changed = {key: entry for key, entry in config.registry.models.items() if old.get(key) != entry}
        registry = ModelRegistry(default_model=default, models=changed)
        kept = {key for key in self._current if key in config.registry.models and key not in changed}
        fresh: dict[str, IBackEnd] = {
            **build_models(registry, self._context, default),
            **build_embedders(registry, self._context, default),
        }
        if default not in fresh and default not in kept:
            raise ConfigError(
                self._home.models_file, "default_model", f"{default} cannot be used", "Correct it."
            )
        return fresh

    async def _started(self, key: str, back_end: IBackEnd, needed: bool) -> None:
        try:
            await back_end.start()
        except AgentError as error:
            if needed:
                raise
            self.log.warn("model '{key}' cannot be used: {error}", key=key, error=str(error))

    def _take_over(self, config: Configuration, default: str, fresh: dict[str, IBackEnd]) -> None:
        entries = config.registry.models
        current: dict[str, IBackEnd] = {}
        for key, entry in entries.items():
            if key in fresh:
                current[key] = fresh[key]
            elif key in self._current and entry == self.config.registry.models.get(key):
                current[key] = self._current[key]
        for key, back_end in self._current.items():
            if current.get(key) is not back_end:
                self._retired += 1
                self._back_ends[f"{key} (before change {self._retired})"] = back_end
                self._back_ends.pop(key, None)
        self._back_ends.update(current)
        self._current = current
        self._renew_tools(config)
        self._agent.renew(
            News(
                models=cast(
                    dict[str, IModel],
                    {key: one for key, one in current.items() if not entries[key].embedding},
                ),
                embedders=cast(
                    dict[str, IEmbedder], {key: one for key, one in current.items() if entries[key].embedding}
                ),
                default=default,
                limits=limits_of(config),
                gate_defaults=msgspec.to_builtins(config.gates),
                choices={key: e.llm_tools if e.tool_call_available else () for key, e in entries.items()},
                allowed={key: entry.llm_call_available for key, entry in entries.items()},
                timeouts={key: entry.llm_call_timeout for key, entry in entries.items()},
                prompt_folders={
                    key: f for key, entry in entries.items() if (f := entry.system_prompt_folder)
                },
            )
        )

    def _renew_tools(self, config: Configuration) -> None:
        workshop = Workshop(reactor=self._context.reactor, environ=self._environ.get, home=self._home.path)
        kept = unchanged(self.config.tools, config.tools)
        self._tools.renew(load_tools(config.tools, workshop), self._toolbox, kept)

    def _needs_restart(self, config: Configuration) -> bool:
        old = self.config
        return (
            old.settings.front_door != config.settings.front_door
            or old.settings.prompt_tools != config.settings.prompt_tools
            or old.tools.mcp != config.tools.mcp
        )
