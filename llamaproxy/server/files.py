"""What the console writes into the operator's files, and what it shows of them."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from ..config import ConfigError, Configuration, Home, JsonFile, load_configuration, operator_key
from ..config.checks import section
from ..config.home import create
from ..config.newcomer import add_profile, remove_profile
from ..config.schema import Budget, Profile
from ..seams.errors import AgentError, BadRequest
from ..seams.gates import Kind, Side
from ..seams.oversight import IFiles, ModelChange, Person, Written
from ..seams.types import Rights


@implementer(IFiles)
class OperatorFiles:
    """Those of one home; `config` gives what the server goes by now."""

    log = Logger()

    def __init__(self, home: Home, config: Callable[[], Configuration]) -> None:
        self._home = home
        self._config = config

    def operator_key(self) -> str:
        """See `IFiles`."""
        return operator_key(self._home.operator_key_file)

    def written(self) -> Written:
        """See `IFiles`."""
        config = self._config()
        door, models = config.settings.front_door, config.registry.models
        short = {
            name: Profile(key="", commands=rights, operator=rights == "all" or None)
            for name in door.api_keys
            for rights in (door.key_commands.get(name),)
        }
        people = {**door.callers, **short}
        return Written(
            default=config.registry.default_model,
            off=tuple(key for key, entry in models.items() if not entry.enabled),
            people=tuple(_person(name, profile) for name, profile in people.items()),
        )

    def keep_gate(self, kind: Kind, name: str, side: Side, allowed: bool) -> Deferred[None]:
        """See `IFiles`."""

        def write() -> None:
            file = JsonFile(self._home.gate_defaults_file)
            create(file.path, {})
            with file.update() as content:
                content.setdefault(kind, {}).setdefault(name, {})[side] = allowed

        return deferToThread(write)

    def set_model(self, key: str, to: ModelChange) -> Deferred[None]:
        """See `IFiles`."""

        def write() -> None:
            with JsonFile(self._home.models_file).update() as content:
                entry = section(content, self._home.models_file, "models").get(key)
                if not isinstance(entry, dict):
                    raise BadRequest(f"There is no model '{key}'.")
                is_default = key == content.get("default_model")
                if to == "off" and is_default:
                    raise BadRequest(f"New sessions start with '{key}'. Choose another one for that first.")
                if to == "default":
                    if entry.get("embedding"):
                        raise BadRequest(f"'{key}' makes embeddings and cannot be talked to.")
                    content["default_model"] = key
                entry["enabled"] = to != "off"

        return self._written(write)

    def add_caller(self, name: str, key: str, commands: Rights | None) -> Deferred[str]:
        """See `IFiles`."""

        def write() -> str:
            # A mistake elsewhere in the files would keep the server from taking the profile over.
            load_configuration(self._home)
            return add_profile(self._home, name, key, {"commands": commands} if commands else {})

        return self._written(write)

    def remove_caller(self, name: str, key: str) -> Deferred[None]:
        """See `IFiles`."""
        return self._written(lambda: remove_profile(self._home, name, key))

    def _written(self, write: Callable[[], Any]) -> Deferred[Any]:
        return deferToThread(write).addErrback(self._not_written)

    def _not_written(self, failure: Any) -> None:
        """Where the files lie, and what is in them, is for the log alone."""
        error = failure.trap(ConfigError, OSError, BadRequest)
        if error is BadRequest:
            failure.raiseException()
        self.log.error("the files could not be changed: {error}", error=failure.getErrorMessage())
        raise AgentError(
            "The operator's files have a mistake, or cannot be written; the server's log says more."
        )


def _person(name: str, profile: Profile) -> Person:
    budget = profile.budget or Budget()
    return Person(
        name=name,
        by="key" if profile.is_keyed else "network",
        commands=profile.commands or "",
        operator=profile.operator is True,
        per_hour=budget.tokens_per_hour or 0,
        per_day=budget.tokens_per_day or 0,
    )
