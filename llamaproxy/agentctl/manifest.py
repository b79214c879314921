"""Which plugins there are, what each needs to run, and what state that leaves it in."""

import os
from typing import Any, NamedTuple

from msgspec import Struct

from ..config import PLUGIN, ConfigError, Home, JsonFile
from ..config.checks import as_struct, is_pasted, plugin_block, section
from ..config.schema import PROMPT_PLUGIN
from ..config.tools import PREFIX, has_settings, load_tool
from ..tools.manifest import BUILT_IN
from ..tools.packages import is_installed
from .printer import Sign

UNKNOWN = Sign("?", "", "unknown")
DISABLED = Sign("–", "yellow", "disabled")  # noqa: RUF001, the reference's own sign
ENABLED = Sign("✓", "green", "enabled")
BROKEN = Sign("✗", "red", "has issues")
UNAVAILABLE = Sign("⊗", "grey", "unavailable")
CONFIGURED = Sign("○", "yellow", "configured, not enabled")
LEGEND = (ENABLED, BROKEN, DISABLED, CONFIGURED, UNAVAILABLE, UNKNOWN)

CLIENT = "client_interface"

_OURS: dict[str, dict[str, Any]] = {
    PLUGIN: {
        "type": CLIENT,
        "description": "the agent behind the HTTP dialects of Ollama and OpenAI",
        "dependencies": ["klein", "treq"],
        "port_config_key": "llama_port",
        "default_port": 11434,
    },
    PROMPT_PLUGIN: {"description": "tools with which models read and change their own system prompt"},
    **{
        PREFIX + name: {
            "description": one.description,
            "dependencies": one.packages,
            "env_vars": one.env_vars,
        }
        for name, one in BUILT_IN.items()
    },
}


class Plugin(Struct, frozen=True, kw_only=True):
    """One entry of the manifest; `file` and `config_files` are relative to the home folder, `file` may be empty."""

    type: str = "data_tool"
    file: str = ""
    description: str = ""
    dependencies: tuple[str, ...] = ()
    env_vars: tuple[str, ...] = ()
    config_files: tuple[str, ...] = ()
    port_config_key: str | None = None
    default_port: int | None = None


class Issue(NamedTuple):
    """Something a plugin lacks, and how to get it."""

    problem: str
    remedy: str


def load_manifest(home: Home) -> dict[str, Plugin]:
    """The plugins that come with us, with the home's `plugin-manifest.json` (if any) laid over them key by key.

    Raises `ConfigError`.
    """
    file = home.manifest_file
    theirs = section(JsonFile(file).read(), file, "plugins") if file.exists() else {}
    manifest = {name: as_struct(Plugin, raw, file, f"plugins.{name}") for name, raw in _OURS.items()}
    for name, raw in theirs.items():
        merged = {**_OURS.get(name, {}), **raw} if isinstance(raw, dict) else raw
        manifest[name] = as_struct(Plugin, merged, file, f"plugins.{name}")
    return manifest


def dropped_in() -> dict[str, Plugin]:
    """The tools that somebody has put into a plugin folder; looking for them takes a while."""
    from ..tools.registry import plugin_tools

    return {
        # One that lacks its description is left out by the server, which says so.
        PREFIX + name: Plugin(description=str(getattr(tool, "description", "")))
        for name, tool in plugin_tools().tools.items()
    }


def issues_of(name: str, plugin: Plugin, content: dict[str, Any], home: Home) -> list[Issue]:
    """What the plugin lacks: its file, environment variables, config files, Python packages, right settings.

    `content` is the object in `plugins-enabled.json`.
    """
    known = {**home.read_env(), **os.environ}
    issues = []
    if _file_is_missing(plugin, home):
        issues.append(Issue(f"missing file {plugin.file}", f"put it into {home.path}"))
    for each in plugin.env_vars:
        if not known.get(each):
            issues.append(Issue(f"missing environment variable {each}", f"add {each}=... to {home.env_file}"))
    for each in plugin.config_files:
        if not (home.path / each).exists():
            issues.append(Issue(f"missing config file {each}", f"create {home.path / each}"))
    for requirement in plugin.dependencies:
        if not is_installed(requirement):
            issues.append(Issue(f"missing Python package {requirement}", f"pip install '{requirement}'"))
    return [*issues, *_wrong_settings(name, content, home)]


def _wrong_settings(name: str, content: dict[str, Any], home: Home) -> list[Issue]:
    """What would keep the server from starting with that tool."""
    tool = name.removeprefix(PREFIX)
    if tool == name or not has_settings(tool):
        return []
    try:
        load_tool(home, tool, section(content, home.plugins_file, "plugin_config", name))
    except ConfigError as error:
        return [Issue(f"{error.where}: {error.problem}", f"correct it in {home.plugins_file}")]
    return []


def state_of(name: str, plugin: Plugin | None, content: dict[str, Any], home: Home) -> Sign:
    """The plugin's sign; `plugin` is its manifest entry, `content` the object in `plugins-enabled.json`."""
    if plugin is None:
        return UNKNOWN
    listed = name in content.get("enabled_plugins", []) or (name == PLUGIN and is_pasted(content, name))
    if listed and is_switched_off(name, content, home):
        return DISABLED
    issues = issues_of(name, plugin, content, home)
    if listed:
        return BROKEN if issues else ENABLED
    if _file_is_missing(plugin, home):
        return BROKEN
    return UNAVAILABLE if issues else CONFIGURED


def is_switched_off(name: str, content: dict[str, Any], home: Home) -> bool:
    """Whether the plugin's own block says `enabled: false`. Raises `ConfigError` if the block is no object."""
    return plugin_block(content, home.plugins_file, name).get("enabled") is False


def _file_is_missing(plugin: Plugin, home: Home) -> bool:
    return bool(plugin.file) and not (home.path / plugin.file).exists()
