r"""Half an emoji, as `\ud83d` in JSON: from every kind of server, and back to it."""

from llamaproxy.seams.types import Message, ModelRequest, Text, ToolCall

from ..fakes import DONE, Call, finish
from .test_upstream import UpstreamTestCase


def openai(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % text.encode()


def ollama(text: str) -> bytes:
    return b'{"message":{"content":"%b"}}\n' % text.encode()


def anthropic(text: str) -> bytes:
    delta = b'{"type":"text_delta","text":"%b"}' % text.encode()
    return b'data: {"type":"content_block_delta","index":0,"delta":%b}\n\n' % delta


END = {
    "OPENAI": finish() + DONE,
    "OLLAMA": b'{"done":true}\n',
    "ANTHROPIC": b'data: {"type":"message_stop"}\n\n',
}
SAYS = {"OPENAI": openai, "OLLAMA": ollama, "ANTHROPIC": anthropic}
HALVES = ("a", "\\ud83d", "\\ude00", "b \\uD83D", "\\ud83d\\ude00", "\\\\ud83d", "end")


class HalfEmojiTests(UpstreamTestCase):
    def test_half_an_emoji_passes_and_the_turn_goes_on(self) -> None:
        for kind, says in SAYS.items():
            for plain in (False, True):
                call, connection = self.call(kind=kind, plain_http=plain)
                connection.begin()
                for text in HALVES:
                    connection.send(says(text))
                connection.send(END[kind])
                self.result_of(call)
                heard = [delta for deltas in call.listener.segments for delta in deltas]
                expected = ["a", "\ud83d", "\ude00", "b \ud83d", "😀", "\\ud83d", "end"]
                self.assertEqual(heard, [Text(text) for text in expected], kind)

    def test_what_is_no_json_besides_stays_an_error(self) -> None:
        for kind, says in SAYS.items():
            for text in ("\\ud83d\\x", '\\ud83d" "'):
                call, connection = self.call(kind=kind)
                connection.begin()
                connection.send(says(text))
                self.assertIn("sent what cannot be read: ", str(self.error_of(call)), kind)

    def test_frame_of_another_shape_is_passed_over(self) -> None:
        call, connection = self.streaming()
        connection.send(b'data: {"id":"\\ud83d","choices":7}\n\n' + finish() + DONE)
        self.assertEqual(self.result_of(call).finish_reason, "stop")

    def test_arguments_of_a_call_are_whole_text(self) -> None:
        call, connection = self.call()
        connection.begin()
        for arguments in (r"{\"x\":\"\ud83d", r"\ude00 \ud83d\"}"):
            connection.send(
                b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f",'
                b'"arguments":"%b"}}]}}]}\n\n' % arguments.encode()
            )
        connection.send(finish("tool_calls") + DONE)
        (made,) = self.result_of(call).tool_calls
        self.assertEqual(made.arguments, '{"x":"😀 \ufffd"}')

    def test_arguments_as_an_object_are_whole_text(self) -> None:
        call, connection = self.call(kind="OLLAMA")
        connection.begin()
        connection.send(
            b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"x":"\\ud83d"}}}]}}\n{"done":true}\n'
        )
        (made,) = self.result_of(call).tool_calls
        self.assertEqual(made.arguments.replace(" ", ""), '{"x":"\ufffd"}')

    def test_model_gets_whole_text_in_its_next_prompt(self) -> None:
        messages = [
            Message(role="user", content="hi"),
            Message(
                role="assistant",
                content="\ud83d\ude00 \ud83d",
                tool_calls=(ToolCall(id="c", name="f", arguments="{}"),),
            ),
            Message(role="tool", content="ok", tool_call_id="c"),
        ]
        for kind in SAYS:
            Call(self.network, ModelRequest(messages=messages), kind=kind)
            body = str(self.network.accept().body)
            self.assertIn("😀 \ufffd", body, kind)
