"""What models' servers answered to a question, in whichever of the three formats, and what their refusals are about."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import json

from ..models.upstream.refusals import UNREADABLE, first_line, message_of, words_of
from .finding import Answered

# What a refusal is about that is none of the key and none of the name: a wallet, a crowd, a broken server.
_KEY = re.compile(
    r"api[ _-]?key|x-api-key|authenticat|unauthori[sz]ed|credential|(?:access|auth|bearer|invalid)[ _]token",
    re.I,
)
_NAME = re.compile(
    r"not[ _](?:be )?found|not[ _]exist|n't exist|not a valid|invalid model|unknown model|no such model|not available"
    r"|unable to access|could not find|not have access|no access|not supported|unsupported|deprecated|retired"
    r"|not installed|no model|model_not|does not serve",
    re.I,
)
# Another question might be answered.
_FOR_NOW = (408, 409, 423, 425, 429)


class Refusal(Exception):
    """A server's answer that is none to the question: the status, and what the server says about it."""

    def __init__(self, answer: Answered) -> None:
        self.status = answer.status
        details = _details(answer)
        if answer.body.lstrip()[:1] == b"<":
            self.said = "an HTML page"
        elif 300 <= answer.status < 400:
            self.said = "it has moved to another address"
        else:
            self.said = (
                message_of(details) or first_line(answer.body.decode("utf-8", "replace")) or "no explanation"
            )
        self._words = f"{self.said}\n{words_of(details)}"
        super().__init__(f"status {self.status}: {self.said}")

    @property
    def is_about_key(self) -> bool:
        """Whether the key is not taken, or one is wanted."""
        if self.status == 401:
            return True
        return self.status in (400, 403) and not self.is_about_name and bool(_KEY.search(self._words))

    @property
    def is_about_name(self) -> bool:
        """Whether there is no such model, or not for this key."""
        return (
            self.status in (400, 403, 404, 422)
            and "model" in self._words.lower()
            and bool(_NAME.search(self._words))
        )

    @property
    def is_for_good(self) -> bool:
        """Whether the same question would be refused again."""
        return 400 <= self.status < 500 and self.status not in _FOR_NOW

    def mentions(self, *words: str) -> bool:
        """Whether one of the words is in what it says."""
        return any(word in self._words.lower() for word in words)


def _details(answer: Answered) -> Any:
    content = answer.content
    if isinstance(content, list) and content:
        content = content[0]
    error = content.get("error") if isinstance(content, dict) else None
    return error if isinstance(error, dict) else content


class Piece(NamedTuple):
    """What one frame of a stream says, or the whole of an answer that is none."""

    text: str = ""
    thought: str = ""
    calls: tuple[str, ...] = ()
    error: str = ""


def piece_of(line: bytes) -> Piece:
    """What is in one line of a stream; nothing in one that is no frame."""
    try:
        return read(json.decode(line))
    except UNREADABLE:
        return Piece()


def read(content: Any) -> Piece:
    """What a decoded frame or answer says."""
    if not isinstance(content, dict):
        return Piece()
    if content.get("error"):
        return Piece(error=message_of(content["error"]) or message_of(content) or "an error without a word")
    parts = [part for part in _parts(content) if isinstance(part, dict)]
    return Piece(
        "".join(_texts(parts, ("content", "text"))),
        "".join(_texts(parts, ("reasoning_content", "reasoning", "thinking"))),
        tuple(_calls(parts)),
    )


def _parts(content: dict[str, Any]) -> Iterator[Any]:
    """The message in it, or a piece of one, or its parts."""
    match content:
        case {"choices": [{"delta": dict(delta)}, *_]} if delta:
            yield delta
        case {"choices": [{"message": message}, *_]} | {"message": message}:
            yield message
        case {"delta": piece} | {"content_block": piece}:
            yield piece
        case {"content": list(blocks)}:
            yield from blocks


def _texts(parts: list[dict[str, Any]], names: tuple[str, ...]) -> Iterator[str]:
    for part in parts:
        for name in names:
            value = part.get(name)
            if isinstance(value, str):
                yield value
            elif isinstance(value, list) and name == "content":
                yield from (str(each["text"]) for each in value if isinstance(each, dict) and "text" in each)


def _calls(parts: list[dict[str, Any]]) -> Iterator[str]:
    for part in parts:
        if part.get("type") == "tool_use":
            yield str(part.get("name"))
        calls = part.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(function := call.get("function"), dict):
                yield str(function.get("name"))
