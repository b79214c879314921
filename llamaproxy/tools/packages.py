"""Whether a Python package is there, without loading it."""

import importlib.util
import re


def is_installed(requirement: str) -> bool:
    """Whether a package ("redis", "PyYAML>=6") is there, by its module's name or else by its distribution's."""
    name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
    module = name.partition(".")[0].replace("-", "_")
    if module and importlib.util.find_spec(module) is not None:
        return True
    from importlib.metadata import PackageNotFoundError, distribution  # slow, and seldom needed

    try:
        distribution(name)
    except (PackageNotFoundError, ValueError):
        return False
    return True
