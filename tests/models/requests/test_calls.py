"""Calls of any vendor's model, as any other takes them."""

import re

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.requests.calls import NO_RESULT, common_id, paired, short_id, valid_name
from llamaproxy.seams.arguments import arguments_object, arguments_text
from llamaproxy.seams.types import Message, ToolCall

ASK = Message(role="user", content="what time is it?")
# Ids as models and servers make them.
IDS = (
    "call_0", "call_0", "functions.files:0", "toolu_01A", "chatcmpl-tool-0123456789abcdef0123456789abcdef", "",
    "a" * 100, "\u00e9\ud83d", "call 1", "abcDEF123", "123456789", "call_0123456789abcdef",
)  # fmt: skip


def called(*ids: str, name: str = "clock") -> Message:
    return Message(
        role="assistant",
        content="",
        tool_calls=tuple(ToolCall(id=each, name=name, arguments="{}") for each in ids),
    )


def result(call_id: str, content: str = "noon") -> Message:
    return Message(role="tool", content=content, tool_call_id=call_id)


def rounds(messages: list[Message]) -> list[object]:
    """Calls as their ids, results as (id, content), and roles."""
    shown: list[object] = []
    for message in messages:
        if message.tool_calls:
            shown.append([call.id for call in message.tool_calls])
        else:
            shown.append((message.tool_call_id, message.content) if message.role == "tool" else message.role)
    return shown


class NameTests(SynchronousTestCase):
    def test_names_are_what_every_server_takes_and_stay_apart(self) -> None:
        valid = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
        names = (
            "files",
            "functions.files",
            "web.search",
            "",
            "1st",
            "-x",
            "\u00fc",
            "a b",
            "x" * 64,
            "x" * 70,
            "x" * 71,
        )
        for name in names:
            self.assertRegex(valid_name(name), f"^{valid.pattern}$", name)
        self.assertEqual(valid_name("mcp_files-read"), "mcp_files-read")
        self.assertNotEqual(valid_name("x" * 70), valid_name("x" * 71))


class IdTests(SynchronousTestCase):
    def test_ids_fit_their_receiver_and_are_unique_in_the_whole(self) -> None:
        history = [
            each for call_id in IDS for each in (ASK, called(call_id), result(call_id, f"of {call_id}"))
        ]
        for make_id, pattern in ((common_id, r"^[A-Za-z0-9_-]{1,40}$"), (short_id, r"^[A-Za-z0-9]{9}$")):
            made = paired(history, make_id)
            ids = [call.id for message in made for call in message.tool_calls]
            self.assertEqual(len(set(ids)), len(IDS))
            for call_id in ids:
                self.assertRegex(call_id, pattern)
            answered = [(message.tool_call_id, message.content) for message in made if message.role == "tool"]
            self.assertEqual(answered, [(new, f"of {old}") for new, old in zip(ids, IDS, strict=True)])

    def test_id_that_fits_stays_as_it_is(self) -> None:
        for make_id, fits in ((common_id, "toolu_1"), (short_id, "abcDEF123")):
            self.assertEqual(rounds(paired([ASK, called(fits), result(fits)], make_id))[1], [fits])

    def test_ids_are_the_same_from_request_to_request(self) -> None:
        history = [ASK, called("functions.x:0"), result("functions.x:0")]
        longer = [*history, ASK, called("functions.x:0"), result("functions.x:0")]
        self.assertEqual(paired(history), paired(longer)[:3])


class PairTests(SynchronousTestCase):
    def test_every_call_has_its_result_and_every_result_its_call(self) -> None:
        table: tuple[tuple[list[Message], list[object]], ...] = (
            ([called("a", "b"), result("b", "2"), result("a", "1")], [["a", "b"], ("a", "1"), ("b", "2")]),
            ([called("a"), ASK, result("a")], [["a"], ("a", "noon"), "user"]),
            ([called("a"), ASK], [["a"], ("a", NO_RESULT), "user"]),
            ([ASK, result("a"), ASK], ["user", ["a"], ("a", "noon"), "user"]),
            ([called("a"), result("a"), result("a", "again")], [["a"], ("a", "noon"), [...], (..., "again")]),
            ([called("a"), called("a"), result("a")], [["a"], ("a", NO_RESULT), [...], (..., "noon")]),
            ([called("a", "a"), result("a", "1"), result("a", "2")], [["a", ...], ("a", "1"), (..., "2")]),
        )
        for history, wanted in table:
            made = rounds(paired(history))
            self.assertEqual(len(made), len(wanted), wanted)
            for got, expected in zip(made, wanted, strict=True):
                if isinstance(got, str) or isinstance(expected, str):
                    self.assertEqual(got, expected)
                else:
                    pairs = zip(list(got), list(expected), strict=True)  # type: ignore[call-overload]
                    self.assertTrue(all(want in (have, ...) for have, want in pairs), (got, expected))

    def test_many_calls_of_one_id_are_told_apart_quickly(self) -> None:
        history = [each for _ in range(3000) for each in (called("call_0"), result("call_0"))]
        self.assertEqual(len({call.id for message in paired(history) for call in message.tool_calls}), 3000)


class ArgumentTests(SynchronousTestCase):
    def test_arguments_go_out_as_an_object_whatever_was_written(self) -> None:
        for written, wanted in (
            ('{"operation":"wri', {}),
            ("", {}),
            ("null", {}),
            ("[]", {}),
            ("7", {}),
            ("not json", {}),
            ('"{\\"a\\": 1}"', {"a": 1}),
            ('"\\"{\\\\\\"a\\\\\\": 1}\\""', {"a": 1}),
            ('[{"a": 1}]', {"a": 1}),
            ('[{"a": 1}, {"b": 2}]', {}),
            ('{"a": "\\ud83d"}', {"a": "\ufffd"}),
            ('{"a": "\ud83d"}', {"a": "\ufffd"}),
            ('{"a": "x\ny"}', {"a": "x\ny"}),
            ("[" * 100_000, {}),
            ('{"a":' * 100_000, {}),
        ):
            self.assertEqual(arguments_object(written), wanted, written[:40])
            self.assertEqual(json.decode(arguments_text(written)), wanted, written[:40])

    def test_an_object_goes_out_as_it_was_written(self) -> None:
        written = '{ "a": 1.0, "b": 12345678901234567890123 }'
        self.assertEqual(arguments_text(written), written)
