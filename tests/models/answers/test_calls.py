"""Tool calls in pieces, as servers cut and number them."""

from typing import Any

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.answers.calls import MAX_CALLS, MAX_SIZE, CallCollector
from llamaproxy.models.upstream.sse import TooLongError

from .hearing import DONE, delta, finish, hear, sse

F, G = '{"x":1}', '{"y":"}{"}'

# Pieces as (index, id, name, arguments) -> calls as (name, arguments).
Piece = tuple[int | None, str, str, Any]
CALLS: dict[str, tuple[list[Piece], list[tuple[str, str]]]] = {
    "in pieces": ([(0, "a", "f", ""), (0, "", "", '{"x"'), (0, "", "", ":1}")], [("f", F)]),
    "in turns": (
        [(0, "a", "f", ""), (1, "b", "g", ""), (0, "", "", F), (1, "", "", G)],
        [("f", F), ("g", G)],
    ),
    "whole, under one index and without ids": ([(0, "", "f", F), (0, "", "g", G)], [("f", F), ("g", G)]),
    "whole, of one tool, under one index": ([(0, "", "f", F), (0, "", "f", G)], [("f", F), ("f", G)]),
    "whole and the same twice": ([(0, "", "f", F), (0, "", "f", F)], [("f", F), ("f", F)]),
    "without arguments, under one index": (
        [(0, "", "f", "{}"), (0, "", "f", {})],
        [("f", "{}"), ("f", "{}")],
    ),
    "without index or ids": ([(None, "", "f", F), (None, "", "g", G)], [("f", F), ("g", G)]),
    "without anything but names": (
        [(None, "", "f", None), (None, "", "g", None)],
        [("f", "{}"), ("g", "{}")],
    ),
    "new ids under one index": ([(0, "a", "f", ""), (0, "b", "g", F)], [("f", "{}"), ("g", F)]),
    "another id for each piece": ([(0, "a", "f", ""), (0, "b", "", '{"x"'), (0, "c", "", ":1}")], [("f", F)]),
    "one id, then no id": ([(None, "a", "f", ""), (None, "", "", F)], [("f", F)]),
    "one id for several": ([(None, "a", "f", F), (None, "a", "g", G)], [("f", F), ("g", G)]),
    "an id before the name": ([(0, "a", "", ""), (0, "", "f", ""), (0, "", "", F)], [("f", F)]),
    "another id with the name": ([(0, "a", "", ""), (0, "b", "f", F)], [("f", F)]),
    "arguments before the name": ([(0, "a", "", '{"x"'), (0, "", "f", ":1}")], [("f", F)]),
    "a name in pieces": ([(0, "a", "fi", ""), (0, "", "les", ""), (0, "", "", F)], [("files", F)]),
    "a name in pieces, without ids": ([(0, "", "fi", ""), (0, "", "les", F)], [("files", F)]),
    "a name in each piece": ([(0, "a", "f", '{"x"'), (0, "a", "f", ":1}")], [("f", F)]),
    "a name in each piece, without ids": ([(0, "", "f", '{"x"'), (0, "", "f", ":1}")], [("f", F)]),
    "a brace in a text, and the name once more": (
        [(0, "", "f", '{"x":"}'), (0, "", "f", '\\"}'), (0, "", "f", '"}')],
        [("f", '{"x":"}\\"}"}')],
    ),
    "once more at the end": ([(0, "a", "f", '{"x"'), (0, "a", "", ":1}"), (0, "a", "f", F)], [("f", F)]),
    "an empty object in the place of arguments": ([(0, "a", "f", {}), (0, "", "", F)], [("f", F)]),
    "arguments as an object": ([(0, "a", "f", {"x": 1})], [("f", F)]),
    "arguments as a list": ([(0, "a", "f", [{"x": 1}])], [("f", '[{"x":1}]')]),
    "an id and nothing else": ([(0, "a", "f", F), (1, "b", "", "")], [("f", F)]),
    "nothing at all": ([(0, "", "", None)], []),
    "no name": ([(0, "a", "", F)], [("", F)]),
}


class CallTests(SynchronousTestCase):
    def test_pieces_become_the_calls_that_were_meant(self) -> None:
        for name, (pieces, expected) in CALLS.items():
            calls = CallCollector()
            for piece in pieces:
                calls.add(*piece)
            self.assertEqual([(call.name, call.arguments) for call in calls.finished()], expected, name)

    def test_calls_are_the_same_out_of_frames(self) -> None:
        for name, (pieces, expected) in CALLS.items():
            frames = [
                delta(
                    tool_calls=[
                        {
                            "index": index,
                            "id": call_id or None,
                            "function": {"name": called or None, "arguments": text},
                        }
                    ]
                )
                for index, call_id, called, text in pieces
            ]
            heard = hear("OPENAI", sse(*frames, finish("tool_calls")), DONE)
            self.assertEqual(heard.calls, expected, name)

    def test_odd_fields_of_a_piece_are_read(self) -> None:
        odd: tuple[Any, ...] = (
            {"tool_calls": [{"index": "0", "id": 7, "function": {"name": "f", "arguments": F}}]},
            {"tool_calls": [{"index": 0.0, "function": {"name": "f", "arguments": F}, "type": None}]},
            {"tool_calls": {"index": 0, "id": "a", "function": {"name": "f", "arguments": F}}},
            {"tool_calls": [{"id": "a", "name": "f", "arguments": F}]},
            {"tool_calls": [None, 5, {"id": "a", "function": {"name": "f", "arguments": F}}]},
            {"function_call": {"name": "f", "arguments": F}},
        )
        for fields in odd:
            later = delta(tool_calls=[{"index": 0, "function": None}])
            heard = hear("OPENAI", sse(delta(**fields), later, finish()), DONE)
            self.assertEqual((heard.calls, heard.finish), ([("f", F)], "tool_calls"), fields)

    def test_old_function_call_comes_in_pieces(self) -> None:
        pieces = ({"name": "f", "arguments": ""}, {"arguments": '{"x"'}, {"arguments": ":1}"})
        frames = [delta(function_call=piece) for piece in pieces]
        self.assertEqual(hear("OPENAI", sse(*frames, finish("function_call")), DONE).calls, [("f", F)])

    def test_ids_are_the_servers_or_new(self) -> None:
        calls = CallCollector()
        calls.add(0, "a", "f", F)
        calls.add(0, "", "g", G)
        first, second = (call.id for call in calls.finished())
        self.assertEqual(first, "a")
        self.assertRegex(second, "^call_[0-9a-f]{16}$")

    def test_arguments_are_bounded(self) -> None:
        for piece in ("x" * 100_000, "x", ""):
            calls = CallCollector()
            calls.add(0, "a", "f", "{")
            with self.assertRaisesRegex(TooLongError, f"tool calls of more than {MAX_SIZE} bytes"):
                for _ in range(MAX_SIZE // (len(piece) + 64) + 2):
                    calls.add(0, "", "", piece)

    def test_number_of_calls_is_bounded(self) -> None:
        calls = CallCollector()
        with self.assertRaisesRegex(TooLongError, f"more than {MAX_CALLS} tool calls"):
            for number in range(MAX_CALLS + 1):
                calls.add(number, "", "f", F)

    def test_name_in_each_of_many_pieces_costs_one_look_at_each(self) -> None:
        calls = CallCollector()
        calls.add(0, "", "f", '{"x":"')
        for _ in range(20_000):
            calls.add(0, "", "f", "}")
        calls.add(0, "", "f", '"}')
        ((name, arguments),) = ((call.name, call.arguments) for call in calls.finished())
        self.assertEqual((name, len(json.decode(arguments)["x"])), ("f", 20_000))
