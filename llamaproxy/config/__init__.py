"""The config room: what the operator wrote, validated into frozen structs."""

from .errors import ConfigError
from .files import JsonFile
from .home import Home, find_home
from .load import load_gates, load_registry, load_settings
from .occupancy import Occupancy
from .operator import new_operator_key, operator_key
from .schema import PLUGIN, FrontDoor, GateDefaults, ModelEntry, ModelRegistry, Profile, Settings
from .whole import Configuration, load_configuration

__all__ = [
    "PLUGIN",
    "ConfigError",
    "Configuration",
    "FrontDoor",
    "GateDefaults",
    "Home",
    "JsonFile",
    "ModelEntry",
    "ModelRegistry",
    "Occupancy",
    "Profile",
    "Settings",
    "find_home",
    "load_configuration",
    "load_gates",
    "load_registry",
    "load_settings",
    "new_operator_key",
    "operator_key",
]
