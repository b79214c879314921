"""The config room: what the operator wrote, validated into frozen structs."""

from .errors import ConfigError
from .files import JsonFile
from .home import Home, find_home
from .load import load_registry, load_settings
from .schema import PLUGIN, FrontDoor, ModelEntry, ModelRegistry, Settings

__all__ = [
    "PLUGIN",
    "ConfigError",
    "FrontDoor",
    "Home",
    "JsonFile",
    "ModelEntry",
    "ModelRegistry",
    "Settings",
    "find_home",
    "load_registry",
    "load_settings",
]
