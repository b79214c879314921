"""From the operator's files to the frozen structs of `schema`; every complaint says file, key and cure."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from .callers import CALLERS, load_callers
from .checks import (
    CORRECT,
    Rule,
    above_0,
    as_struct,
    from_0,
    from_1,
    is_network,
    is_pasted,
    is_web_address,
    nearest,
    obey,
    plugin_block,
    section,
    shown,
)
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
    RateLimit,
    Settings,
    seconds_alone,
)
from .variables import is_key_like, is_name, is_secret

# The fields of `Settings` that come out of `plugin_config`.
OF_PLUGINS = ("front_door", "prompt_tools")

# Types whose entry needs a `host`, with an example of one.
_HOSTED = {
    "OPENAI": "http://localhost:8080/v1",
    "OLLAMA": "http://localhost:11434",
    "ANTHROPIC": "https://api.anthropic.com",
    "AGENT": "http://localhost:8767",
}


def is_port(number: int) -> bool:
    """Whether a port may have that number."""
    return 1 <= number <= 65535


def is_number_of_workers(count: int) -> bool:
    """Whether so many processes may share a port."""
    return 1 <= count <= MOST_WORKERS


_DOOR_RULES = (
    Rule(
        "an http or https URL without a password",
        lambda url: is_web_address(url) and "@" not in url,
        ("notify", "notify_link"),
    ),
    Rule(
        "an address like postgresql://user@host/database, or an empty text for sessions.db",
        lambda url: re.fullmatch(r"|postgres(ql)?://.*", url) is not None,
        ("store",),
    ),
    Rule(
        "the NAME of an environment variable",
        lambda name: is_name(name) and not is_key_like(name),
        ("store_password_env",),
    ),
    Rule("cancel, detach or grace:SECONDS", lambda text: seconds_alone(text) is not None, ("on_disconnect",)),
    Rule("a port from 1 to 65535", is_port, ("llama_port",)),
    Rule(f"a number from 1 to {MOST_WORKERS}", is_number_of_workers, ("workers",)),
    Rule("a number above 0", above_0, ("max_body_bytes", "request_timeout", "stall_timeout")),
    Rule("0 or more", from_0, ("heartbeat", "retry_wait", "shutdown_grace", "queue_limit")),
)
# About each item of a list.
_DOOR_LIST_RULES = (
    Rule("a network like 192.168.0.0/16", is_network, ("allow_from", "trusted_proxies")),
    Rule(
        "an origin like https://chat.example.org, null or *",
        lambda text: re.fullmatch(r"\*|null|[\w*+.-]+://[^/\s]*", text) is not None,
        ("llama_origins",),
    ),
    Rule(
        "a host name like chat.example.org or *.example.org, or *",
        lambda text: re.fullmatch(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*\.?", text) is not None,
        ("llama_hosts",),
    ),
    Rule(
        "the name of a header like X-OpenWebUI-Chat-Id",
        lambda text: re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", text, re.ASCII) is not None,
        ("chat_headers", "user_headers", "client_headers"),
    ),
    Rule(
        "the name of a field like user, or of one in it like metadata.user_id",
        lambda text: re.fullmatch(r"[\w-]+(\.[\w-]+)*", text, re.ASCII) is not None,
        ("body_fields",),
    ),
)
_SETTINGS_RULES = (
    Rule("0 or more", from_0, ("max_users", "session_idle_timeout_minutes")),
    Rule("1 or more", from_1, ("history_max_ctx",)),
)
_DEPTH_RULES = (Rule("0 or more", from_0, DepthLimits.__struct_fields__),)
_RATE_RULES = (Rule("0 or more", from_0, ("calls", "window_seconds")),)
_MODEL_RULES = (
    Rule("some text", bool, ("type", "model_id")),
    Rule(
        "a number of seconds above 0",
        above_0,
        ("llm_call_timeout", "connect_timeout", "first_token_timeout", "idle_timeout"),
    ),
    Rule("1 or more", from_1, ("max_context", "context_length", "max_tokens", "parallel")),
    Rule("0 or more", from_0, ("temperature", "top_p", "top_k", "threads", "linger")),
)


# What the rules say of numbers, in the words of a JSON schema, by struct and key.
_IN_SCHEMAS: dict[Callable[[Any], bool], dict[str, float]] = {
    above_0: {"exclusiveMinimum": 0},
    from_0: {"minimum": 0},
    from_1: {"minimum": 1},
    is_port: {"minimum": 1, "maximum": 65535},
    is_number_of_workers: {"minimum": 1, "maximum": MOST_WORKERS},
    bool: {"minLength": 1},
}
BOUNDS = {
    struct.__name__: {
        key: _IN_SCHEMAS[rule.holds] for rule in rules if rule.holds in _IN_SCHEMAS for key in rule.keys
    }
    for struct, rules in (
        (FrontDoor, _DOOR_RULES),
        (Settings, _SETTINGS_RULES),
        (DepthLimits, _DEPTH_RULES),
        (RateLimit, _RATE_RULES),
        (ModelEntry, _MODEL_RULES),
    )
}


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
    door = _front_door(plugin_block(content, file, PLUGIN), file, content)
    if PLUGIN not in listed and not is_pasted(content, PLUGIN):
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
    obey(_SETTINGS_RULES, settings, file, "")
    for category, rate in settings.rate_limits.items():
        obey(_RATE_RULES, rate, file, f"rate_limits.{category}")
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
        meant = nearest(default, models) if isinstance(default, str) else ""
        problem = "is missing; " if default is None else ""
        problem += f"expected one of {known}"
        problem += "" if default is None else f"; got {shown(default)}"
        problem += f" (did you mean {meant}?)" if meant else ""
        raise ConfigError(file, "default_model", problem, "Set it: agentctl model KEY")
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
    obey(_DEPTH_RULES, limits, file, "limits")
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
    if is_secret(key):
        raise ConfigError(file, "models", "one of them has a key of a service for its name", "Rename it.")
    where = f"models.{key}"
    if not key or key.split() != [key] or not key.isprintable():
        raise ConfigError(file, where, "expected a key without spaces and control characters", "Rename it.")
    entry = as_struct(ModelEntry, raw, file, where, strict=not from_text)
    obey(_MODEL_RULES, entry, file, where)
    if is_secret(entry.model_id):
        problem = "expected the name of a model, and this may be a key"
        remedy = f"Put the key into {file.parent / '.env'}, as NAME=key, and that name into env_key."
        raise ConfigError(file, f"{where}.model_id", problem, remedy)
    if entry.env_key and (not is_name(entry.env_key) or is_key_like(entry.env_key)):
        # Which may be the key itself, so it is not repeated.
        problem = "expected the NAME of an environment variable"
        remedy = f"Put the key into {file.parent / '.env'}, as NAME=key, and the name here."
        raise ConfigError(file, f"{where}.env_key", problem, remedy)
    if entry.type in _HOSTED and not is_web_address(entry.host):
        problem = f"expected an http or https URL, got {shown(entry.host)}"
        raise ConfigError(
            file,
            f"{where}.host",
            problem,
            f"A model of type {entry.type} needs one, like {_HOSTED[entry.type]}",
        )
    return entry


def _front_door(raw: dict[str, Any], file: Path, content: dict[str, Any]) -> FrontDoor:
    where = f"plugin_config.{PLUGIN}"
    listed = raw.get("api_keys")
    keys = _named_keys({} if listed is None else listed, file, f"{where}.api_keys")
    door = as_struct(FrontDoor, {**raw, "api_keys": keys, CALLERS: None}, file, where)
    _check_owners(door.key_commands, file, f"{where}.key_commands")
    callers = load_callers(content, file, keys, frozenset(door.key_commands))
    door = msgspec.structs.replace(door, callers=callers)
    obey(_DOOR_RULES, door, file, where)
    for rule in _DOOR_LIST_RULES:
        for key in rule.keys:
            for position, value in enumerate(getattr(door, key) or ()):
                if not rule.holds(value):
                    problem = f"expected {rule.expected}, got {shown(value)}"
                    raise ConfigError(file, f"{where}.{key}[{position}]", problem, "Correct or remove it.")
    rungs = {f"{CALLERS}.{name}.session_by": each.session_by or () for name, each in callers.items()}
    for key, session_by in {f"{where}.session_by": door.session_by, **rungs}.items():
        if door.workers > 1 and "body_field" in session_by:
            # Which worker has a session is decided before the body is there.
            problem = "body_field does not go together with several workers"
            raise ConfigError(file, key, problem, "Take it out, or set workers to 1.")
    return door


def _check_owners(names: Iterable[str], file: Path, where: str) -> None:
    """Raises `ConfigError` where a key stands for the name of its owner. It is not repeated."""
    if any(map(is_secret, names)):
        remedy = "Write the name of whoever has it first."
        raise ConfigError(file, where, "a key stands where the name of its owner belongs", remedy)


def _named_keys(raw: Any, file: Path, where: str) -> dict[str, str]:
    """Bearer keys by name; a plain list gets the names key1, key2 and so on."""
    keys = {f"key{number}": key for number, key in enumerate(raw, 1)} if isinstance(raw, list) else raw
    if not isinstance(keys, dict):
        raise ConfigError(file, where, "expected names with keys, or a list of keys", CORRECT)
    _check_owners(keys, file, where)
    for name, key in keys.items():
        # An empty key would let in whoever sends an empty bearer; a key with spaces can never be sent.
        if not isinstance(key, str) or key.split() != [key]:
            raise ConfigError(
                file, f"{where}.{name}", "expected a key without spaces", "Correct or remove it."
            )
    return keys
