"""JSON Schema as others write it, judged in bounded time.

A schema may come from a tool server that nobody here has read, and the arguments from a model: together they may ask
for more than a reactor can wait for. So what is looked at is counted, and what cannot be counted is not judged:
patterns, whose own matcher takes as long as it likes, and what has a search of the library's own behind it. Whoever
runs the call judges these anyway.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import create
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from msgspec import json
from referencing.jsonschema import specification_with

# Places of a schema and of what it is held against that are looked at for one call, and to tell whether a schema is
# one: each a fraction of a second.
MOST_STEPS, MOST_OF_SCHEMA = 300_000, 500_000
# So many characters of what an error repeats are a step.
_COPIED = 50
# A pattern need not be one of Python's.
_NO_FORMATS = FormatChecker(())
# Keywords that are not judged.
_LEFT_OUT = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")


class TooMuch(Exception):
    """It would take too long to tell whether the arguments are right."""


class Judge:
    """What holds values against one schema, written in `dialect`. Raises `SchemaError`, or `TooMuch`."""

    def __init__(self, dialect: Any, schema: dict[str, Any]) -> None:
        self._left = MOST_OF_SCHEMA
        self._weight = len(json.encode(schema))
        whole = self._bounded(dialect, dialect.TYPE_CHECKER)(dialect.META_SCHEMA, format_checker=_NO_FORMATS)
        for error in whole.iter_errors(schema):
            raise SchemaError.create_from(error)
        # With 0.0 as no integer, so that it is made one.
        integer = dialect.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
        resource = specification_with(dialect.ID_OF(dialect.META_SCHEMA)).create_resource(schema)
        uri = resource.id() or ""
        # No reference is ever fetched from the network, and what they may lead to is looked for once.
        resolver = REGISTRY.with_resource(uri, resource).crawl().resolver(uri)
        self._validator = self._bounded(dialect, integer)(schema, _resolver=resolver)

    def begin(self, value: Any) -> None:
        """What comes is about this value, as it is or mended."""
        self._left = MOST_STEPS
        self._weight = len(json.encode(value))

    def errors(self, value: Any) -> Iterator[ValidationError]:
        """What the schema has against it. Raises `TooMuch`."""
        yield from self._validator.iter_errors(value)

    def _bounded(self, dialect: Any, types: Any) -> Any:
        """The dialect, in which each step is counted."""
        applicable = dialect._APPLICABLE_VALIDATORS

        def counted(schema: Any) -> Any:
            self._spend(1 + len(schema))
            return applicable(schema)

        keywords = {name: self._counting(check) for name, check in dialect.VALIDATORS.items()}
        for name in _LEFT_OUT:
            keywords.pop(name, None)
        keywords["uniqueItems"] = self._counting(_unique)
        keywords["additionalProperties"] = self._counting(_beside_known(dialect))
        bounded: Any = create(
            dialect.META_SCHEMA,
            keywords,
            type_checker=types,
            id_of=dialect.ID_OF,
            applicable_validators=counted,
        )
        # A schema inside may name another dialect: the library's own would not count.
        bounded.evolve = attrs.evolve
        return bounded

    def _counting(self, check: Callable[..., Iterable[ValidationError] | None]) -> Callable[..., Any]:
        def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            self._spend(1 + _size(value) + _size(instance))
            for error in check(validator, value, instance, schema) or ():
                # An error says what it is about.
                length = (
                    len(instance) if isinstance(instance, str) else self._weight if _size(instance) else 0
                )
                self._spend(1 + length // _COPIED)
                yield error

        return checked

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooMuch


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Items that are written alike; the library compares each with each."""
    if wanted is not True or not isinstance(instance, list):
        return
    if len({json.encode(item, order="sorted") for item in instance}) < len(instance):
        yield ValidationError("some of the items are there twice")


def _beside_known(dialect: Any) -> Callable[..., Iterable[ValidationError] | None]:
    """`additionalProperties`; what patterns would allow is not known."""
    check: Callable[..., Iterable[ValidationError] | None] = dialect.VALIDATORS["additionalProperties"]

    def beside(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[ValidationError] | None:
        return () if "patternProperties" in schema else check(validator, value, instance, schema)

    return beside
