"""From the operator's files to the frozen structs of `schema`; every complaint says file, key and cure."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from .errors import ConfigError
from .files import JsonFile
from .home import Home
from .schema import (
    MOST_WORKERS,
    PLUGIN,
    PROMPT_PLUGIN,
    DepthLimits,
    FrontDoor,
    GateDefaults,
    ModelEntry,
    ModelRegistry,
    Settings,
    seconds_alone,
)
from .variables import is_name

Shape = TypeVar("Shape", bound=msgspec.Struct)

# The fields of `Settings` that come out of `plugin_config`.
OF_PLUGINS = ("front_door", "prompt_tools")

_CORRECT = "Correct it; an optional key may also be deleted."
# Types whose entry needs a `host`, with an example of one.
_HOSTED = {
    "OPENAI": "http://localhost:8080/v1",
    "OLLAMA": "http://localhost:11434",
    "ANTHROPIC": "https://api.anthropic.com",
    "AGENT": "http://localhost:8767",
}
# What msgspec calls the types of JSON, in words.
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


class _Rule(NamedTuple):
    """What a type cannot say about the values of `keys`; an absent (None) value always passes."""

    expected: str
    holds: Callable[[Any], bool]
    keys: tuple[str, ...]


def _above_0(value: float) -> bool:
    return 0 < value < float("inf")


def _from_0(value: float) -> bool:
    return 0 <= value < float("inf")


def _from_1(value: int) -> bool:
    return value >= 1


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


_DOOR_RULES = (
    _Rule(
        "cancel, detach or grace:SECONDS", lambda text: seconds_alone(text) is not None, ("on_disconnect",)
    ),
    _Rule("a port from 1 to 65535", lambda port: 1 <= port <= 65535, ("llama_port",)),
    _Rule(f"a number from 1 to {MOST_WORKERS}", lambda count: 1 <= count <= MOST_WORKERS, ("workers",)),
    _Rule("a number above 0", _above_0, ("max_body_bytes", "request_timeout", "stall_timeout")),
    _Rule("0 or more", _from_0, ("heartbeat", "retry_wait", "shutdown_grace", "queue_limit")),
)
# About each item of a list.
_DOOR_LIST_RULES = (
    _Rule("a network like 192.168.0.0/16", _is_network, ("allow_from", "trusted_proxies")),
    _Rule(
        "an origin like https://chat.example.org, null or *",
        lambda text: re.fullmatch(r"\*|null|[\w*+.-]+://[^/\s]*", text) is not None,
        ("llama_origins",),
    ),
    _Rule(
        "a host name like chat.example.org or *.example.org, or *",
        lambda text: re.fullmatch(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*\.?", text) is not None,
        ("llama_hosts",),
    ),
    _Rule(
        "the name of a header like X-OpenWebUI-Chat-Id",
        lambda text: re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", text, re.ASCII) is not None,
        ("chat_headers", "user_headers", "client_headers"),
    ),
    _Rule(
        "the name of a field like user, or of one in it like metadata.user_id",
        lambda text: re.fullmatch(r"[\w-]+(\.[\w-]+)*", text, re.ASCII) is not None,
        ("body_fields",),
    ),
)
_SETTINGS_RULES = (
    _Rule("0 or more", _from_0, ("max_users", "session_idle_timeout_minutes")),
    _Rule("1 or more", _from_1, ("history_max_ctx",)),
)
_DEPTH_RULES = (_Rule("0 or more", _from_0, DepthLimits.__struct_fields__),)
_RATE_RULES = (_Rule("0 or more", _from_0, ("calls", "window_seconds")),)
_MODEL_RULES = (
    _Rule("some text", bool, ("type", "model_id")),
    _Rule(
        "a number of seconds above 0",
        _above_0,
        ("llm_call_timeout", "connect_timeout", "first_token_timeout", "idle_timeout"),
    ),
    _Rule("1 or more", _from_1, ("max_context", "context_length", "max_tokens", "parallel")),
    _Rule("0 or more", _from_0, ("temperature", "top_p", "top_k", "threads", "linger")),
)


def load_settings(home: Home) -> Settings:
    """`plugins-enabled.json` as far as the server reads it. Raises `ConfigError`."""
    file = home.plugins_file
    content = JsonFile(file).read()
    listed = content.get("enabled_plugins", [])
    if not isinstance(listed, list):
        raise ConfigError(
            file, "enabled_plugins", "expected a list", "Write the plugins' names between [ and ]."
        )
    settings = load_limits(file, content)
    door = _front_door(section(content, file, "plugin_config", PLUGIN), file)
    if PLUGIN not in listed:
        door = msgspec.structs.replace(door, enabled=False)
    prompt_block = section(content, file, "plugin_config", PROMPT_PLUGIN)
    prompt_tools = PROMPT_PLUGIN in listed and prompt_block.get("enabled") is not False
    return msgspec.structs.replace(settings, front_door=door, prompt_tools=prompt_tools)


def load_limits(file: Path, raw: dict[str, Any], *, from_text: bool = False) -> Settings:
    """What stands beside the plugins in `plugins-enabled.json`, checked; the plugins' part is left at its defaults.

    `from_text` also takes numbers written as strings. Raises `ConfigError`.
    """
    names = [name for name in Settings.__struct_fields__ if name not in OF_PLUGINS]
    known = {name: raw.get(name) for name in names}
    settings = as_struct(Settings, known, file, "", strict=not from_text)
    _obey(_SETTINGS_RULES, settings, file, "")
    for category, rate in settings.rate_limits.items():
        _obey(_RATE_RULES, rate, file, f"rate_limits.{category}")
    return settings


def load_registry(home: Home) -> ModelRegistry:
    """`llm-models.json` in the file's order; the default is one of them and enabled. Raises `ConfigError`.

    Any other entry that is wrong is left out.
    """
    file = home.models_file
    content = JsonFile(file).read()
    models: dict[str, ModelEntry] = {}
    broken: dict[str, ConfigError] = {}
    for key, raw in section(content, file, "models").items():
        try:
            models[key] = load_entry(file, key, raw)
        except ConfigError as error:
            broken[key] = error
    default = content.get("default_model")
    if isinstance(default, str) and default in broken:
        raise broken[default]
    if not isinstance(default, str) or default not in models:
        known = ", ".join(models) or "the models, of which there are none"
        raise ConfigError(
            file, "default_model", f"expected one of {known}; got {default!r}", "Set it: agentctl model KEY"
        )
    if not models[default].enabled:
        remedy = f"Enable it (agentctl model-enable {default}) or take another one (agentctl model KEY)."
        raise ConfigError(file, "default_model", f"{default} is disabled", remedy)
    if models[default].embedding:
        problem = f"{default} makes embeddings and cannot be talked to"
        raise ConfigError(file, "default_model", problem, "Take another one: agentctl model KEY")
    limits = load_depths(file, section(content, file, "limits"))
    told = {key: str(error) for key, error in broken.items()}
    return ModelRegistry(default_model=default, models=models, limits=limits, broken=told)


def load_depths(file: Path, raw: dict[str, Any], *, from_text: bool = False) -> DepthLimits:
    """The `limits` of `llm-models.json`, checked; `from_text` also takes numbers written as strings.

    Raises `ConfigError`.
    """
    limits = as_struct(DepthLimits, raw, file, "limits", strict=not from_text)
    _obey(_DEPTH_RULES, limits, file, "limits")
    return limits


def load_gates(home: Home) -> GateDefaults:
    """`gate-defaults.json`, with names in lower case; without the file every gate is closed. Raises `ConfigError`."""
    file = home.gate_defaults_file
    if not file.exists():
        return GateDefaults()
    gates = as_struct(GateDefaults, JsonFile(file).read(), file, "")
    return GateDefaults(
        db={name.lower(): sides for name, sides in gates.db.items()},
        tools={name.lower(): sides for name, sides in gates.tools.items()},
    )


def load_entry(file: Path, key: str, raw: Any, *, from_text: bool = False) -> ModelEntry:
    """One entry of `llm-models.json`, checked; `from_text` also takes numbers written as strings.

    Raises `ConfigError`, whose text names `models.KEY` and the field.
    """
    where = f"models.{key}"
    if not key or key.split() != [key] or not key.isprintable():
        raise ConfigError(file, where, "expected a key without spaces and control characters", "Rename it.")
    entry = as_struct(ModelEntry, raw, file, where, strict=not from_text)
    _obey(_MODEL_RULES, entry, file, where)
    if entry.env_key and not is_name(entry.env_key):
        # Which may be the key itself, so it is not repeated.
        problem = "expected the NAME of an environment variable"
        remedy = f"Put the key into {file.parent / '.env'}, as NAME=key, and the name here."
        raise ConfigError(file, f"{where}.env_key", problem, remedy)
    if entry.type in _HOSTED and not _is_web_address(entry.host):
        problem = f"expected an http or https URL, got {entry.host!r}"
        raise ConfigError(
            file,
            f"{where}.host",
            problem,
            f"A model of type {entry.type} needs one, like {_HOSTED[entry.type]}",
        )
    return entry


def section(content: dict[str, Any], file: Path, *path: str) -> dict[str, Any]:
    """The object at `path` inside `content`, made where absent. Raises `ConfigError` if it is no object."""
    for depth, name in enumerate(path, 1):
        content = content.setdefault(name, {})
        if not isinstance(content, dict):
            raise ConfigError(file, ".".join(path[:depth]), "expected an object", "Write it between { and }.")
    return content


def as_struct(shape: type[Shape], raw: Any, file: Path, where: str, *, strict: bool = True) -> Shape:
    """`raw`, found at the dotted key `where`, as a `shape`; a null counts as absent. Raises `ConfigError`."""
    if isinstance(raw, dict):
        raw = {name: value for name, value in raw.items() if value is not None}
    try:
        return msgspec.convert(raw, shape, strict=strict)
    except msgspec.ValidationError as error:
        raise _explained(str(error), shape, file, where) from None


def _explained(message: str, shape: type[msgspec.Struct], file: Path, where: str) -> ConfigError:
    """Turns msgspec's "Expected `int`, got `str` - at `$.llama_port`" into our words, with the whole key."""
    problem, _, path = message.replace("`key` in `$", "`$").partition(" - at `$")
    key = (where + path.rstrip("`")).lstrip(".")
    if missing := re.search(r"missing required field `(.+)`", problem):
        return ConfigError(file, f"{key}.{missing[1]}".lstrip("."), "is missing", "Add it.")
    if problem.startswith("Invalid enum value"):
        choices = _choices(shape, path.strip(".`"))
        problem = f"expected {' or '.join(choices)}, got {problem.rpartition(' ')[2]}"
    else:
        problem = re.sub(r"`([^`]*)`", lambda found: _in_words(found[1]), problem[0].lower() + problem[1:])
    return ConfigError(file, key, problem, _CORRECT)


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))


def _choices(shape: type[msgspec.Struct], path: str) -> list[str]:
    """What the words inside the key at `path` can be."""
    name = path.partition("[")[0]
    hints: list[Any] = [field.type for field in msgspec.structs.fields(shape) if field.encode_name == name]
    choices: list[str] = []
    while hints:
        hint = hints.pop()
        if get_origin(hint) is Literal:
            choices += get_args(hint)
        else:
            hints += get_args(hint)
    return choices


def _obey(rules: tuple[_Rule, ...], struct: msgspec.Struct, file: Path, where: str) -> None:
    for rule in rules:
        for key in rule.keys:
            value = getattr(struct, key)
            if value is not None and not rule.holds(value):
                place = f"{where}.{key}".lstrip(".")
                raise ConfigError(file, place, f"expected {rule.expected}, got {value!r}", _CORRECT)


def _front_door(raw: dict[str, Any], file: Path) -> FrontDoor:
    where = f"plugin_config.{PLUGIN}"
    keys = _named_keys(raw.get("api_keys") or {}, file, f"{where}.api_keys")
    door = as_struct(FrontDoor, {**raw, "api_keys": keys}, file, where)
    _obey(_DOOR_RULES, door, file, where)
    for rule in _DOOR_LIST_RULES:
        for key in rule.keys:
            for position, value in enumerate(getattr(door, key) or ()):
                if not rule.holds(value):
                    problem = f"expected {rule.expected}, got {value!r}"
                    raise ConfigError(file, f"{where}.{key}[{position}]", problem, "Correct or remove it.")
    if door.workers > 1 and "body_field" in door.session_by:
        # Which worker has a session is decided before the body is there.
        problem = "body_field does not go together with several workers"
        raise ConfigError(file, f"{where}.session_by", problem, "Take it out, or set workers to 1.")
    return door


def _named_keys(raw: Any, file: Path, where: str) -> dict[str, str]:
    """Bearer keys by name; a plain list gets the names key1, key2 and so on."""
    keys = {f"key{number}": key for number, key in enumerate(raw, 1)} if isinstance(raw, list) else raw
    if not isinstance(keys, dict):
        raise ConfigError(file, where, "expected names with keys, or a list of keys", _CORRECT)
    for name, key in keys.items():
        # An empty key would let in whoever sends an empty bearer; a key with spaces can never be sent.
        if not isinstance(key, str) or key.split() != [key]:
            raise ConfigError(
                file, f"{where}.{name}", "expected a key without spaces", "Correct or remove it."
            )
    return keys


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, brackets that do not match
        return False
