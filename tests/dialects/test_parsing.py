"""What clients send: well-formed, careless and hostile bodies of both dialects."""

import base64
import json
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects import ollama, ollama_manage, ollama_models, openai
from llamaproxy.dialects.base import ChatRequest
from llamaproxy.seams.errors import BadRequest
from llamaproxy.seams.types import ChatTurn, Image, Options

Parse = Callable[[bytes], ChatRequest]

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(20)).decode()
CHATS: tuple[Parse, ...] = (ollama.parse_chat, openai.parse_chat)


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def chat(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, **more}).encode()


class ParsingCase(SynchronousTestCase):
    def turn(self, parse: Parse, body: bytes) -> ChatTurn:
        turn = parse(body).turn
        assert turn is not None
        return replace(turn, trail=(), shown=())

    def refusal(self, parse: Callable[[bytes], object], body: bytes) -> str:
        error = self.assertRaises(BadRequest, parse, body)
        self.assertNotIn("\n", str(error))
        return str(error)


class ChatTests(ParsingCase):
    """What holds in both dialects."""

    def test_the_last_user_message_is_the_turn(self) -> None:
        for parse in CHATS:
            for messages in [
                [user("hello")],
                [{"role": "system", "content": "s"}, user("old"), {"role": "assistant"}, user("hello")],
                [user("hello"), {"role": "assistant", "content": "a beginning"}],
                [user("hello"), {"role": "tool", "content": "5", "tool_call_id": "c"}],
                [{"role": "Developer", "content": "s"}, {"role": "USER", "content": "hello"}],
                [{"role": "function", "name": "f", "content": None}, user("hello")],
            ]:
                self.assertEqual(self.turn(parse, chat(*messages)), ChatTurn(text="hello"), messages)

    def test_messages_without_an_answer_between_them_are_one_turn(self) -> None:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        for parse in CHATS:
            for messages, texts, images in [
                ([user("Buy milk"), user("and tell me when done")], ["Buy milk", "and tell me when done"], 0),
                ([user("a"), {"role": "assistant", "content": "x"}, user("b"), user("c")], ["b", "c"], 0),
                ([user("a"), {"role": "system", "content": "s"}, user("b")], ["a", "b"], 0),
                ([user("a"), user("  "), user("b")], ["a", "b"], 0),
                ([user("a"), user("<system-reminder>x</system-reminder>")], ["a"], 0),
                ([user([picture]), user("what is it?")], ["what is it?"], 1),
                ([user("a"), user("b"), {"role": "assistant", "content": "so far"}], ["a", "b"], 0),
                # What could not be read was told when it was sent, and an app goes on showing it.
                ([user([{"type": "input_audio"}]), user("hello")], ["hello"], 0),
            ]:
                turn = self.turn(parse, chat(*messages))
                said = [*(each.text for each in turn.unanswered), turn.text]
                self.assertEqual((said, len(turn.images)), (texts, images), messages)

    def test_wish_of_an_app_for_the_rest_of_an_answer_is_no_message(self) -> None:
        wish = "The connection dropped mid-response. Resume directly — no apology."
        for parse in CHATS:
            for content in (wish, [{"type": "text", "text": wish}]):
                cut = chat(user("hello"), {"role": "assistant", "content": "Half an"}, user(content))
                shown = chat(user("hello"), {"role": "assistant", "content": "Half an"})
                self.assertEqual(parse(cut).turn, parse(shown).turn)
            self.assertEqual(self.turn(parse, chat(user(wish))).text, wish)
            about = f"what does this mean: {wish}"
            answer = {"role": "assistant", "content": "Hi."}
            self.assertEqual(self.turn(parse, chat(user("hello"), answer, user(about))).text, about)

    def test_history_is_not_judged(self) -> None:
        odd = {"role": "assistant", "content": {"not": ["text"]}, "images": 5}
        for parse in CHATS:
            self.assertEqual(self.turn(parse, chat(user(7), odd, user("hello"))).text, "hello")

    def test_text_parts_are_joined(self) -> None:
        parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
        for parse in CHATS:
            self.assertEqual(self.turn(parse, chat(user(parts))).text, "one\ntwo")

    def test_pictures_come_as_parts(self) -> None:
        for image_url in ({"url": f"data:image/png;base64,{PNG}", "detail": "low"}, f"DATA:;BASE64,{PNG}"):
            parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": image_url}]
            for parse in CHATS:
                expected = ChatTurn(text="look", images=(Image(PNG, "image/png"),))
                self.assertEqual(self.turn(parse, chat(user(parts))), expected)

    def test_unknown_and_null_fields_are_ignored(self) -> None:
        body = chat(
            user("hello"),
            tools=[{"any": "schema"}],
            options={"num_ctx": None, "x": 1.5},
            format="",
            think="max",
            n=3,
            response_format={"type": "json_object"},
            stream_options=None,
            keep_alive=None,
            metadata={"a": [1]},
        )
        for parse in CHATS:
            self.assertEqual(self.turn(parse, body).text, "hello")

    def test_byte_order_mark_newline_and_duplicate_keys_are_forgiven(self) -> None:
        body = b'\xef\xbb\xbf {"model":"a","model":"b","messages":[{"role":"user","content":"hello"}]}\r\n\n'
        for parse in CHATS:
            self.assertEqual(parse(body).model, "b")

    def test_a_missing_model_is_no_model(self) -> None:
        for parse in CHATS:
            self.assertEqual(parse(b'{"messages":[{"role":"user","content":"x"}]}').model, "")
            self.assertEqual(parse(chat(user("x"), model=None)).model, "")

    def test_half_a_character_is_refused_with_the_place_where_it_stands(self) -> None:
        for escaped, half, before in (
            (r"so \ud83d b", r"\ud83d", "so "),
            (r"so \ud83d\ud83d\ude00", r"\ud83d", "so "),
            (r"so \uD83D\uDE00\uDE00\n", r"\uDE00", r"so \\uD83D\\uDE00"),
            (r"so \ude00\ud83d", r"\ude00", "so "),
            (r"so \\\ud83d\\", r"\ud83d", r"so \\u005c"),
            ("h\u00e9 \\ud800", r"\ud800", "h\u00e9 "),
        ):
            last = b'{"role":"user","content":"!help"}'
            for body in (
                b'{"messages":[{"role":"user","content":"%b"}]}' % escaped.encode(),
                b'{"messages":[{"role":"user","content":"%b"},%b]}' % (escaped.encode(), last),
                b'{"messages":[{"role":"assistant","content":[{"type":"text","text":"%b"}]},%b]}'
                % (escaped.encode(), last),
            ):
                for parse in CHATS:
                    refusal = self.refusal(parse, body)
                    self.assertIn(f"half a character, {half}, stands behind", refusal)
                    self.assertIn(f"{before}'", refusal)

    def test_whole_characters_are_text_however_they_are_escaped(self) -> None:
        for escaped, text in (
            (r"\ud83d\ude00", "\U0001f600"),
            (r"\uD83D\uDE00\n", "\U0001f600\n"),
            (r"\\ud83d", r"\ud83d"),
            (r"\\ud83d\ufffd", "\\ud83d\ufffd"),
        ):
            for parse in CHATS:
                body = b'{"messages":[{"role":"user","content":"%b"}]}' % escaped.encode()
                self.assertEqual(self.turn(parse, body).text, text)

    def test_an_escaped_nul_is_text(self) -> None:
        for parse in CHATS:
            self.assertEqual(self.turn(parse, chat(user("a\0b"))).text, "a\0b")

    def test_bad_bodies_are_refused_with_a_reason(self) -> None:
        hello = b'{"messages":[{"role":"user","content":"hello"}]'
        for body, reason in [
            (b"", "missing request body"),
            (b" \n", "missing request body"),
            (b"\xef\xbb\xbf", "missing request body"),
            (b"hello", "not valid JSON"),
            (hello, "not valid JSON"),
            (hello + b"}}", "not valid JSON"),
            (hello + b',"n":NaN}', "not valid JSON"),
            (b'{"messages":[{"role":"user","content":"a\0b"}]}', "not valid JSON"),
            (hello + b"}\0", "not valid JSON"),
            (b'{"messages":[{"role":"user","content":"\\ud83d', "not valid JSON"),
            (b'{"messages":[{"role":"user","content":"\\ud83d"}]', "not valid JSON"),
            (b'{"messages":[{"role":"user","content":"\xff"}]}', "not valid UTF-8"),
            (b'{"messages":[{"role":"\xc3\x28","content":"x"}]}', "not valid UTF-8"),
            (b"[" * 10_000 + b"]" * 10_000, "request body: expected object, got array"),
            (hello + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested too deeply"),
            (b'{"messages":[{"role":"user","content":"\\ud83d"}],"x":' + b"[" * 10_000, "half a character"),
            (b'{"messages":[{"role":"user","content":' + b"[" * 10_000, "nested too deeply"),
            (b"null", "request body: expected object, got null"),
            (b'"text"', "request body: expected object, got str"),
            (b"{}", "messages: "),
            (b'{"messages":null}', "messages: "),
            (b'{"messages":"hello"}', "messages: expected array | null, got str"),
            (b'{"messages":["hello"]}', "messages[0]: expected object, got str"),
            (b'{"messages":[{"content":"x"}]}', "messages[0]: object missing required field role"),
            (b'{"messages":[{"role":5}]}', "messages[0].role: expected str, got int"),
            (chat({"role": "wizard", "content": "x"}), "messages[0].role: unknown role 'wizard'"),
            (chat({"role": "x" * 300, "content": "x"}), "messages[0].role: expected str of length <= 256"),
            (chat({"role": "system", "content": "x"}), "messages: there is no user message"),
            (chat(user("")), "messages[0].content: the message is empty"),
            (chat(user(" \n")), "messages[0].content: the message is empty"),
            (chat({"role": "user"}), "messages[0].content: the message is empty"),
            (chat(user(None)), "messages[0].content: the message is empty"),
            (chat(user([])), "messages[0].content: the message is empty"),
            (chat(user(5)), "messages[0].content: expected str | array | null, got int"),
            (chat(user({"type": "text"})), "messages[0].content: expected str | array | null, got object"),
            (chat(user(["x"])), "messages[0].content[0]: expected object, got str"),
            (chat(user([{"type": "text", "text": 5}])), "messages[0].content[0].text: expected str"),
            (chat(user([{"type": "video"}])), "messages[0].content[0].type: unknown kind of content 'video'"),
            (chat(user([{"type": "input_audio"}])), "messages[0].content[0]: audio is not understood"),
            (chat(user([{"type": "file"}])), "messages[0].content[0]: files are not understood"),
            (chat(user("x"), stream="yes"), "stream: expected bool | null, got str"),
            (chat(user("x"), model=5), "model: expected str | null, got int"),
            (chat(user("x"), model="m" * 257), "model: expected str of length <= 256"),
        ]:
            for parse in CHATS:
                self.assertIn(reason, self.refusal(parse, body), body[:80])

    def test_bad_pictures_are_refused_with_a_reason(self) -> None:
        for url, reason in [
            ("https://example.org/cat.png", "send the picture itself"),
            ("http://example.org/cat.png", "send the picture itself"),
            ("data:image/png,rawbytes", "a data URL must hold base64"),
            ("data:image/png;base64", "a data URL must hold base64"),
            ("data:image/png;base64,", "not a picture in base64"),
            ("data:image/png;base64,a-b_", "not a picture in base64"),
            ("data:text/plain;base64,aGVsbG8=", "text/plain is not a picture"),
            ("cat.png", "not a picture in base64"),
            ("\u2028", "not a picture in base64"),
            ("", "not a picture in base64"),
        ]:
            for parse in CHATS:
                refusal = self.refusal(parse, chat(user([{"type": "image_url", "image_url": {"url": url}}])))
                self.assertIn(reason, refusal, url)
                self.assertIn("messages[0].content[0].image_url", refusal)


class OllamaTests(ParsingCase):
    def test_streams_unless_told_not_to(self) -> None:
        self.assertTrue(ollama.parse_chat(chat(user("x"))).stream)
        self.assertTrue(ollama.parse_generate(b'{"prompt":"x"}').stream)
        for stream, expected in [(None, True), (True, True), (False, False)]:
            self.assertIs(ollama.parse_chat(chat(user("x"), stream=stream)).stream, expected)
            generate = json.dumps({"prompt": "x", "stream": stream}).encode()
            self.assertIs(ollama.parse_generate(generate).stream, expected)

    def test_images_are_base64_with_or_without_a_prefix(self) -> None:
        folded = f"{PNG[:10]}\n{PNG[10:]}"
        body = chat(user("", images=[JPEG, PNG, f"data:image/gif;base64,{PNG}", folded, "AAAAAAAA"]))
        png = Image(PNG, "image/png")
        self.assertEqual(
            self.turn(ollama.parse_chat, body).images,
            (Image(JPEG, "image/jpeg"), png, png, png, Image("AAAAAAAA", "image/jpeg")),
        )

    def test_bad_images_are_refused(self) -> None:
        for images, reason in [
            ("abc", "messages[0].images: expected array | null, got str"),
            ([5], "messages[0].images[0]: expected str, got int"),
            ([PNG, "not base64!"], "messages[0].images[1]: this is not a picture in base64"),
        ]:
            self.assertIn(reason, self.refusal(ollama.parse_chat, chat(user("x", images=images))))
        self.assertIn("images[0]: ", self.refusal(ollama.parse_generate, b'{"prompt":"x","images":["?"]}'))

    def test_absent_content_beside_a_picture_is_a_turn(self) -> None:
        message = {"role": "user", "images": [JPEG]}
        expected = ChatTurn(text="", images=(Image(JPEG),))
        self.assertEqual(self.turn(ollama.parse_chat, chat(message)), expected)

    def test_no_messages_load_or_unload(self) -> None:
        for keep_alive, expected in [
            (None, "load"),
            ("5m", "load"),
            (300, "load"),
            (-1, "load"),
            ("-1", "load"),
            (0.5, "load"),
            ("0.5s", "load"),
            ("", "load"),
            ("soon", "load"),
            (0, "unload"),
            (0.0, "unload"),
            ("0", "unload"),
            ("0s", "unload"),
            ("0m0s", "unload"),
        ]:
            request = ollama.parse_chat(chat(keep_alive=keep_alive))
            self.assertEqual((request.turn, request.lifecycle), (None, expected), keep_alive)
            for prompt in ({}, {"prompt": ""}, {"prompt": None}):
                body = json.dumps(
                    {"model": "m", "keep_alive": keep_alive, "options": None, **prompt}
                ).encode()
                request = ollama.parse_generate(body)
                self.assertEqual((request.turn, request.lifecycle), (None, expected), body)

    def test_a_real_chat_is_no_lifecycle_request_whatever_its_keep_alive(self) -> None:
        self.assertIsNone(ollama.parse_chat(chat(user("x"), keep_alive=0)).lifecycle)
        self.assertIsNone(ollama.parse_generate(b'{"prompt":"x","keep_alive":"0s"}').lifecycle)

    def test_generate_reads_prompt_and_images_and_ignores_the_rest(self) -> None:
        body = {
            "model": "m",
            "prompt": "hello",
            "images": [JPEG],
            "suffix": "s",
            "system": "s",
            "template": "t",
            "context": [1, 2],
            "raw": True,
        }
        request = ollama.parse_generate(json.dumps(body).encode())
        turn = ChatTurn(text="hello", images=(Image(JPEG),))
        self.assertEqual((request.turn, request.model, request.stream), (turn, "m", True))
        self.assertEqual((request.outline.system, request.ignored), ("s", ("system",)))

    def test_bad_generate_bodies_are_refused(self) -> None:
        for body, reason in [
            (b"", "missing request body"),
            (b"[]", "expected object"),
            (b'{"prompt":5}', "prompt: expected str | null, got int"),
            (b'{"prompt":"","keep_alive":{}}', "keep_alive: "),
            (b'{"prompt":"\xff"}', "not valid UTF-8"),
        ]:
            self.assertIn(reason, self.refusal(ollama.parse_generate, body))

    def test_generation_options_are_carried(self) -> None:
        schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
        cases: list[tuple[dict[str, Any], Options]] = [
            ({}, Options()),
            ({"options": None, "format": None, "think": None}, Options()),
            ({"options": {}, "format": "", "tools": []}, Options()),
            ({"options": {"temperature": 0.2, "seed": None, "num_ctx": "odd", "mirostat": 1}}, Options()),
            ({"options": {"num_predict": 7}}, Options(max_tokens=7)),
            ({"options": {"num_predict": 7.0}}, Options(max_tokens=7)),
            ({"options": {"num_predict": -1}}, Options()),
            ({"options": {"num_predict": -2}}, Options()),
            ({"options": {"num_predict": 0, "stop": None}}, Options()),
            ({"options": {"stop": "\n"}}, Options(stop=("\n",))),
            ({"options": {"stop": ["a", "", "b"]}}, Options(stop=("a", "b"))),
            ({"format": "json"}, Options(json_schema={})),
            ({"format": schema}, Options(json_schema=schema)),
            *(
                ({"think": think}, Options(think=think))
                for think in (True, False, "low", "medium", "high", "max")
            ),
        ]
        for more, expected in cases:
            self.assertEqual(self.turn(ollama.parse_chat, chat(user("x"), **more)).options, expected, more)
            body = json.dumps({"prompt": "x", **more}).encode()
            self.assertEqual(self.turn(ollama.parse_generate, body).options, expected, more)

    def test_bad_generation_options_are_refused(self) -> None:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"options": []}, "options: expected object | null, got array"),
            ({"options": {"num_predict": "many"}}, "options.num_predict: expected float | null, got str"),
            ({"options": {"num_predict": 1e300}}, "options.num_predict: expected float <= "),
            ({"options": {"stop": 5}}, "options.stop: "),
            ({"options": {"stop": [5]}}, "options.stop[0]: "),
            ({"format": "yaml"}, "format: invalid format 'yaml'"),
            ({"format": 5}, "format: "),
            ({"think": "hard"}, "think: invalid think value 'hard'"),
            ({"think": 1}, "think: "),
        ]
        for more, reason in cases:
            self.assertIn(reason, self.refusal(ollama.parse_chat, chat(user("x"), **more)))
            body = json.dumps({"prompt": "x", **more}).encode()
            self.assertIn(reason, self.refusal(ollama.parse_generate, body))

    def test_a_name_is_taken_from_model_or_name(self) -> None:
        for body, expected in [
            ({"model": "a"}, "a"),
            ({"name": "b"}, "b"),
            ({"model": "", "system": "", "options": None, "verbose": False, "name": "c"}, "c"),
        ]:
            self.assertEqual(ollama_models.parse_name(json.dumps(body).encode()), expected)
            self.assertEqual(ollama_manage.parse_pull(json.dumps(body).encode()).model, expected)

    def test_bodies_about_models_are_refused_in_a_line(self) -> None:
        for body, reason in [
            (b"", "missing request body"),
            (b"nonsense", "not valid JSON"),
            (b"[]", "expected object"),
            (b"{}", "model: a name is needed"),
            (b'{"model":"","name":null}', "model: a name is needed"),
            (b'{"model":5}', "model: expected str | null, got int"),
            (b'{"model":"%s"}' % (b"x" * 300), "model: expected str of length <= 256"),
        ]:
            for parse in (ollama_models.parse_name, ollama_manage.parse_pull):
                self.assertIn(reason, self.refusal(parse, body))
        self.assertIn("stream: ", self.refusal(ollama_manage.parse_pull, b'{"model":"a","stream":"no"}'))
        self.assertEqual(
            self.refusal(ollama_manage.parse_copy, b'{"source":"a"}'), "destination: a name is needed"
        )
        self.assertEqual(
            self.refusal(ollama_manage.parse_copy, b'{"destination":"a"}'), "source: a name is needed"
        )

    def test_the_system_prompt_counts_only_beside_a_single_message(self) -> None:
        system = {"role": "system", "content": "be brief"}
        parts = {
            "role": "developer",
            "content": [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}],
        }
        odd = {"role": "system", "content": 5}
        answer = {"role": "assistant", "content": "hi"}
        for messages, expected in [
            ([user("x")], ("", 1, 0)),
            ([system, user("x")], ("be brief", 1, 0)),
            ([parts, user("x")], ("be\nbrief", 1, 0)),
            ([odd, user("x")], ("", 1, 0)),
            ([user("x"), system], ("be brief", 1, 0)),
            ([answer, user("x")], ("", 1, 1)),
            ([user("a"), user("x")], ("", 2, 0)),
            ([system, user("a"), answer, user("x")], ("be brief", 2, 1)),
        ]:
            for parse in CHATS:
                outline = parse(chat(*messages)).outline
                seen = (outline.system, outline.questions, outline.answers)
                self.assertEqual((seen, outline.text), (expected, "x"), messages)
        generate = ollama.parse_generate(b'{"prompt":"x","system":"be brief"}')
        self.assertEqual((generate.outline.system, generate.outline.text), ("be brief", "x"))


class OpenAITests(ParsingCase):
    def test_streams_only_when_asked(self) -> None:
        self.assertFalse(openai.parse_chat(chat(user("x"))).stream)
        for stream, expected in [(None, False), (False, False), (True, True)]:
            self.assertIs(openai.parse_chat(chat(user("x"), stream=stream)).stream, expected)

    def test_usage_comes_only_when_asked(self) -> None:
        for options, expected in [
            (None, False),
            ({}, False),
            ({"include_usage": None}, False),
            ({"include_usage": False}, False),
            ({"include_usage": True, "include_obfuscation": False}, True),
        ]:
            request = openai.parse_chat(chat(user("x"), stream_options=options))
            self.assertIs(request.include_usage, expected, options)
        self.assertIn(
            "stream_options: ", self.refusal(openai.parse_chat, chat(user("x"), stream_options=True))
        )

    def test_no_messages_are_refused(self) -> None:
        self.assertIn("messages: at least one", self.refusal(openai.parse_chat, chat()))
