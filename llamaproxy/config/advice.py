"""What is odd in the operator's files without keeping a server from its start: told in a line each when it starts."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .checks import nearest, plugin_block
from .collector import hindrance
from .files import JsonFile
from .home import Home, is_assignment
from .load import OF_PLUGINS
from .schema import PLUGIN, DepthLimits, FrontDoor, GateDefaults, ModelEntry, RateLimit, Settings
from .tools import PREFIX, McpServer, settings_of
from .variables import is_key_like, is_name, shown_name

_BESIDE_PLUGINS = {
    *Settings.__struct_fields__,
    "enabled_plugins",
    "plugin_config",
    "callers",
    "$schema",
} - set(OF_PLUGINS)
_BESIDE_MODELS = {"default_model", "models", "limits", "$schema"}


def advice(home: Home, environ: Mapping[str, str]) -> Iterator[str]:
    """One line for each oddity; the files themselves are in order. Raises `ConfigError`."""
    yield from _of_plugins(home)
    yield from _of_models(home, environ)
    if home.gate_defaults_file.exists():
        content = JsonFile(home.gate_defaults_file).read()
        known = {*GateDefaults.__struct_fields__, "$schema"}
        yield from (
            f"{home.gate_defaults_file}: {line}" for line in _unknown(content, known, "", near_only=False)
        )
    yield from _of_env(home)
    if line := hindrance({**home.read_env(), **environ}):
        yield line


def _of_plugins(home: Home) -> Iterator[str]:
    file = home.plugins_file
    content = JsonFile(file).read()
    # Other plugins may keep something beside ours, so only what is nearly right is told.
    top = {name: value for name, value in content.items() if not name.startswith(PREFIX)}
    for line in _unknown(top, _BESIDE_PLUGINS, "", near_only=True):
        yield f"{file}: {line}"
    blocks = {PLUGIN: FrontDoor.__struct_fields__}
    for name in content.get("enabled_plugins", []):
        if (shape := settings_of(name.removeprefix(PREFIX))) is not None:
            blocks[name] = (*shape.__struct_fields__, "enabled")
    for name, known in blocks.items():
        for line in _unknown(plugin_block(content, file, name), set(known), f"plugin_config.{name}"):
            yield f"{file}: {line}"
    block = plugin_block(content, file, f"{PREFIX}mcp") if f"{PREFIX}mcp" in blocks else {}
    for name, server in (block.get("servers") or {}).items():
        for line in _unknown(
            server, set(McpServer.__struct_fields__), f"plugin_config.{PREFIX}mcp.servers.{name}"
        ):
            yield f"{file}: {line}"
    for category, limit in content.get("rate_limits", {}).items():
        for line in _unknown(limit, set(RateLimit.__struct_fields__), f"rate_limits.{category}"):
            yield f"{file}: {line}"


def _of_models(home: Home, environ: Mapping[str, str]) -> Iterator[str]:
    file = home.models_file
    content = JsonFile(file).read()
    for line in _unknown(content, _BESIDE_MODELS, "", near_only=True):
        yield f"{file}: {line}"
    yield from (
        f"{file}: {line}"
        for line in _unknown(content.get("limits", {}), set(DepthLimits.__struct_fields__), "limits")
    )
    variables = {**home.read_env(), **environ}
    for key, raw in content.get("models", {}).items():
        if not isinstance(raw, dict):
            continue
        where = f"models.{key}"
        for line in _unknown(raw, set(ModelEntry.__struct_fields__), where):
            yield f"{file}: {line}"
        try:
            entry = msgspec.convert(
                {name: value for name, value in raw.items() if value is not None}, ModelEntry
            )
        except msgspec.ValidationError:
            continue  # which is told as what it is: an entry that cannot be used
        if not entry.enabled:
            continue
        # A key where its name belongs is told by the loader, which leaves the entry out.
        named = entry.env_key and is_name(entry.env_key) and not is_key_like(entry.env_key)
        if named and not variables.get(str(entry.env_key)):
            yield f"{file}: {where}.env_key: there is no key in {_variable(entry.env_key)}; add it to {home.env_file}"
        if odd := odd_host(entry):
            yield f"{file}: {where}.host: {odd}"


def _variable(name: str | None) -> str:
    """The variable, by its name unless that may be a key."""
    return (
        name if name and shown_name(name) == name else "the variable named there (which may be a key itself)"
    )


def odd_host(entry: ModelEntry) -> str:
    """What is odd about the address of a model's server; "" for nothing."""
    if entry.type != "OPENAI" or urlsplit(entry.host).path.strip("/"):
        return ""
    host = entry.host.rstrip("/")
    return f"{host} has no path; nearly all of these servers want {host}/v1"


def _of_env(home: Home) -> Iterator[str]:
    if not home.env_file.exists():
        return
    for number, line in enumerate(home.env_file.read_text("utf-8-sig").splitlines(), 1):
        text = line.strip()
        # What stands there may be a key, so it is not repeated.
        if text and not text.startswith("#") and not is_assignment(text):
            yield f"{home.env_file}: line {number} is no NAME=VALUE, and is passed over"
        elif re.match(r"(?:export\s+)?\w+\s*=\s*[\"'][^\"']*$", text):
            yield f"{home.env_file}: line {number} opens a quotation mark and does not close it"


def _unknown(raw: Any, known: set[str], where: str, near_only: bool = False) -> Iterator[str]:
    """A line for each key that nobody reads, with the one that was probably meant."""
    for name in raw if isinstance(raw, dict) else ():
        if name in known:
            continue
        meant = nearest(name, known)
        if meant or not near_only:
            place = f"{where}.{name}".lstrip(".")
            yield f"{place}: nobody reads this key" + (f"; did you mean {meant}?" if meant else "")
