"""The JSON schema of a tool's arguments, completed so that no server refuses it.

Tool servers write whatever some draft of JSON schema allows; model servers want an object with `properties`, arrays
with one schema for their `items`, and nothing but that at the top. What a call may hold is checked against the
schema as it was written; this one only tells the model.
"""

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

# Schemas inside schemas beyond this are told as "anything", as are forms of one thing beyond the second number. Written
# out, definitions that name each other have no end: the third bounds the parts.
DEEPEST, MOST_FORMS, MOST_PARTS = 24, 16, 1000

_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
# What people write who think of a programming language.
_MEANT = {"str": "string", "text": "string", "int": "integer", "long": "integer", "float": "number", "double": "number",
          "bool": "boolean", "dict": "object", "map": "object", "list": "array", "tuple": "array",
          "none": "null"}  # fmt: skip
_COMBINED = ("anyOf", "oneOf", "allOf")
# At the top these are refused, or say no more than what a call is checked for anyway.
_NOT_AT_TOP = (
    *_COMBINED,
    "not",
    "if",
    "then",
    "else",
    "enum",
    "const",
    "dependentSchemas",
    "dependentRequired",
)
_ABOUT_ITSELF = ("$schema", "$id", "$comment", "$anchor", "$vocabulary", "id")
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_DEFINITIONS = ("$defs", "definitions")
# All that the most particular servers take.
_PLAIN = frozenset({"type", "description", "properties", "required", "items", "enum"})


def completed(schema: Any) -> Schema:
    """The schema of an object, with all that servers ask for."""
    if not isinstance(schema, dict):
        return {"type": "object", "properties": {}}
    whole = _Completion(schema).nested(schema, 0)
    top = _united(whole, whole)
    top["type"] = "object"
    top.setdefault("properties", {})
    _mend_required(top)
    return top


def plain(schema: Schema) -> Schema:
    """A completed schema in the few words that every server knows; definitions stand where they are meant."""
    return _Plain(schema).simplified(schema, 0)


class _Completion:
    """Completes the parts of one schema, whose definitions are in its `root`."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def nested(self, schema: Any, depth: int) -> Schema:
        if not isinstance(schema, dict) or depth > DEEPEST:
            return {}
        made = {name: value for name, value in schema.items() if name not in _ABOUT_ITSELF}
        if "$ref" in made and find(self._root, made["$ref"]) is None:
            del made["$ref"]
        _mend_type(made)
        _mend_bounds(made)
        _mend_tuple(made)
        for name in _MAPS:
            if name in made:
                made[name] = self._map(made[name], depth)
        for name in _COMBINED:
            if name in made:
                made[name] = self._list(made[name], depth)
                if not made[name]:
                    del made[name]
        for name in _ONE:
            if isinstance(made.get(name), dict):
                made[name] = self.nested(made[name], depth + 1)
        kinds = _kinds(made)
        if "array" in kinds and not isinstance(made.get("items"), dict):
            made["items"] = {}
        if "object" in kinds:
            made.setdefault("properties", {})
        _hoist_required(made, schema)
        _mend_required(made)
        return made

    def _map(self, schemas: Any, depth: int) -> dict[str, Schema]:
        entries = schemas.items() if isinstance(schemas, dict) else ()
        return {name: self.nested(schema, depth + 1) for name, schema in entries}

    def _list(self, schemas: Any, depth: int) -> list[Schema]:
        return [self.nested(schema, depth + 1) for schema in schemas] if isinstance(schemas, list) else []


class _Plain:
    """Simplifies the parts of one completed schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._parts = 0

    def simplified(self, schema: Schema, depth: int) -> Schema:
        self._parts += 1
        if depth > DEEPEST or self._parts > MOST_PARTS:
            return {"type": "string"}
        schema = self._chosen(schema)
        made = {name: value for name, value in schema.items() if name in _PLAIN}
        kind = next((kind for kind in _kinds(schema) if kind != "null"), None)
        made["type"] = kind or ("object" if "properties" in made else "string")
        if made["type"] != "object":
            made.pop("properties", None)
            made.pop("required", None)
        else:
            made["properties"] = {
                name: self.simplified(each, depth + 1) for name, each in made.get("properties", {}).items()
            }
        if made["type"] == "array":
            made["items"] = self.simplified(made.get("items") or {}, depth + 1)
        else:
            made.pop("items", None)
        if made["type"] != "string" or not all(
            isinstance(each, str) and each for each in made.get("enum", ())
        ):
            made.pop("enum", None)
        return made

    def _chosen(self, schema: Schema) -> Schema:
        """Of several forms the first that is not null, of a reference what it names."""
        for _ in range(DEEPEST):
            forms = next((schema[name] for name in _COMBINED if schema.get(name)), None)
            if "$ref" in schema:
                chosen = find(self._root, schema["$ref"]) or {}
            elif forms and not _kinds(schema):
                chosen = next((form for form in forms if _kinds(form) != ["null"]), {})
            else:
                break
            rest = {name: value for name, value in schema.items() if name not in ("$ref", *_COMBINED)}
            schema = {**chosen, **rest}
        return schema


def find(root: Schema, reference: Any) -> Schema | None:
    """The schema that a reference names inside of `root`; None if there is none."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    place: Any = root
    for step in filter(None, reference[1:].split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        place = place.get(name) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else None


def _united(top: Schema, root: Schema) -> Schema:
    """The top of a schema, with its forms united to one object that any of them fits."""
    made = {name: value for name, value in top.items() if name not in ("$ref", *_NOT_AT_TOP)}
    properties: dict[str, Schema] = {}
    for form in _forms(top, root, set()):
        for name, schema in form.get("properties", {}).items():
            known = properties.get(name)
            properties[name] = schema if known in (None, schema) else _either(known or {}, schema)
    if properties:
        made["properties"] = properties
    required = _always(top, root, set())
    made["required"] = [name for name in properties if name in required]
    return made


def _forms(schema: Schema, root: Schema, seen: set[int]) -> Iterator[Schema]:
    """The schema and all that it is combined of; each once."""
    if id(schema) in seen or len(seen) > MOST_PARTS:
        return
    seen.add(id(schema))
    yield schema
    if (target := find(root, schema.get("$ref"))) is not None:
        yield from _forms(target, root, seen)
    for name in _COMBINED:
        for form in schema.get(name, ()):
            yield from _forms(form, root, seen)


def _always(schema: Schema, root: Schema, seen: set[int]) -> set[str]:
    """What is required whichever form an object has."""
    if id(schema) in seen or len(seen) > MOST_PARTS:
        return set()
    seen.add(id(schema))
    names = set(schema.get("required", ()))
    if (target := find(root, schema.get("$ref"))) is not None:
        names |= _always(target, root, seen)
    for form in schema.get("allOf", ()):
        names |= _always(form, root, seen)
    for choice in ("anyOf", "oneOf"):
        if forms := schema.get(choice):
            names |= set.intersection(*(_always(form, root, seen) for form in forms))
    return names


def _either(one: Schema, other: Schema) -> Schema:
    forms = one["anyOf"] if set(one) == {"anyOf"} else [one]
    if other in forms or len(forms) >= MOST_FORMS:
        return {"anyOf": forms}
    return {"anyOf": [*forms, other]}


def _kinds(schema: Schema) -> list[str]:
    kinds = schema.get("type")
    return [kinds] if isinstance(kinds, str) else list(kinds or ())


def _mend_type(made: Schema) -> None:
    """Known types only."""
    if "type" not in made:
        return
    given = made["type"] if isinstance(made["type"], list) else [made["type"]]
    words = [word.lower() for word in given if isinstance(word, str)]
    kinds = [kind for word in words if (kind := _MEANT.get(word, word)) in _TYPES]
    if not kinds:
        del made["type"]
    else:
        made["type"] = kinds[0] if len(kinds) == 1 else list(dict.fromkeys(kinds))


def _mend_bounds(made: Schema) -> None:
    """Exclusive bounds that are a yes or no beside the bound are of older drafts; an empty choice is none."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and bound in made:
            made[exclusive] = made.pop(bound)
    if "enum" in made and not (isinstance(made["enum"], list) and made["enum"]):
        del made["enum"]


def _mend_tuple(made: Schema) -> None:
    """An array with a schema for each place becomes one whose items may follow any of them."""
    places = made.pop("prefixItems", None)
    if isinstance(made.get("items"), list):
        places = made.pop("items")
    made.pop("additionalItems", None)
    if not isinstance(places, list):
        return
    places = places[:MOST_FORMS]
    forms = [form for at, form in enumerate(places) if isinstance(form, dict) and form not in places[:at]]
    rest = made.get("items")
    if isinstance(rest, dict) and rest not in forms:
        forms.append(rest)
    made["items"] = forms[0] if len(forms) == 1 else {"anyOf": forms} if forms else {}
    made.setdefault("type", "array")


def _hoist_required(made: Schema, written: Schema) -> None:
    """Properties that say of themselves that they are required are of draft 3."""
    properties = written.get("properties")
    if not isinstance(properties, dict):
        return
    named = [
        name for name, each in properties.items() if isinstance(each, dict) and each.get("required") is True
    ]
    if named:
        given = made.get("required")
        made["required"] = [*(given if isinstance(given, list) else ()), *named]


def _mend_required(made: Schema) -> None:
    """Required is what there is; none is better said by leaving it out."""
    given = made.get("required")
    if "required" not in made:
        return
    there = made.get("properties")
    names = dict.fromkeys(
        name for name in (given if isinstance(given, list) else ()) if isinstance(name, str)
    )
    known: Callable[[str], bool] = there.__contains__ if isinstance(there, dict) else lambda name: True
    made["required"] = [name for name in names if known(name)]
    if not made["required"]:
        del made["required"]
