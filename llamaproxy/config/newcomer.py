"""Profiles that programs write into the operator's file, each checked as a server would before it is written."""

import re
import unicodedata
from typing import Any

from .callers import check_models, digest_of, find_callers, load_callers, load_profile
from .checks import section
from .files import JsonFile
from .home import Home
from .load import load_registry
from .schema import PLUGIN

LONGEST = 40
NAMELESS = "phone"


def profiles_in(home: Home, content: dict[str, Any]) -> dict[str, Any]:
    """The table where it stands, made at the top where there is none. Raises `ConfigError`."""
    where, _ = find_callers(content, home.plugins_file)
    return section(content, home.plugins_file, *where.split("."))


def check_profile(home: Home, content: dict[str, Any], name: str) -> None:
    """Whether a server would start with it. Raises `ConfigError`."""
    where, raw = find_callers(content, home.plugins_file)
    load_profile(home.plugins_file, f"{where}.{name}", name, raw[name])
    block = section(content, home.plugins_file, "plugin_config", PLUGIN)
    keys, commands = block.get("api_keys"), block.get("key_commands")
    profiles = load_callers(
        content,
        home.plugins_file,
        keys if isinstance(keys, dict) else {},
        frozenset(commands) if isinstance(commands, dict) else frozenset(),
    )
    check_models(profiles, load_registry(home), home.plugins_file)


def add_profile(home: Home, wish: str, key: str, entry: dict[str, Any]) -> str:
    """Writes a profile for the holder of a key, of which the file gets the digest; gives its name, like the one wished.

    Raises `ConfigError`.
    """
    with JsonFile(home.plugins_file).update() as content:
        table = profiles_in(home, content)
        block = section(content, home.plugins_file, "plugin_config", PLUGIN)
        taken = {*table, *_names(block.get("api_keys")), *_names(block.get("key_commands"))}
        name = _free(plain_name(wish), taken)
        table[name] = {"key": digest_of(key), **entry}
        check_profile(home, content, name)
    return name


def remove_profile(home: Home, name: str, key: str) -> None:
    """Takes a profile out again, if it still is the one that was made for the holder of that key.

    Raises `ConfigError`.
    """
    with JsonFile(home.plugins_file).update() as content:
        table = profiles_in(home, content)
        entry = table.get(name)
        if isinstance(entry, dict) and entry.get("key") == digest_of(key):
            del table[name]


def plain_name(wish: str) -> str:
    """What people call a thing, as a profile may be called."""
    letters = unicodedata.normalize("NFKD", wish[:200]).encode("ascii", "ignore").decode()
    letters = letters.replace("'", "")
    return re.sub(r"[^A-Za-z0-9]+", "-", letters)[:LONGEST].strip("-") or NAMELESS


def _names(keys: Any) -> list[str]:
    """The names of keys; those of a plain list are called by their numbers."""
    if isinstance(keys, list):
        return [f"key{number}" for number in range(1, len(keys) + 1)]
    return list(keys) if isinstance(keys, dict) else []


def _free(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
