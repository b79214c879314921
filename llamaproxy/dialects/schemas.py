"""A client's JSON schema, looked at before any model's server is: a broken one is the client's mistake.

The validator is loaded with the first schema, which most servers never see.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from msgspec import json

from ..seams.errors import BadRequest

# Bytes. What is larger takes long to judge, and is left to the model's server.
_LARGEST = 64 * 1024


def checked(schema: dict[str, Any], field: str) -> dict[str, Any]:
    """The schema, if it is one; raises `BadRequest`, which calls it `field`."""
    encoded = json.encode(schema)
    if len(encoded) <= _LARGEST and (problem := _problem(encoded)):
        raise BadRequest(f"{field}: the schema {problem}")
    return schema


@lru_cache(maxsize=256)
def _problem(encoded: bytes) -> str:
    """What is wrong with a schema, "" for nothing. Programs ask with the same few again and again."""
    from jsonschema import Draft7Validator, Draft202012Validator
    from jsonschema.exceptions import SchemaError

    schema = json.decode(encoded)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        try:  # servers know both
            Draft7Validator.check_schema(schema)
        except SchemaError:
            where = "/".join(map(str, error.absolute_path))
            return f"is broken{f' at {where}' if where else ''}: {error.message[:200]}"
    except RecursionError:
        return "is nested too deeply"
    names = {value for key, value in _pairs(schema) if key in ("$id", "$anchor", "$dynamicAnchor")}
    for key, value in _pairs(schema):
        if (
            key in ("$ref", "$dynamicRef")
            and isinstance(value, str)
            and not _leads_somewhere(schema, value, names)
        ):
            return f"refers to {value[:100]!r}, which is not in it"
    return ""


def _pairs(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every key with a text as its value, at whatever depth."""
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield from ((key, value) for key, value in node.items() if isinstance(value, str))
            todo += node.values()
        elif isinstance(node, list):
            todo += node


def _leads_somewhere(schema: Any, reference: str, names: set[str]) -> bool:
    if not reference.startswith("#"):
        return reference.partition("#")[0] in names or reference in names
    pointer = unquote(reference[1:])
    if not pointer.startswith("/"):
        return not pointer or pointer in names
    node = schema
    for step in pointer[1:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            return False
    return True
