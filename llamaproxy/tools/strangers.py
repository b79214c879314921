"""Names of tools and groups in the operator's files that nothing answers to: most of them are typing mistakes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..config import Configuration, Home
from ..config.checks import nearest
from ..seams.gates import ALL, DATABASE_CATEGORY, KNOWN_GROUPS, SYSTEM_PROMPT
from ..seams.interfaces import ITool
from ..seams.limits import DEFAULT_RATES
from .manifest import BUILT_IN
from .mcp.names import group_of

# Those with which models read and change their own system prompt.
_PROMPT_TOOLS = ("read_system_prompt", "update_system_prompt")


def strangers(config: Configuration, home: Home, tools: Iterable[ITool]) -> Iterator[str]:
    """A line for each name that is none of ours, of the `tools` that are loaded, or of an MCP server."""
    known = {
        ALL,
        SYSTEM_PROMPT,
        DATABASE_CATEGORY,
        "system",
        *_PROMPT_TOOLS,
        *KNOWN_GROUPS,
        *BUILT_IN,
        *DEFAULT_RATES,
    }
    for tool in tools:
        known |= {tool.name, tool.category}
    servers = tuple(map(group_of, config.tools.mcp.servers))
    known.update(servers)
    for file, where, names in _named(config, home):
        for name in names:
            if name in known or name.startswith(tuple(f"{server}_" for server in servers)):
                continue
            meant = nearest(name, known)
            hint = f"did you mean {meant}?" if meant else "a plugin that is not enabled may have it"
            yield f"{file}: {where}.{name}: no tool and no group of tools is called that here; {hint}"


def _named(config: Configuration, home: Home) -> Iterator[tuple[Path, str, Iterable[str]]]:
    """Where names of tools and groups stand, and which."""
    yield home.gate_defaults_file, "tools", config.gates.tools
    yield home.plugins_file, "rate_limits", config.settings.rate_limits
    for name, profile in config.settings.front_door.callers.items():
        yield home.plugins_file, f"callers.{name}.tools", profile.tools or ()
        yield home.plugins_file, f"callers.{name}.gates.tools", profile.gates.tools if profile.gates else ()
    for key, entry in config.registry.models.items():
        yield home.models_file, f"models.{key}.llm_tools", entry.llm_tools or ()
