"""Arguments as models write them: mended where that can mean one thing only, and refused with the reason."""

from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.calls.arguments import BadArguments, BrokenSchema, decoded
from llamaproxy.agent.calls.terms import Terms

LARGEST = 9223372036854775807


def terms(**properties: Any) -> Terms:
    required = {"required": ["must"]} if "must" in properties else {}
    whole = {"n": {"type": "integer"}}
    return Terms({"type": "object", "properties": properties, "$defs": whole, **required})


class FitTests(SynchronousTestCase):
    def test_what_can_mean_one_thing_only_is_mended(self) -> None:
        whole, number, truth = {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
        words = {"type": "array", "items": {"type": "string"}}
        point = {"type": "object", "properties": {"x": whole}}
        maybe = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
        for schema, given, wanted in (
            (whole, 0.0, 0),
            (whole, -3.0, -3),
            (whole, "5", 5),
            (whole, " 5.0 ", 5),
            (whole, str(LARGEST), LARGEST),
            (number, "1.5", 1.5),
            (number, "-2", -2),
            (number, 2, 2),
            (truth, "true", True),
            (truth, "False", False),
            (words, "one", ["one"]),
            (words, '["one", "two"]', ["one", "two"]),
            ({"type": "array", "items": whole}, '["1", 2.0]', [1, 2]),
            ({"type": "array"}, {"a": 1}, [{"a": 1}]),
            (point, '{"x": "1"}', {"x": 1}),
            (maybe, "7", 7),
            (maybe, None, None),
            ({"type": ["integer", "null"]}, "7", 7),
            ({"oneOf": [point, {"type": "null"}]}, {"x": "1"}, {"x": 1}),
            ({"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}, "1", 1),
            ({"enum": ["read", "write"]}, "Read", "read"),
            ({"type": "array", "prefixItems": [whole, truth]}, ["1", "true"], [1, True]),
            ({}, 2.0, 2.0),
            ({}, "5", "5"),
            ({"type": "string"}, "5", "5"),
            ({"type": ["string", "integer"]}, "5", "5"),
        ):
            fitted = terms(a=schema).fitted({"a": given})
            self.assertEqual(fitted, {"a": wanted}, f"{given!r} for {schema}")
            self.assertIs(type(fitted["a"]), type(wanted), f"{given!r} for {schema}")

    def test_nothing_is_as_good_as_absent(self) -> None:
        whole = {"type": "integer"}
        for nothing in (None, "null", "None", ""):
            self.assertEqual(terms(a=whole).fitted({"a": nothing}), {})
            with self.assertRaisesRegex(BadArguments, "'must' is a required property"):
                terms(must=whole).fitted({"must": nothing})
        self.assertEqual(terms(a={"enum": ["x"]}).fitted({"a": None}), {})
        self.assertEqual(terms(a={"type": "string"}).fitted({"a": ""}), {"a": ""})
        self.assertEqual(
            terms(a={"type": "object", "properties": {"b": whole}}).fitted({"a": {"b": None}}), {"a": {}}
        )
        closed = Terms({"type": "object", "properties": {}, "additionalProperties": False})
        self.assertEqual(closed.fitted({"other": None}), {})

    def test_what_could_mean_several_things_is_refused(self) -> None:
        for schema, given in (
            ({"type": "integer"}, "five"),
            ({"type": "integer"}, 0.5),
            ({"type": "integer"}, True),
            ({"type": "boolean"}, "yes"),
            ({"type": "string"}, 5),
            ({"type": "string"}, ["a"]),
            ({"type": "string"}, {"a": 1}),
            ({"type": "object"}, "a"),
            ({"type": "number"}, "1e999"),
            ({"enum": ["Read", "READ"]}, "read"),
            ({"type": "array", "items": {"type": "integer"}}, "a, b"),
        ):
            with self.assertRaisesRegex(BadArguments, "^a"):
                terms(a=schema).fitted({"a": given})

    def test_huge_numbers_have_a_bound_wherever_they_stand(self) -> None:
        for given in (LARGEST + 1, -LARGEST - 2, [1, LARGEST + 1], {"b": {"c": LARGEST + 1}}):
            with self.assertRaisesRegex(
                BadArguments, f"a: whole numbers go from -9223372036854775808 to {LARGEST}"
            ):
                terms(a={}).fitted({"a": given})
        with self.assertRaisesRegex(BadArguments, "whole numbers"):
            terms(a={"type": "integer"}).fitted({"a": 1e300})
        self.assertEqual(terms(a={}).fitted({"a": LARGEST}), {"a": LARGEST})


class DialectTests(SynchronousTestCase):
    def test_a_schema_is_judged_by_the_dialect_that_it_names(self) -> None:
        pair = {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}
        for named in (
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            {"$schema": "https://json-schema.org/draft-07/schema"},
            {"$schema": "http://json-schema.org/draft-04/schema#"},
            {},
        ):
            tool = Terms({**named, "type": "object", "properties": {"a": pair}})
            self.assertEqual(tool.fitted({"a": ["1", "b"]}), {"a": [1, "b"]})
            with self.assertRaisesRegex(BadArguments, r"a\[0\]"):
                tool.fitted({"a": ["x", "b"]})
        newest = "https://json-schema.org/draft/2020-12/schema"
        with self.assertRaises(BrokenSchema):
            Terms({"$schema": newest, "type": "object", "properties": {"a": pair}})
        with self.assertRaises(BrokenSchema):
            Terms(None)

    def test_a_pattern_that_only_other_languages_can_read_is_not_checked(self) -> None:
        self.assertEqual(terms(a={"pattern": r"^\p{L}+$"}).fitted({"a": "b"}), {"a": "b"})

    def test_nothing_is_fetched_for_a_schema(self) -> None:
        with self.assertRaisesRegex(BadArguments, "cannot be followed"):
            terms(a={"$ref": "http://127.0.0.1:9/schema.json"}).fitted({"a": 1})


# Each of them twice in the one before it: two to the thirtieth ways to the last.
DOUBLED = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)} | {"d30": {}}


class BoundTests(SynchronousTestCase):
    """Schemas and arguments that together would take hours; a test that hangs here has failed."""

    def test_what_takes_too_long_to_judge_is_refused(self) -> None:
        many = ["x"] * 100_000
        for schema, given in (
            ({"$ref": "#/$defs/d0"}, {}),
            ({"allOf": [{"$ref": "#/$defs/d0"}], "unevaluatedProperties": False}, {}),
            ({"items": {"enum": list(range(500))}}, many),
            ({"items": {"required": [f"r{n}" for n in range(500)]}}, [{}] * 20_000),
            ({"items": {f"unknown{n}": n for n in range(500)}}, many),
            ({"allOf": [{"items": {}}] * 500}, many),
            ({"anyOf": [{"type": "string", "minLength": n} for n in range(500)]}, {"a": "x" * 1_000_000}),
        ):
            tool = Terms({"type": "object", "properties": {"a": schema}, "$defs": DOUBLED})
            with self.assertRaisesRegex(BadArguments, "too large to be judged"):
                tool.fitted({"a": given})

    def test_no_pattern_of_a_schema_is_run(self) -> None:
        slow = {"pattern": "^(a+)+$"}
        trap = "a" * 50 + "!"
        for schema, given in (
            (slow, trap),
            ({"$schema": "http://json-schema.org/draft-07/schema#", **slow}, trap),
            ({"patternProperties": {"^(a+)+$": False}, "additionalProperties": False}, {trap: 1}),
            ({"propertyNames": slow}, {trap: 1}),
        ):
            self.assertEqual(terms(a=schema).fitted({"a": given}), {"a": given})

    def test_items_are_not_compared_each_with_each(self) -> None:
        tool = terms(a={"type": "array", "uniqueItems": True})
        different = [{"n": n} for n in range(50_000)]
        self.assertEqual(tool.fitted({"a": different}), {"a": different})
        with self.assertRaisesRegex(BadArguments, "twice"):
            tool.fitted({"a": [{"n": 1, "m": 2}, {"m": 2, "n": 1}]})

    def test_large_arguments_of_a_plain_schema_are_judged(self) -> None:
        tool = terms(
            a={"type": "array", "items": {"type": "string"}}, n={"type": "integer"}, t={"type": "string"}
        )
        given = {"a": ["x"] * 10_000, "n": "5", "t": "x" * 1_000_000}
        self.assertEqual(tool.fitted(given)["n"], 5)

    def test_a_schema_that_takes_too_long_to_look_through_is_broken(self) -> None:
        properties = {f"p{n}": {"type": "string"} for n in range(20_000)}
        for schema in (
            {"type": "object", "properties": properties},
            {"type": "object", "required": [{}] * 50_000},
            {"$id": "http://[", "type": "object"},
        ):
            with self.assertRaises(BrokenSchema):
                Terms(schema)

    def test_what_the_library_cannot_bear_is_told_in_words(self) -> None:
        deep: dict[str, Any] = {}
        for _ in range(600):
            deep = {"a": deep}
        loop = terms(a={"$ref": "#/properties/a"})
        for judged in (
            partial(terms(a={"multipleOf": 0.1}).fitted, {"a": 10**400}),
            partial(loop.fitted, {"a": 1}),
            partial(Terms({"$defs": {}, "properties": {"a": {"$ref": "#"}}}).fitted, deep),
        ):
            with self.assertRaisesRegex(BadArguments, "cannot be followed"):
                judged()

    def test_a_complaint_is_short_whatever_it_is_about(self) -> None:
        with self.assertRaises(BadArguments) as caught:
            terms(a={"enum": ["x"]}).fitted({"a": "y" * 100_000})
        self.assertLess(len(str(caught.exception)), 600)


class TextTests(SynchronousTestCase):
    def test_an_object_is_read_in_every_way_in_which_models_write_one(self) -> None:
        for text, wanted in (
            ('{"a": 1}', {"a": 1}),
            ("", {}),
            ("null", {}),
            ('"{\\"a\\": 1}"', {"a": 1}),
            ('[{"a": 1}]', {"a": 1}),
            ('{"a": "two\nlines"}', {"a": "two\nlines"}),
            ('{"a": "\\ud83d"}', {"a": "\ufffd"}),
            ('{"a": "\ud83d"}', {"a": "\ufffd"}),
            ('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ):
            self.assertEqual(decoded(text), wanted)

    def test_everything_else_is_told(self) -> None:
        for text in ("{", '{"a": 1} or so', "[1]", "[1, 2]", "7", "[" * 100_000, '{"a": NaN}', "9" * 5000):
            self.assertRaises(BadArguments, decoded, text)
