"""A chat app as the session sees it: keeps chats of its own, and sends all of one with every message."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.support import Front, ScriptedCall, Wire

Chat = list[dict[str, Any]]


class Dialect(NamedTuple):
    """How an app of this dialect asks, and where it finds the answer and the thoughts."""

    path: str
    body: Callable[[Chat], dict[str, Any]]
    read: Callable[[Any], tuple[str, str]]


def _of_ollama(body: Any) -> tuple[str, str]:
    return body["message"]["content"], body["message"].get("thinking", "")


def _of_openai(body: Any) -> tuple[str, str]:
    message = body["choices"][0]["message"]
    return message["content"], message.get("reasoning_content", "")


def _of_anthropic(body: Any) -> tuple[str, str]:
    blocks = body["content"]
    return (
        "".join(block.get("text", "") for block in blocks),
        "".join(block.get("thinking", "") for block in blocks),
    )


def _of_responses(body: Any) -> tuple[str, str]:
    texts = {
        item["type"]: "".join(part["text"] for part in item.get("content") or item.get("summary") or ())
        for item in body["output"]
    }
    return texts.get("message", ""), texts.get("reasoning", "")


def _items(chat: Chat) -> list[dict[str, Any]]:
    kinds = {"user": "input_text", "assistant": "output_text"}
    return [
        {**each, "type": "message", "content": [{"type": kinds[each["role"]], "text": each["content"]}]}
        for each in chat
    ]


DIALECTS = {
    "ollama": Dialect("/api/chat", lambda chat: {"messages": chat, "stream": False}, _of_ollama),
    "openai": Dialect("/v1/chat/completions", lambda chat: {"messages": chat}, _of_openai),
    "responses": Dialect("/v1/responses", lambda chat: {"input": _items(chat)}, _of_responses),
    "anthropic": Dialect(
        "/v1/messages", lambda chat: {"model": "m", "max_tokens": 99, "messages": chat}, _of_anthropic
    ),
}


def as_it_came(text: str, thoughts: str) -> str:
    """An app that shows an answer as it is."""
    return text


def with_thoughts(text: str, thoughts: str) -> str:
    """One that folds the thoughts away in front of it, and trims."""
    return f"<think>\n{thoughts}\n</think>\n\n{text.strip()}"


def with_details(text: str, thoughts: str) -> str:
    """One that does so as Open WebUI, and marks up."""
    return f'<details type="reasoning" done="true">\n<summary>Thought</summary>\n> {thoughts}\n</details>\n**{text}**\n'


class App:
    """One chat, in one dialect."""

    def __init__(
        self,
        front: Front,
        dialect: str = "openai",
        show: Callable[[str, str], str] = as_it_came,
        address: str = "192.168.1.20",
        **headers: str,
    ) -> None:
        self._front = front
        self._dialect = DIALECTS[dialect]
        self._show = show
        self._address = address
        self._headers = headers
        self.chat: Chat = []
        self.thoughts = ""

    def send(self, text: str, answer: str | None = None) -> str:
        """Adds a message of the user, and the answer; what the model was asked, as "user, assistant, user"."""
        self.chat.append({"role": "user", "content": text})
        return self.post(answer or f"re {text}")

    def post(self, answer: str) -> str:
        """Sends the chat as it is; the model answers that, if it is asked."""
        calls = self._front.house.calls
        asked = len(calls)
        wire = self.begin()
        prompt = ""
        if len(calls) > asked:
            prompt = ", ".join(content for _, content in calls[-1].prompt())
            calls[-1].answer(answer)
        self.take(wire)
        return prompt

    def begin(self, **headers: str) -> Wire:
        """Sends the chat as it is."""
        wire = self._front.connect(self._address)
        headers = {**self._headers, **headers}
        return wire.send("POST", self._dialect.path, self._dialect.body(self.chat), **headers)

    def begin_call(self) -> tuple[Wire, ScriptedCall]:
        """Sends the chat as it is, to a model that is to speak as it goes."""
        wire = self._front.connect(self._address)
        body = {**self._dialect.body(self.chat), "stream": True}
        wire.send("POST", self._dialect.path, body, **self._headers)
        return wire, self._front.house.calls[-1]

    def take(self, wire: Wire) -> None:
        """Shows the answer."""
        text, self.thoughts = self._dialect.read(wire.response().json())
        self.chat.append({"role": "assistant", "content": self._show(text, self.thoughts)})

    def say(self, text: str) -> None:
        """Adds what the app shows as an answer."""
        self.chat.append({"role": "assistant", "content": text})

    def back_to(self, number: int) -> None:
        """Drops the user's message of that number, counted from 1, and all after it."""
        places = [index for index, message in enumerate(self.chat) if message["role"] == "user"]
        del self.chat[places[number - 1] :]

    def regenerate(self, number: int, answer: str) -> str:
        """Asks the user's message of that number again."""
        places = [index for index, message in enumerate(self.chat) if message["role"] == "user"]
        del self.chat[places[number - 1] + 1 :]
        return self.post(answer)
