"""What may stand at the places of a subcommand, for a shell that completes them."""

from collections.abc import Iterable

from ..config import ConfigError, Home, JsonFile
from ..config.schema import DepthLimits
from ..seams.limits import DEFAULT_RATES
from .places import Place

SHELLS = ("bash", "zsh", "fish")


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
