"""All that a server reads of its home when it starts, in one struct that can be passed on to other processes."""

from msgspec import Struct

from .callers import check_models
from .home import Home
from .load import load_gates, load_registry, load_settings
from .schema import GateDefaults, ModelRegistry, Settings
from .tools import ToolSettings, load_tool_settings


class Configuration(Struct, frozen=True, kw_only=True):
    """The files' content, checked; `env` is what `.env` assigns."""

    settings: Settings
    registry: ModelRegistry
    gates: GateDefaults
    tools: ToolSettings
    env: dict[str, str]


def load_configuration(home: Home) -> Configuration:
    """Reads the files. Raises `ConfigError`."""
    settings, registry = load_settings(home), load_registry(home)
    check_models(settings.front_door.callers, registry, home.plugins_file)
    return Configuration(
        settings=settings,
        registry=registry,
        gates=load_gates(home),
        tools=load_tool_settings(home),
        env=home.read_env(),
    )
