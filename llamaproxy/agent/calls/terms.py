"""The arguments of a call, judged by the schema of their tool.

Kindness ends where there is a choice: `"5"` for a whole number can only be 5, but a text is never taken apart. What is
mended is what the schema complains about, so that its references and alternatives count, in whatever dialect it is
written.

The validator and what it brings along weigh two megabytes: a server without tools does not load this module.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import validator_for

from ...seams.arguments import read_json
from .arguments import BadArguments, BrokenSchema
from .judging import Judge, TooMuch

# Tried in this order where a schema does not say what it is written in.
_DIALECTS = (Draft202012Validator, Draft7Validator, Draft4Validator)
# What mending turned up is mended again: JSON in a text may hold a number in a text. No deeper than this.
_ROUNDS = 4
# Characters of a complaint, which repeats what it is about.
_LONGEST_COMPLAINT = 500
# Whole numbers are those that every other program can hold.
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_NUMBER = re.compile(r"[+-]?(?:\d{1,40})(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?")
_NOTHING = frozenset({"", "null", "none"})
_MISSING = object()


class Terms:
    """What one tool takes. Raises `BrokenSchema`."""

    def __init__(self, schema: Any) -> None:
        if not isinstance(schema, dict):
            raise BrokenSchema("it is no object")
        try:
            self._judge = _judge(schema)
        except SchemaError as error:
            raise BrokenSchema(_cut(error.message)) from None
        except TooMuch:
            raise BrokenSchema("it is too large") from None
        except Exception as error:  # whatever a stranger's schema brings the libraries to
            raise BrokenSchema(_cut(str(error))) from None

    def fitted(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the schema wants them; they are changed in place. Raises `BadArguments`."""
        try:
            self._judge.begin(arguments)
            for _ in range(_ROUNDS):
                errors = list(self._judge.errors(arguments))
                if not _mend_all(arguments, errors):
                    break
            problem = best_match(self._judge.errors(arguments))
        except TooMuch:
            raise BadArguments("they are too large to be judged by the tool's schema") from None
        except Exception as error:  # a reference to nothing, a depth or a number that the library cannot bear
            raise BadArguments(_cut(f"the tool's schema cannot be followed ({error})")) from None
        if problem:
            where = problem.json_path.removeprefix("$").lstrip(".")
            raise BadArguments(_cut(f"{where}: {problem.message}" if where else problem.message))
        for where, number in _numbers(arguments):
            if not _SMALLEST <= number <= _LARGEST:
                raise BadArguments(f"{where}: whole numbers go from {_SMALLEST} to {_LARGEST}")
        return arguments


# -- schemas


def _judge(schema: dict[str, Any]) -> Judge:
    named = schema.get("$schema")
    if isinstance(named, str):
        # Their names begin with http: whatever people write.
        known = {"$schema": re.sub(r"^https(?=://json-schema\.org/draft-0)", "http", named)}
        dialects: tuple[Any, ...] = (validator_for(known, default=Draft202012Validator),)
    else:
        dialects = _DIALECTS
    problems = []
    for dialect in dialects:
        try:
            return Judge(dialect, schema)
        except SchemaError as error:
            problems.append(error)
    raise problems[0]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_COMPLAINT else f"{text[:_LONGEST_COMPLAINT]}..."


# -- mending


def _mend_all(arguments: dict[str, Any], errors: Iterable[ValidationError]) -> bool:
    mended = False
    for error in errors:
        mended = _mend(arguments, error) or mended
    return mended


def _mend(arguments: dict[str, Any], error: ValidationError) -> bool:
    """Puts right what the error says, if that can be only one thing; tells whether it did."""
    value: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
            extra = [key for key in value if value[key] is None and key not in known]
            for key in extra:
                del value[key]
            return bool(extra)
        case "anyOf" | "oneOf":
            branches: dict[Any, list[ValidationError]] = {}
            for each in error.context or ():
                branches.setdefault(each.schema_path[0], []).append(each)
            kinds = [kind for each in branches.values() for kind in _wrong_kinds(each)]
            right = [each for each in branches.values() if not list(_wrong_kinds(each))]
            if right:  # of the right type, and something else is wrong with it
                return len(right) == 1 and _mend_all(arguments, right[0])
            better = _of_kind(value, kinds)
        case "type":
            better = _of_kind(value, _kinds(wanted))
        case "enum" if isinstance(value, str):
            alike = [
                each for each in wanted if isinstance(each, str) and each.lower() == value.strip().lower()
            ]
            better = alike[0] if len(alike) == 1 else _MISSING
        case _:
            better = _MISSING
    return _put(arguments, list(error.absolute_path), value, better)


def _put(arguments: dict[str, Any], path: list[Any], value: Any, better: Any) -> bool:
    """Replaces the value at `path`; one that says nothing is taken out, as if it had not been given."""
    if not path:
        return False
    place: Any = arguments
    for step in path[:-1]:
        place = place[step]
    key = path[-1]
    if (isinstance(place, dict) and key not in place) or place[key] is not value:
        return False  # mended already, on behalf of another complaint
    if better is not _MISSING:
        place[key] = better
        return True
    if isinstance(place, dict) and (value is None or (isinstance(value, str) and _says_nothing(value))):
        del place[key]
        return True
    return False


def _says_nothing(text: str) -> bool:
    return text.strip().lower() in _NOTHING


def _wrong_kinds(errors: Iterable[ValidationError]) -> Iterator[str]:
    """The types that a value would need for one of several alternatives."""
    for error in errors:
        if error.validator == "type" and not error.relative_path:
            yield from _kinds(error.validator_value)


def _kinds(value: Any) -> list[str]:
    kinds = [value] if isinstance(value, str) else value
    return [kind for kind in kinds if isinstance(kind, str)]


def _of_kind(value: Any, kinds: Iterable[str]) -> Any:
    """The value as one of those types, by the first way that fits; `_MISSING` if there is none."""
    kinds = list(kinds)
    for kind in kinds:
        better = _converted(value, kind)
        if better is not _MISSING:
            return better
    if "array" in kinds and value is not None and not (isinstance(value, str) and _says_nothing(value)):
        return [value]
    return _MISSING


def _converted(value: Any, kind: str) -> Any:
    if isinstance(value, float) and kind == "integer" and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return _MISSING
    text = value.strip()
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), _MISSING)
    if kind in ("integer", "number") and _NUMBER.fullmatch(text):
        try:
            return int(text)
        except ValueError:
            number = float(text)
            if math.isfinite(number):
                return int(number) if kind == "integer" and number.is_integer() else number
    shape = {"object": dict, "array": list}.get(kind)
    if shape is not None and text[:1] in ("{", "["):
        try:
            inner = read_json(text)
        except ValueError:
            return _MISSING
        return inner if isinstance(inner, shape) else _MISSING
    return _MISSING


def _numbers(arguments: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The whole numbers in the arguments, with the names of the arguments that hold them."""
    waiting = list(arguments.items())
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, int):
            yield where, value
        elif isinstance(value, list):
            waiting += [(where, each) for each in value]
        elif isinstance(value, dict):
            waiting += [(where, each) for each in value.values()]
