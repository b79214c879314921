"""The table of `callers`: profiles, each with all that the operator says about one kind of caller."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from .checks import CORRECT, Rule, as_struct, is_network, is_web_address, obey
from .errors import ConfigError
from .schema import PLUGIN, ModelRegistry, Profile, StartingGates, seconds_alone
from .variables import is_key_like, is_name, is_secret, shown_name

CALLERS = "callers"
DIGEST = "sha256:"

# It is a part of sessions' ids.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_DIGEST = re.compile(DIGEST + r"[0-9a-fA-F]{64}")
_RULES = (
    Rule("cancel, detach or grace:SECONDS", lambda text: seconds_alone(text) is not None, ("on_disconnect",)),
    Rule("an http or https URL", lambda url: is_web_address(url) and "@" not in url, ("notify",)),
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def digest_of(key: str | bytes) -> str:
    """The key as it is stored where nobody is to read it."""
    return DIGEST + sha256(key.encode() if isinstance(key, str) else key).hexdigest()


def find_callers(content: dict[str, Any], file: Path) -> tuple[str, dict[str, Any]]:
    """The table in the content of `plugins-enabled.json`, and the dotted key where it stands. Raises `ConfigError`."""
    block = content.get("plugin_config")
    plugin = block.get(PLUGIN) if isinstance(block, dict) else None
    inside = plugin.get(CALLERS) if isinstance(plugin, dict) else None
    where, raw = (
        (CALLERS, content.get(CALLERS)) if inside is None else (f"plugin_config.{PLUGIN}.{CALLERS}", inside)
    )
    if inside is not None and content.get(CALLERS) is not None:
        raise ConfigError(
            file, where, "stands at the top of the file as well", "Put all profiles into one of the two."
        )
    if not isinstance(raw, dict | None):
        raise ConfigError(file, where, "expected profiles by name", "Write them between { and }.")
    return where, raw or {}


def load_callers(
    content: dict[str, Any], file: Path, keys: Mapping[str, str], others: frozenset[str]
) -> dict[str, Profile]:
    """The profiles by name, each checked by itself and against the others. Raises `ConfigError`.

    `keys` are the `api_keys` by name, `others` the names that `key_commands` speaks of.
    """
    where, raw = find_callers(content, file)
    profiles = {}
    for name, entry in raw.items():
        if name in keys or name in others:
            listed = "api_keys" if name in keys else "key_commands"
            raise ConfigError(
                file, f"{where}.{name}", f"stands in {listed} as well", "Say everything about it here."
            )
        profiles[name] = load_profile(file, f"{where}.{name}", name, entry)
    _check_keys(profiles, keys, file, where)
    _check_networks(profiles, file, where)
    return profiles


def load_profile(file: Path, where: str, name: str, raw: Any) -> Profile:
    """One entry of the table, found at the dotted key `where`, checked by itself. Raises `ConfigError`."""
    if is_secret(name):
        problem = "a key stands where the name of its owner belongs"
        raise ConfigError(file, where.removesuffix(f".{name}"), problem, "Write it as the profile's key.")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            file, where, "expected a name of letters, digits, '.', '_' and '-', at most 48", "Rename it."
        )
    profile = as_struct(Profile, raw, file, where)
    obey(_RULES, profile, file, where)
    _check_key(profile, file, where)
    for position, network in enumerate(profile.networks):
        if not is_network(network):
            problem = f"expected a network like 192.168.0.0/16, got {network!r}"
            raise ConfigError(file, f"{where}.from[{position}]", problem, "Correct or remove it.")
    if not (profile.is_keyed or profile.networks):
        problem = "expected a key, the name of a variable that holds it (env_key), or networks (from)"
        remedy = f"Without one of them nobody is meant. agentctl caller-set {name} key new makes a key."
        raise ConfigError(file, where, problem, remedy)
    if profile.operator and not profile.is_keyed:
        problem = "expected a key beside it, since an address alone makes nobody the operator"
        raise ConfigError(file, f"{where}.operator", problem, "Add one, or take operator out.")
    if profile.operator and profile.commands not in (None, "all"):
        problem = f"does not go together with commands {profile.commands!r}"
        raise ConfigError(file, f"{where}.operator", problem, "The operator has all commands.")
    if profile.model and profile.models is not None and profile.model not in profile.models:
        problem = f"expected one of models ({', '.join(profile.models)}), got {profile.model!r}"
        raise ConfigError(file, f"{where}.model", problem, CORRECT)
    gates = profile.gates or StartingGates()
    gates = StartingGates(
        db={name.lower(): sides for name, sides in gates.db.items()},
        tools={name.lower(): sides for name, sides in gates.tools.items()},
    )
    return replace(profile, gates=gates, commands="all" if profile.operator else profile.commands)


def check_models(profiles: Mapping[str, Profile], registry: ModelRegistry, file: Path) -> None:
    """Raises `ConfigError` where a profile names a model that there is not, or that cannot be talked to.

    One that is only switched off, or broken, may come back.
    """
    known = [*registry.models, *registry.broken]
    talking = [key for key in known if key in registry.broken or not registry.models[key].embedding]
    for name, profile in profiles.items():
        asked = [("model", profile.model, talking)] if profile.model else []
        asked += [(f"models[{position}]", key, known) for position, key in enumerate(profile.models or ())]
        for field, key, choices in asked:
            if key not in choices:
                problem = f"expected one of {', '.join(choices)}; got {key!r}"
                raise ConfigError(file, f"{CALLERS}.{name}.{field}", problem, CORRECT)


def with_keys(
    profiles: Mapping[str, Profile], variable: Callable[[str], str | None], file: Path
) -> dict[str, Profile]:
    """The profiles with the keys that stand in variables, as digests. Raises `ConfigError` where one is not set."""
    found = {}
    for name, profile in profiles.items():
        if profile.env_key is not None:
            key = variable(profile.env_key) or ""
            if key.split() != [key] or _is_half_a_digest(key):
                problem = f"the variable {shown_name(profile.env_key)} is not set, or holds no key"
                remedy = f"Put it into the environment or into {file.parent / '.env'}, as NAME=key."
                raise ConfigError(file, f"{CALLERS}.{name}.env_key", problem, remedy)
            profile = replace(profile, key=key)
        found[name] = profile
    _check_keys(found, {}, file, CALLERS)
    return found


def _check_key(profile: Profile, file: Path, where: str) -> None:
    """None of the complaints shows what stands there, which may be a key."""
    key, name = profile.key, profile.env_key
    if key is not None and name is not None:
        raise ConfigError(
            file, f"{where}.key", "does not go together with env_key", "Take one of the two out."
        )
    if key is not None and key.split() != [key]:
        # An empty key would let in whoever sends an empty bearer; a key with spaces can never be sent.
        raise ConfigError(file, f"{where}.key", "expected a key without spaces", CORRECT)
    if key is not None and _is_half_a_digest(key):
        problem = f"expected {DIGEST} and 64 hexadecimal digits"
        raise ConfigError(file, f"{where}.key", problem, "agentctl caller-add makes such a key.")
    if name is not None and (not is_name(name) or is_key_like(name)):
        problem = "expected the NAME of an environment variable"
        remedy = f"Put the key into {file.parent / '.env'}, as NAME=key, and the name here."
        raise ConfigError(file, f"{where}.env_key", problem, remedy)


def _is_half_a_digest(key: str) -> bool:
    return key.startswith(DIGEST) and not _DIGEST.fullmatch(key)


def _check_keys(profiles: Mapping[str, Profile], keys: Mapping[str, str], file: Path, where: str) -> None:
    """No key may be that of two."""
    owners = {digest_of(key): f"api_keys.{name}" for name, key in keys.items()}
    for name, profile in profiles.items():
        if profile.key is not None:
            stored = profile.key.lower() if profile.key.startswith(DIGEST) else digest_of(profile.key)
            other = owners.setdefault(stored, f"{CALLERS}.{name}")
            if other != f"{CALLERS}.{name}":
                raise ConfigError(
                    file, f"{where}.{name}.key", f"is also that of {other}", "Give it another one."
                )


def _check_networks(profiles: Mapping[str, Profile], file: Path, where: str) -> None:
    """No address may be in the networks of two that are known by nothing else."""
    seen: list[tuple[str, Network]] = []
    for name, profile in profiles.items():
        if profile.is_keyed:
            continue
        own = list(_networks(profile))
        for position, network in enumerate(own):
            for other, theirs in seen:
                if network.version == theirs.version and network.overlaps(theirs):
                    problem = f"{network} overlaps with {theirs} of {where}.{other}; expected an address to be in one"
                    raise ConfigError(
                        file, f"{where}.{name}.from[{position}]", problem, "Narrow one of the two."
                    )
        seen += [(name, network) for network in own]


def _networks(profile: Profile) -> Iterator[Network]:
    return (ipaddress.ip_network(text, strict=False) for text in profile.networks)
