"""Schemas of all drafts and makers, as model servers take them."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.requests.schemas import completed, plain
from tests.vendors.vendor import incomplete

TEXT: dict[str, Any] = {"type": "string"}


def prop(schema: Any) -> Any:
    """A property's schema after completion."""
    return completed({"type": "object", "properties": {"a": schema}})["properties"]["a"]


class CompletedTests(SynchronousTestCase):
    def test_the_whole_is_an_object_with_properties_and_nothing_else_at_the_top(self) -> None:
        nothing = {"type": "object", "properties": {}}
        for written, wanted in (
            ({"type": "object"}, nothing),
            ({}, nothing),
            (None, nothing),
            (True, nothing),
            ({"type": ["object", "null"]}, nothing),
            ({"type": "object", "properties": None}, nothing),
            ({"type": "object", "required": []}, nothing),
            ({"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "type": "object"}, nothing),
            ({"properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}),
            (
                {"type": "object", "properties": {"a": TEXT}, "required": ["a", "b", "a", 7]},
                {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
            ),
            (
                {"type": "object", "properties": {"a": {**TEXT, "required": True}}},
                {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
            ),
        ):
            self.assertEqual(completed(written), wanted)

    def test_forms_at_the_top_are_united(self) -> None:
        one = {"properties": {"a": TEXT, "c": TEXT}, "required": ["a", "c"]}
        other = {"properties": {"b": TEXT, "c": {"type": "integer"}}, "required": ["b", "c"]}
        for word, required in (("anyOf", ["c"]), ("oneOf", ["c"]), ("allOf", ["a", "c", "b"])):
            made = completed({"type": "object", word: [one, other]})
            self.assertEqual(
                made["properties"], {"a": TEXT, "b": TEXT, "c": {"anyOf": [TEXT, {"type": "integer"}]}}
            )
            self.assertEqual(made["required"], required)
            self.assertEqual(set(made), {"type", "properties", "required"})

    def test_reference_at_the_top_is_followed(self) -> None:
        inner = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
        made = completed({"$ref": "#/$defs/In", "$defs": {"In": inner}})
        self.assertEqual((made["properties"], made["required"]), ({"a": TEXT}, ["a"]))
        self.assertNotIn("$ref", made)

    def test_parts_are_completed(self) -> None:
        for written, wanted in (
            ({"type": "array"}, {"type": "array", "items": {}}),
            ({"type": "array", "items": True}, {"type": "array", "items": {}}),
            ({"type": "object"}, {"type": "object", "properties": {}}),
            ({"type": "array", "items": [TEXT, {"type": "integer"}]},
             {"type": "array", "items": {"anyOf": [TEXT, {"type": "integer"}]}}),
            ({"type": "array", "items": [TEXT, TEXT], "additionalItems": False}, {"type": "array", "items": TEXT}),
            ({"prefixItems": [TEXT], "items": False}, {"type": "array", "items": TEXT}),
            ({"type": "array", "items": {"type": "array"}},
             {"type": "array", "items": {"type": "array", "items": {}}}),
            ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, {"type": "number", "exclusiveMinimum": 0}),
            ({"type": "number", "minimum": 0, "exclusiveMinimum": False}, {"type": "number", "minimum": 0}),
            ({"type": "int"}, {"type": "integer"}),
            ({"type": "any"}, {}),
            ({"type": "foo"}, {}),
            ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
            ({"enum": []}, {}),
            ({"anyOf": []}, {}),
            ({"anyOf": [{"type": "array"}, True]}, {"anyOf": [{"type": "array", "items": {}}, {}]}),
            (True, {}),
            (None, {}),
            ("text", {}),
            ({"$ref": "#/$defs/Gone"}, {}),
            ({"$ref": "http://127.0.0.1:9/x.json"}, {}),
            ({"type": "object", "additionalProperties": {"type": "array"}},
             {"type": "object", "additionalProperties": {"type": "array", "items": {}}, "properties": {}}),
        ):  # fmt: skip
            self.assertEqual(prop(written), wanted, written)

    def test_a_property_may_have_any_name(self) -> None:
        names = ("id", "$schema", "type", "items", "required", "properties", "anyOf")
        made = completed({"type": "object", "properties": dict.fromkeys(names, TEXT)})
        self.assertEqual(list(made["properties"]), list(names))

    def test_definitions_stay_for_those_that_name_them(self) -> None:
        node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
        made = completed(
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
        )
        self.assertEqual(made["properties"]["a"], {"$ref": "#/$defs/Node"})
        self.assertEqual(made["$defs"]["Node"]["properties"]["next"], {"$ref": "#/$defs/Node"})

    def test_what_is_built_to_explode_does_not(self) -> None:
        knot = {
            "anyOf": [{"$ref": "#"}] * 50,
            "allOf": [{"$ref": "#"}] * 50,
            "properties": {"a": {"$ref": "#"}},
        }
        deep: Any = TEXT
        for _ in range(5000):
            deep = {"type": "array", "items": deep}
        wide = {"type": "array", "items": [{"const": at} for at in range(20_000)]}
        for schema in (knot, {"properties": {"a": deep}}, {"properties": {"a": wide}}):
            made = completed(schema)
            self.assertEqual(incomplete(made), "")
            self.assertEqual(incomplete(plain(made)), "")


class PlainTests(SynchronousTestCase):
    def test_only_words_that_everybody_knows_are_left(self) -> None:
        node = {"type": "object", "properties": {"name": TEXT}, "additionalProperties": False}
        made = plain(
            completed(
                {
                    "type": "object",
                    "$defs": {"Node": node},
                    "additionalProperties": False,
                    "properties": {
                        "node": {"$ref": "#/$defs/Node", "description": "One."},
                        "maybe": {"type": ["null", "integer"], "exclusiveMinimum": 0},
                        "either": {"anyOf": [{"type": "null"}, {"type": "array"}]},
                        "one": {"enum": ["a", "b"], "default": "a"},
                        "odd": {"enum": [1, None]},
                    },
                    "required": ["node"],
                }
            )
        )
        self.assertEqual(
            made,
            {
                "type": "object",
                "properties": {
                    "node": {"type": "object", "properties": {"name": TEXT}, "description": "One."},
                    "maybe": {"type": "integer"},
                    "either": {"type": "array", "items": {"type": "string"}},
                    "one": {"type": "string", "enum": ["a", "b"]},
                    "odd": TEXT,
                },
                "required": ["node"],
            },
        )
