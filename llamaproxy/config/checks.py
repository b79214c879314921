"""What every loader of the operator's files checks with: shapes, rules for values, and complaints in our own words."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from .errors import ConfigError

Shape = TypeVar("Shape", bound=msgspec.Struct)

CORRECT = "Correct it; an optional key may also be deleted."
# What msgspec calls the types of JSON, in words.
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


class Rule(NamedTuple):
    """What a type cannot say about the values of `keys`; an absent (None) value always passes."""

    expected: str
    holds: Callable[[Any], bool]
    keys: tuple[str, ...]


def above_0(value: float) -> bool:
    """Whether it is a number above 0, and not infinite."""
    return 0 < value < float("inf")


def from_0(value: float) -> bool:
    """Whether it is 0 or more, and not infinite."""
    return 0 <= value < float("inf")


def from_1(value: int) -> bool:
    """Whether it is 1 or more."""
    return value >= 1


def is_network(text: str) -> bool:
    """Whether it is a network like 192.168.0.0/16, or an address."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def plugin_block(content: dict[str, Any], file: Path, name: str) -> dict[str, Any]:
    """The settings of one plugin. Raises `ConfigError`.

    They stand in `plugin_config`, or at the top, where people put what they found on the plugin's own page; what stands
    in `plugin_config` beats that.
    """
    own = section(content, file, "plugin_config", name)
    return {**content[name], **own} if is_pasted(content, name) else own


def is_pasted(content: dict[str, Any], name: str) -> bool:
    """Whether the plugin's settings stand at the top."""
    return isinstance(content.get(name), dict)


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
    if unknown := re.search(r"unknown field `(.*)`", problem, re.DOTALL):
        known = ", ".join(_inner(shape, path.strip(".`")).__struct_encode_fields__)
        return ConfigError(
            file,
            f"{key}.{unknown[1]}".lstrip("."),
            f"is not known; expected one of {known}",
            "Correct or remove it.",
        )
    if problem.startswith("Invalid enum value"):
        choices = _choices(shape, path.strip(".`"))
        problem = f"expected {' or '.join(choices)}, got {problem.rpartition(' ')[2]}"
    else:
        problem = re.sub(r"`([^`]*)`", lambda found: _in_words(found[1]), problem[0].lower() + problem[1:])
    return ConfigError(file, key, problem, CORRECT)


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))


def _inner(shape: type[msgspec.Struct], path: str) -> type[msgspec.Struct]:
    """The struct at the key `path`, the shape itself for none."""
    hints: list[Any] = [field.type for field in msgspec.structs.fields(shape) if field.encode_name == path]
    while hints:
        hint = hints.pop()
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return hint
        hints += get_args(hint)
    return shape


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


def obey(rules: tuple[Rule, ...], struct: msgspec.Struct, file: Path, where: str) -> None:
    """Raises `ConfigError` for the first value in `struct`, found at the dotted key `where`, that breaks a rule."""
    for rule in rules:
        for key in rule.keys:
            value = getattr(struct, key)
            if value is not None and not rule.holds(value):
                place = f"{where}.{key}".lstrip(".")
                raise ConfigError(file, place, f"expected {rule.expected}, got {value!r}", CORRECT)


def is_web_address(url: str) -> bool:
    """Whether it is an http or https URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, brackets that do not match
        return False
