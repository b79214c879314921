"""What every loader of the operator's files checks with: shapes, rules for values, and complaints in our own words."""

import ipaddress
import re
from collections.abc import Callable, Iterable
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from .errors import ConfigError
from .variables import is_secret

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

# A step of msgspec's paths: a field, a place in a list, or some value of a table.
_STEP = re.compile(r"\.[^.\[]+|\[\d+\]|\[\.\.\.\]")


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
        raise _explained(error, shape, raw, file, where) from None


def _explained(
    error: Exception, shape: type[msgspec.Struct], raw: Any, file: Path, where: str
) -> ConfigError:
    """Turns msgspec's "Expected `int`, got `str` - at `$.llama_port`" into our words, with the whole key."""
    problem, _, path = str(error).replace("`key` in `$", "`$").partition(" - at `$")
    path = path.rstrip("`")
    steps, place = _steps(str(error), path, shape, raw)
    key = (where + "".join(steps)).lstrip(".")
    if missing := re.search(r"missing required field `(.+)`", problem):
        meant = nearest(missing[1], place if isinstance(place, dict) else ())
        remedy = f"{meant} stands there; is that meant?" if meant else "Add it."
        return ConfigError(file, f"{key}.{missing[1]}".lstrip("."), "is missing", remedy)
    if unknown := re.search(r"unknown field `(.*)`", problem, re.DOTALL):
        fields = _inner(_hints(shape, path)) or shape
        known = fields.__struct_encode_fields__
        meant = nearest(unknown[1], known)
        return ConfigError(
            file,
            f"{key}.{unknown[1]}".lstrip("."),
            f"is not known; expected one of {', '.join(known)}"
            + (f" (did you mean {meant}?)" if meant else ""),
            "Correct or remove it.",
        )
    if problem.startswith("Invalid enum value"):
        choices = [choice for hint in _hints(shape, path) for choice in _choices(hint)]
        said = problem.rpartition(" ")[2]
        meant = nearest(said.strip("'"), choices)
        problem = f"expected {' or '.join(choices)}, got {said}" + (
            f" (did you mean {meant}?)" if meant else ""
        )
    else:
        problem = re.sub(r"`([^`]*)`", lambda found: _in_words(found[1]), problem[0].lower() + problem[1:])
    return ConfigError(file, key, problem, CORRECT)


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))


def _steps(message: str, path: str, shape: type[msgspec.Struct], raw: Any) -> tuple[list[str], Any]:
    """The steps of a path, with the names that msgspec leaves out, and what stands there."""
    steps: list[str] = []
    # Names are left out one by one, until what is wrong is no longer there.
    whole = place = deepcopy(raw)
    for step in _STEP.findall(path):
        if step == "[...]" and isinstance(place, dict):
            for name, value in [*place.items()]:
                others = {**place}
                place.clear()
                place[name] = value
                if _complaint(whole, shape) == message:
                    step, place = f".{name}", value
                    break
                place.clear()
                place.update(others)
        elif step.startswith(".") and isinstance(place, dict):
            place = place.get(step[1:])
        elif isinstance(place, list):
            place = place[int(step[1:-1])]
        steps.append(step)
    return steps, place


def _complaint(raw: Any, shape: type[msgspec.Struct]) -> str:
    try:
        msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _hints(shape: Any, path: str) -> list[Any]:
    """What may stand at a path, by the types; of a table, its keys as well."""
    hints: list[Any] = [shape]
    for step in _STEP.findall(path):
        found: list[Any] = []
        for hint in hints:
            for each in _parts(hint):
                if step.startswith("."):
                    found += [f.type for f in _fields(each) if f.encode_name == step[1:]]
                else:
                    found += get_args(each)
        hints = found
    return hints


def _parts(hint: Any) -> list[Any]:
    """The types of a union; of any other type itself."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return [part for each in get_args(hint) for part in _parts(each)]
    return [hint]


def _fields(hint: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    is_struct = isinstance(hint, type) and issubclass(hint, msgspec.Struct)
    return msgspec.structs.fields(hint) if is_struct else ()


def _inner(hints: list[Any]) -> type[msgspec.Struct] | None:
    """The struct among what may stand at a place."""
    parts = (part for hint in hints for part in _parts(hint))
    return next((each for each in parts if isinstance(each, type) and issubclass(each, msgspec.Struct)), None)


def _choices(hint: Any) -> list[str]:
    """The words that a type lets through, also where it has them inside."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [choice for each in get_args(hint) for choice in _choices(each)]


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or nothing."""
    return next(iter(get_close_matches(word, sorted(known), n=1, cutoff=0.7)), "")


def shown(value: Any) -> str:
    """The value for a message; of what may be a key nothing is shown."""
    if isinstance(value, str) and is_secret(value):
        return "what may be a key"
    return repr(value)


def obey(rules: tuple[Rule, ...], struct: msgspec.Struct, file: Path, where: str) -> None:
    """Raises `ConfigError` for the first value in `struct`, found at the dotted key `where`, that breaks a rule."""
    for rule in rules:
        for key in rule.keys:
            value = getattr(struct, key)
            if value is not None and not rule.holds(value):
                place = f"{where}.{key}".lstrip(".")
                raise ConfigError(file, place, f"expected {rule.expected}, got {shown(value)}", CORRECT)


def is_web_address(url: str) -> bool:
    """Whether it is an http or https URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, brackets that do not match
        return False
