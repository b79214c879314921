"""Ollama's dialect: chat and generate as JSON and as newline-delimited JSON, model lists and cards, errors.

Source: Ollama's `api/types.go` and `server/routes.go` (0.33), narrowed to what strict clients (its own CLI,
ollama-python and ollama-js, Enchanted, Reins) are known to require: no blank line, every chunk complete,
whole numbers as integers, times with a zone, no required string null or missing.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

from msgspec import Struct
from msgspec.json import Decoder

from ..agent.errors import AgentError, BadRequest, NoSuchModel
from ..agent.types import ChatTurn, ModelInfo, ReplyEnd
from .base import ChatRequest, FrameEncoder, message_of, quote, to_json
from .parsing import Name, WireMessage, decode_body, last_user_turn, pictures

JSON_TYPE = b"application/json; charset=utf-8"
# Open WebUI compares the dotted integers; the CLI warns when it is not its own version.
VERSION = "0.33.0"

# The CLI shows what is over twenty years ahead as "Forever".
_FOREVER = "2200-01-01T00:00:00Z"


class _ChatBody(Struct):
    """Body of POST /api/chat, as far as it is read."""

    model: Name | None = None
    messages: list[WireMessage] | None = None
    stream: bool | None = None
    keep_alive: int | float | str | None = None


class _GenerateBody(Struct):
    """Body of POST /api/generate, as far as it is read; the agent has its own system prompt and context."""

    model: Name | None = None
    prompt: str | None = None
    images: list[str] | None = None
    stream: bool | None = None
    keep_alive: int | float | str | None = None


class _ShowBody(Struct):
    """Body of POST /api/show; the CLI sends the name as `name` beside an empty `model`."""

    model: Name | None = None
    name: Name | None = None


_chat_body = Decoder(_ChatBody)
_generate_body = Decoder(_GenerateBody)
_show_body = Decoder(_ShowBody)


def parse_chat(body: bytes) -> ChatRequest:
    """Body of POST /api/chat; no messages at all is a request to load or unload the model."""
    chat = decode_body(body, _chat_body)
    if chat.messages is None:
        raise BadRequest("messages: a list of messages is needed")
    turn = last_user_turn(chat.messages) if chat.messages else None
    return _request(chat, turn)


def parse_generate(body: bytes) -> ChatRequest:
    """Body of POST /api/generate; an empty prompt is a request to load or unload the model."""
    generate = decode_body(body, _generate_body)
    images = pictures(generate.images or (), "images")
    text = generate.prompt or ""
    turn = ChatTurn(text=text, images=images) if text.strip() or images else None
    return _request(generate, turn)


def parse_show(body: bytes) -> str:
    """Body of POST /api/show: the model's name."""
    show = decode_body(body, _show_body)
    name = show.model or show.name
    if not name:
        raise BadRequest("model: a name is needed")
    return name


def _request(body: _ChatBody | _GenerateBody, turn: ChatTurn | None) -> ChatRequest:
    model, stream = body.model or "", body.stream is not False
    if turn is not None:
        return ChatRequest(turn=turn, model=model, stream=stream)
    lifecycle: Literal["load", "unload"] = "unload" if _is_zero(body.keep_alive) else "load"
    return ChatRequest(turn=None, model=model, stream=stream, lifecycle=lifecycle)


def _is_zero(keep_alive: float | str | None) -> bool:
    """Whether a number of seconds, or a duration in Go's notation (`0s`, `0m0s`, `5m`), is zero."""
    if isinstance(keep_alive, str):
        return "0" in keep_alive and not re.search("[1-9]", keep_alive)
    return keep_alive == 0


class _LineEncoder(FrameEncoder):
    """One JSON object a line; `now`, in Unix seconds, dates all of a reply's lines."""

    content_type = b"application/x-ndjson"
    # What stands around the text in this endpoint's lines.
    opening = closing = ""

    def __init__(self, model: str, now: float) -> None:
        text = f'{{"model":{quote(model)},"created_at":"{_rfc3339(now)}",{self.opening}'
        super().__init__(text, f'{text}"","thinking":', f'{self.closing},"done":false}}\n')
        self._silence = f'{text}""{self._tail}'.encode("ascii")

    def start(self) -> bytes:
        """Nothing: every line is complete in itself."""
        return b""

    def heartbeat(self) -> bytes:
        """A line with no text."""
        return self._silence

    def finish(self, end: ReplyEnd) -> bytes:
        """The line that says `done`, with counts and durations."""
        return self._last('""', end)

    def fail(self, reason: AgentError) -> bytes:
        """The reason as text, since four known clients swallow an `error` line; then an ordinary end."""
        text = f"\n\n[error: {message_of(reason)}]"
        return f"{self._text}{quote(text)}{self._tail}".encode("ascii") + self.finish(ReplyEnd())

    def whole(self, text: str, reasoning: str, end: ReplyEnd) -> bytes:
        """A last line that holds all the text."""
        thinking = f',"thinking":{quote(reasoning)}' if reasoning else ""
        return self._last(f"{quote(text)}{thinking}", end)

    def _last(self, text: str, end: ReplyEnd) -> bytes:
        return (
            f'{self._text}{text}{self.closing},"done":true,"done_reason":"{end.finish_reason}"'
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


def lifecycle(request: ChatRequest, kind: Literal["chat", "generate"], now: float) -> bytes:
    """The answer to a request to load or unload: one object, streamed or not."""
    empty = {"message": {"role": "assistant", "content": ""}} if kind == "chat" else {"response": ""}
    return to_json(
        {
            "model": request.model,
            "created_at": _rfc3339(now),
            **empty,
            "done": True,
            "done_reason": request.lifecycle,
        }
    )


def tags(models: Sequence[ModelInfo]) -> bytes:
    """Body of GET /api/tags."""
    return to_json(
        {
            "models": [
                {
                    **_entry(info),
                    "modified_at": _rfc3339(info.modified_at),
                    "capabilities": _capabilities(info),
                }
                for info in models
            ]
        }
    )


def ps(models: Sequence[ModelInfo]) -> bytes:
    """Body of GET /api/ps, which is about models that are loaded."""
    return to_json(
        {
            "models": [
                {
                    **_entry(info),
                    "expires_at": _FOREVER,
                    "size_vram": 0,
                    "context_length": info.context_length,
                }
                for info in models
            ]
        }
    )


def show(info: ModelInfo) -> bytes:
    """Body of POST /api/show.

    `model_info` always has the four keys that older CLIs read unchecked. Swift clients need the four texts.
    """
    family = _family(info)
    return to_json(
        {
            "license": "",
            "modelfile": f"FROM {info.model_id}\n",
            "parameters": "",
            "template": "",
            "details": _details(info),
            "model_info": {
                "general.architecture": family,
                "general.basename": info.key,
                "general.parameter_count": _parameter_count(info.parameter_size),
                f"{family}.context_length": info.context_length,
                f"{family}.embedding_length": 0,
            },
            "capabilities": _capabilities(info),
            "modified_at": _rfc3339(info.modified_at),
        }
    )


def version() -> bytes:
    """Body of GET /api/version."""
    return to_json({"version": VERSION})


def error(reason: AgentError) -> bytes:
    """An error's body; always one line."""
    return to_json({"error": message_of(reason)})


def find_model(name: str, models: Sequence[ModelInfo]) -> ModelInfo:
    """The model that a client means by `name`; raises NoSuchModel."""
    for info in models:
        if matches(name, info.key):
            return info
    raise NoSuchModel(f"model '{name}' not found")


def matches(name: str, key: str) -> bool:
    """Whether `name` means the model `key`: case does not matter, and a missing tag is `latest`."""
    return _tagged(name).lower() == _tagged(key).lower()


def _tagged(name: str) -> str:
    # A colon before the last slash is a registry's port.
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _entry(info: ModelInfo) -> dict[str, Any]:
    name = _tagged(info.key)
    return {
        "name": name,
        "model": name,
        "size": info.size,
        "digest": _digest(info),
        "details": _details(info),
    }


def _details(info: ModelInfo) -> dict[str, Any]:
    family = _family(info)
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        # Enchanted offers its picture button for `clip`; it never looks at capabilities.
        "families": [family, "clip"] if info.vision else [family],
        "parameter_size": info.parameter_size,
        "quantization_level": info.quantization,
    }


def _family(info: ModelInfo) -> str:
    return info.family or info.kind.lower()


def _capabilities(info: ModelInfo) -> list[str]:
    return ["completion", "vision"] if info.vision else ["completion"]


def _digest(info: ModelInfo) -> str:
    """Unique for each model and its capabilities, since llm-ollama merges and remembers models by digest."""
    return sha256(to_json([info.key, info.model_id, info.kind, _capabilities(info)])).hexdigest()


def _parameter_count(size: str) -> int:
    """`135M` as 135000000; 0 when unknown."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT]?)", size.strip().upper())
    if parts is None:
        return 0
    return round(float(parts[1]) * 1000 ** " KMBT".index(parts[2] or " "))


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
