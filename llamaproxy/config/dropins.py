"""Finds what third parties have dropped into a package: their modules are imported only when asked for."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any, NamedTuple

from zope.interface.interface import InterfaceClass


class DropIns(NamedTuple):
    """The objects that provide an interface, and why modules cannot be imported, by their files."""

    found: list[Any]
    broken: dict[str, str]


def drop_ins(plugins: ModuleType, interface: InterfaceClass) -> DropIns:
    """Those in the package `plugins` that provide it, in the order of their modules' names."""
    importlib.invalidate_caches()
    found: list[Any] = []
    broken: dict[str, str] = {}
    for finder, name, _ in sorted(pkgutil.iter_modules(plugins.__path__), key=lambda module: module.name):
        try:
            module = importlib.import_module(f"{plugins.__name__}.{name}")
        except (Exception, SystemExit) as error:  # whatever somebody's module comes up with
            file = f"{getattr(finder, 'path', '')}/{name}.py"
            broken[file] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            continue
        for value in vars(module).values():
            if not isinstance(value, type) and interface.providedBy(value) and value not in found:
                found.append(value)
    return DropIns(found, broken)


def told(broken: dict[str, str]) -> str:
    """What is wrong with modules, to be added to a line; "" for nothing."""
    return "".join(f"; {file} cannot be imported: {why}" for file, why in broken.items())
