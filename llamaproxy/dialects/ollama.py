"""Ollama's dialect, the conversation's side: chat and generate as JSON and as newline-delimited JSON, and errors.

Source: Ollama's `api/types.go` and `server/routes.go` (0.33), narrowed to what strict clients (its own CLI,
ollama-python and ollama-js, Enchanted, Reins) are known to require: no blank line, every chunk complete,
whole numbers as integers, times with a zone, no required string null or missing.
"""

import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.json import Decoder

from ..seams.arguments import arguments_object
from ..seams.errors import AgentError, BadRequest
from ..seams.types import ChatTurn, Options, ReplyEnd
from .base import ChatRequest, FrameEncoder, message_of, quote, to_json
from .body import Entries, Name, decode_body
from .brought import Brought
from .fields import CommonFields, identity_of, ignored_of, is_there
from .ollama_models import rfc3339
from .options import PLAIN, stop_texts, token_limit
from .outline import Outline
from .parsing import WireMessage, turn_of, turn_or_results
from .pictures import pictures
from .schemas import checked

JSON_TYPE = b"application/json; charset=utf-8"
LINES_TYPE = b"application/x-ndjson"

_EFFORTS = ("low", "medium", "high", "max")


class _OptionsBody(Struct):
    """`options`, as far as they are read.

    How a model samples (temperature, seed, context size and so on) is the agent's business, so those are ignored.
    """

    num_predict: Annotated[float, Meta(le=2**31)] | None = None
    stop: list[str] | str | None = None


class _TurnBody(CommonFields):
    """What the bodies of both endpoints have in common."""

    model: Name | None = None
    stream: bool | None = None
    keep_alive: int | float | str | None = None
    options: _OptionsBody | None = None
    format: dict[str, Any] | str | None = None
    think: bool | str | None = None


class _ChatBody(_TurnBody):
    """Body of POST /api/chat, as far as it is read."""

    messages: Entries[WireMessage] | None = None


class _GenerateBody(_TurnBody):
    """Body of POST /api/generate, as far as it is read.

    The agent has its own system prompt; the client's only helps to tell a title's request from a question.
    """

    prompt: str | None = None
    images: list[str] | None = None
    system: str | None = None


_chat_body = Decoder(_ChatBody)
_generate_body = Decoder(_GenerateBody)


def parse_chat(body: bytes) -> ChatRequest:
    """Body of POST /api/chat; no messages at all is a request to load or unload the model."""
    chat = decode_body(body, _chat_body)
    if chat.messages is None:
        raise BadRequest("messages: a list of messages is needed")
    turn, problem = turn_or_results(chat.messages, _options(chat)) if chat.messages else (None, None)
    outline = Outline(chat.messages, tools=is_there(chat.tools))
    brought = Brought(chat, chat.messages, problem=problem)
    return _request(chat, turn, outline, outline.has_system, brought)


def parse_generate(body: bytes) -> ChatRequest:
    """Body of POST /api/generate; an empty prompt is a request to load or unload the model."""
    generate = decode_body(body, _generate_body)
    images = pictures(generate.images or (), "images")
    text = generate.prompt or ""
    options = _options(generate)
    turn = turn_of(text, options, images) if text.strip() or images else None
    system = generate.system or ""
    brought = Brought(generate, system=system, has_calls=False)
    return _request(generate, turn, Outline(prompt=text, system=system), bool(system), brought)


def _request(
    body: _TurnBody, turn: ChatTurn | None, outline: Outline, system: bool, brought: Brought
) -> ChatRequest:
    model, stream = body.model or "", body.stream is not False
    if turn is not None:
        return ChatRequest(
            turn=turn,
            model=model,
            stream=stream,
            outline=outline,
            brought=brought,
            ignored=ignored_of(body, ("system", system)),
            identity=identity_of(body),
        )
    lifecycle: Literal["load", "unload"] = "unload" if _is_zero(body.keep_alive) else "load"
    return ChatRequest(turn=None, model=model, stream=stream, lifecycle=lifecycle)


def _options(body: _TurnBody) -> Options:
    if body.options is None and body.format is None and body.think is None:
        return PLAIN
    asked = body.options or _OptionsBody()
    return Options(
        max_tokens=token_limit(asked.num_predict),
        stop=stop_texts(asked.stop),
        json_schema=_schema(body.format),
        think=_think(body.think),
    )


def _schema(form: dict[str, Any] | str | None) -> dict[str, Any] | None:
    if isinstance(form, dict):
        return checked(form, "format")
    if form and form != "json":
        raise BadRequest(f"format: invalid format '{form[:40]}'; it can be 'json' or a JSON schema")
    return {} if form else None


def _think(think: bool | str | None) -> bool | str | None:
    if isinstance(think, str) and think not in _EFFORTS:
        # The CLI's prompt stays alive after an error that says "invalid think value".
        raise BadRequest(
            f"think: invalid think value '{think[:40]}'; it can be true, false, {', '.join(_EFFORTS)}"
        )
    return think


def _is_zero(keep_alive: float | str | None) -> bool:
    """Whether a number of seconds, or a duration in Go's notation (`0s`, `0m0s`, `5m`), is zero."""
    if isinstance(keep_alive, str):
        return "0" in keep_alive and not re.search("[1-9]", keep_alive)
    return keep_alive == 0


class _LineEncoder(FrameEncoder):
    """One JSON object a line; `now`, in Unix seconds, dates all of a reply's lines."""

    content_type = LINES_TYPE
    # What stands around the text in this endpoint's lines.
    opening = closing = ""

    def __init__(self, model: str, now: float) -> None:
        text = f'{{"model":{quote(model)},"created_at":"{rfc3339(now)}",{self.opening}'
        super().__init__(text, f'{text}"","thinking":', f'{self.closing},"done":false}}\n')

    def start(self) -> bytes:
        """Nothing: every line is complete in itself."""
        return b""

    def heartbeat(self) -> bytes:
        """A line with no text."""
        return f'{self._text}""{self._tail}'.encode("ascii")

    def finish(self, end: ReplyEnd) -> bytes:
        """The calls that the app is to make, and the line that says `done`, with counts and durations."""
        calls = f'{self._text}""{_calls(end)}{self._tail}'.encode("ascii") if end.tool_calls else b""
        return calls + self._last('""', end)

    def fail(self, reason: AgentError) -> bytes:
        """The reason as text, since four known clients swallow an `error` line; then an ordinary end."""
        text = f"\n\n[error: {message_of(reason)}]"
        return f"{self._text}{quote(text)}{self._tail}".encode("ascii") + self.finish(ReplyEnd())

    def whole(self, text: str, reasoning: str, end: ReplyEnd) -> bytes:
        """A last line that holds all the text."""
        thinking = f',"thinking":{quote(reasoning)}' if reasoning else ""
        return self._last(f"{quote(text)}{thinking}{_calls(end)}", end)

    def _last(self, text: str, end: ReplyEnd) -> bytes:
        # Ollama has no word of its own for an answer that ends in calls.
        reason = "stop" if end.tool_calls else end.finish_reason
        return (
            f'{self._text}{text}{self.closing},"done":true,"done_reason":"{reason}"'
            f',"total_duration":{end.total_duration},"load_duration":{end.load_duration}'
            f',"prompt_eval_count":{end.usage.prompt_tokens},"prompt_eval_duration":{end.prompt_eval_duration}'
            f',"eval_count":{end.usage.completion_tokens},"eval_duration":{end.eval_duration}}}\n'
        ).encode("ascii")


class ChatEncoder(_LineEncoder):
    """A reply to POST /api/chat."""

    opening, closing = '"message":{"role":"assistant","content":', "}"


class GenerateEncoder(_LineEncoder):
    """A reply to POST /api/generate."""

    opening, closing = '"response":', ""


def _calls(end: ReplyEnd) -> str:
    """The calls as a field of the message, with arguments as objects; "" if there are none."""
    if not end.tool_calls:
        return ""
    calls = [
        {
            "id": call.id,
            "function": {"index": index, "name": call.name, "arguments": arguments_object(call.arguments)},
        }
        for index, call in enumerate(end.tool_calls)
    ]
    return f',"tool_calls":{to_json(calls).decode()}'


def lifecycle(request: ChatRequest, kind: Literal["chat", "generate"], now: float) -> bytes:
    """The answer to a request to load or unload: one object, streamed or not."""
    empty = {"message": {"role": "assistant", "content": ""}} if kind == "chat" else {"response": ""}
    return to_json(
        {
            "model": request.model,
            "created_at": rfc3339(now),
            **empty,
            "done": True,
            "done_reason": request.lifecycle,
        }
    )


def error(reason: AgentError, request_id: str = "") -> bytes:
    """An error's body; always one line."""
    return to_json({"error": message_of(reason)})
