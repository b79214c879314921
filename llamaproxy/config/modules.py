"""Where a `PYTHON` entry's agent would be imported from, found out without running any of it."""

import sys
from collections.abc import Sequence
from importlib import invalidate_caches
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

from .errors import ConfigError
from .home import Home

_REMEDY = "Write package.module:attribute; the home folder is searched for it, too."


class Place(NamedTuple):
    """A module, what is wanted of it, and the file it lies in."""

    module: str
    attribute: str
    file: str


def find_agent(home: Home, key: str, model_id: str) -> Place:
    """What `package.module:attribute` means. Makes modules in the home folder importable, after all others.

    Raises `ConfigError` if there is no such module. Whether it can be imported and has the attribute only an import
    would tell.
    """

    def wrong(problem: str) -> ConfigError:
        return ConfigError(home.models_file, f"models.{key}.model_id", problem, _REMEDY)

    module, _, attribute = model_id.partition(":")
    names = module.split(".")
    if not all(name.isidentifier() for name in (*names, *attribute.split("."))):
        raise wrong(f"expected package.module:attribute, got {model_id!r}")
    folder = str(Path(home.path).absolute())
    if folder not in sys.path:
        sys.path.append(folder)
    invalidate_caches()
    spec, path = None, None
    for depth in range(1, len(names) + 1):
        name = ".".join(names[:depth])
        spec = _spec(name, path)
        if spec is None:
            raise wrong(f"there is no module {name}")
        path = spec.submodule_search_locations
        if path is None and depth < len(names):
            raise wrong(f"{name} is no package, so there is no module {module}")
    return Place(module, attribute, (spec.origin if spec else None) or "a package without a file")


def _spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """As `importlib.util.find_spec`, which would import the packages above."""
    return next((spec for finder in sys.meta_path if (spec := finder.find_spec(name, path))), None)
