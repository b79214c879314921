"""How an answer ended, as each dialect says it: also where there would have been more."""

from typing import Any

from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response as OpenAIResponse

from tests import schemas

from .surfaces import SurfaceCase

HELLO = [{"role": "user", "content": "hello"}]

# By `Finish`: OpenAI's, Anthropic's, that of OpenAI's responses, Ollama's.
ENDINGS = {
    "stop": ("stop", "end_turn", None, "stop"),
    "length": ("length", "max_tokens", "max_output_tokens", "length"),
    "content_filter": ("content_filter", "refusal", "content_filter", "content_filter"),
    "refusal": ("content_filter", "refusal", "content_filter", "refusal"),
    "pause_turn": ("stop", "pause_turn", None, "pause_turn"),
}


class EndingTests(SurfaceCase):
    def ended(self, path: str, finish: str, stream: bool, **fields: Any) -> Any:
        """The last frame that says how, or the whole answer."""
        body = {"model": "m", "messages": HELLO, "stream": stream, **fields}
        wire = self.complete(path, body, finish_reason=finish)
        if path.startswith("/api"):
            return wire.lines()[-1] if stream else wire.json()
        if not stream:
            return wire.json()
        if path.endswith("completions"):
            return wire.events()[-2]
        return self.named_events(wire)

    def test_chat_completions(self) -> None:
        for finish, (expected, *_) in ENDINGS.items():
            whole = self.ended("/v1/chat/completions", finish, stream=False)
            schemas.check(whole, schemas.CHAT)
            ChatCompletion.model_validate(whole)
            last = self.ended("/v1/chat/completions", finish, stream=True)
            for answer in (whole, last):
                self.assertEqual(answer["choices"][0]["finish_reason"], expected)

    def test_messages(self) -> None:
        for finish, (_, expected, *_) in ENDINGS.items():
            whole = self.ended("/v1/messages", finish, stream=False, max_tokens=9)
            schemas.check(whole, schemas.MESSAGE)
            Message.model_validate(whole)
            events = self.ended("/v1/messages", finish, stream=True, max_tokens=9)
            self.assertEqual(
                (whole["stop_reason"], events[-2][1]["delta"]["stop_reason"]), (expected, expected)
            )

    def test_responses(self) -> None:
        for finish, (_, _, expected, _) in ENDINGS.items():
            whole = self.ended("/v1/responses", finish, stream=False, input="hello")
            schemas.check(whole, schemas.RESPONSE)
            OpenAIResponse.model_validate(whole)
            name, last = self.ended("/v1/responses", finish, stream=True, input="hello")[-1]
            status = "incomplete" if expected else "completed"
            self.assertEqual(name, f"response.{status}")
            for answer in (whole, last["response"]):
                details = {"reason": expected} if expected else None
                self.assertEqual((answer["status"], answer["incomplete_details"]), (status, details))

    def test_ollama(self) -> None:
        for finish, (*_, expected) in ENDINGS.items():
            for stream in (False, True):
                last = self.ended("/api/chat", finish, stream)
                self.assertEqual((last["done"], last["done_reason"]), (True, expected))

    def test_user_hears_of_an_answer_that_was_stopped(self) -> None:
        said = self.ended("/v1/chat/completions", "content_filter", stream=False)["choices"][0]["message"][
            "content"
        ]
        self.assertEqual(
            said, "Hi there\n\n[The answer ends here: a filter of the model's server stopped it.]"
        )
