"""What may stand at the places of a subcommand, for a shell that completes them."""

from collections.abc import Iterable

from msgspec.structs import fields

from ..config import ConfigError, Home, JsonFile, Profile, load_settings
from ..config.schema import DepthLimits
from ..seams.limits import DEFAULT_RATES
from .places import Place

SHELLS = ("bash", "zsh", "fish")
SESSION_WORDS = ("list", "show", "export", "delete")


def values_for(home: Home, name: str, place: Place) -> Iterable[str]:
    """What may stand at one place of a subcommand; empty where that is anything, or the files cannot be read."""
    if place.word:
        return (place.word,)
    if place.choices:
        return map(str, place.choices)
    try:
        return _named(home, name, place.name)
    except ConfigError:
        return ()


def _named(home: Home, name: str, place: str) -> Iterable[str]:
    match place:
        case "shell":
            return SHELLS
        case "what":
            return SESSION_WORDS
        case "name" if name in ("caller-info", "caller-set", "caller-remove"):
            return load_settings(home).front_door.callers
        case "key" if name == "caller-set":
            return [field.encode_name for field in fields(Profile)]
        case "bool":
            return ("true", "false")
        case "op":
            return ("read", "write")
        case "category":
            return DEFAULT_RATES
        case "type":
            from .registry import BUILT_IN

            return BUILT_IN
        case "plugin":
            from .manifest import load_manifest

            return load_manifest(home)
        case "key" if name == "limit-set":
            return DepthLimits.__struct_fields__
        case "key" if name.startswith("model") and name != "model-add":
            from .registry import entries_in

            return entries_in(JsonFile(home.models_file).read(), home)
    return ()
