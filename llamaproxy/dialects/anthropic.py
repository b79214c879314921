"""Anthropic's dialect: messages as JSON and as named server-sent events, token counts, model lists, errors.

Source: https://docs.anthropic.com/en/api/messages, .../messages-streaming and .../errors.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from ..seams.arguments import arguments_object, arguments_text
from ..seams.errors import AgentError, BadRequest
from ..seams.types import AgentEvent, Message, ModelInfo, Options, Reasoning, ReplyEnd, Text, ToolCall, Usage
from .base import EVENT_STREAM, BlockEncoder, ChatRequest, message_of, named_event, new_id, quote, to_json
from .body import Entries, Name, decode_body
from .brought import Brought
from .fields import CommonFields, identity_of, ignored_of, is_there
from .options import stop_texts
from .outline import Outline
from .parsing import WireMessage, last_user_turn, size_of
from .schemas import checked

JSON_TYPE = b"application/json"

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause_turn": "pause_turn",
    "tool_calls": "tool_use",
}
_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class _Thinking(Struct):
    type: Literal["enabled", "disabled", "adaptive"]


class _Format(Struct):
    """`format` of `output_config`, and the older `output_format`."""

    type: Name = ""
    schema: dict[str, Any] | None = None


class _OutputConfig(Struct):
    format: _Format | None = None
    effort: Name | None = None


class _Body(CommonFields):
    """Body of POST /v1/messages, as far as it is read; the system prompt and the tools are the agent's own."""

    model: Name | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    messages: Entries[WireMessage] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    thinking: _Thinking | None = None
    system: Raw = Raw()
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None


class _CountBody(Struct):
    """Body of POST /v1/messages/count_tokens; what is only weighed stays as it came."""

    model: Name | None = None
    messages: Entries[WireMessage] | None = None
    system: Raw = Raw()
    tools: Raw = Raw()


_body = Decoder(_Body)
_count_body = Decoder(_CountBody)


def parse(body: bytes) -> ChatRequest:
    """Body of POST /v1/messages; streams only when asked to."""
    asked = decode_body(body, _body)
    if asked.max_tokens is None:
        raise BadRequest("max_tokens: Field required")
    options = Options(
        max_tokens=asked.max_tokens,
        stop=stop_texts(asked.stop_sequences),
        json_schema=_schema(asked),
        think=_think(asked),
    )
    messages = _messages(asked)
    turn = last_user_turn(messages, options)
    outline = Outline(messages, system=asked.system, tools=is_there(asked.tools))
    return ChatRequest(
        turn=turn,
        model=_model(asked),
        stream=bool(asked.stream),
        outline=outline,
        ignored=ignored_of(asked, ("system", is_there(asked.system) or outline.has_system)),
        brought=Brought(asked, messages, asked.system),
        identity=identity_of(asked),
    )


def parse_count(body: bytes) -> list[Message]:
    """Body of POST /v1/messages/count_tokens: all that is to be weighed, as messages."""
    asked = decode_body(body, _count_body)
    _model(asked)
    # What is refused as a message is refused here, and what is not is counted.
    last_user_turn(_messages(asked))
    return [
        *(Message(role="system", content=bytes(raw).decode()) for raw in (asked.system, asked.tools) if raw),
        *(size_of(message, f"messages[{n}]") for n, message in enumerate(_messages(asked))),
    ]


def _schema(asked: _Body) -> dict[str, Any] | None:
    form = (asked.output_config.format if asked.output_config else None) or asked.output_format
    if form is None or form.type != "json_schema":
        return None
    if form.schema is None:
        raise BadRequest("output_config.format: a schema is needed with the type json_schema")
    return checked(form.schema, "output_config.format.schema")


def _think(asked: _Body) -> bool | str | None:
    """Whether to think, and how hard where the client says so."""
    if asked.thinking is not None and asked.thinking.type == "disabled":
        return False
    effort = asked.output_config.effort if asked.output_config else None
    return effort or (None if asked.thinking is None else True)


def _model(asked: _Body | _CountBody) -> str:
    if not asked.model:
        raise BadRequest("model: Field required")
    return asked.model


def _messages(asked: _Body | _CountBody) -> list[WireMessage]:
    if not asked.messages:
        raise BadRequest("messages: at least one message is required")
    return asked.messages


class MessageEncoder(BlockEncoder):
    """A message."""

    content_type = EVENT_STREAM

    def __init__(self, model: str) -> None:
        super().__init__()
        self._index = -1
        self._head = ""
        self._message: dict[str, Any] = {
            "id": new_id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "stop_sequence": None,
        }

    def start(self) -> bytes:
        """The message before its first block."""
        message = {**self._message, "content": [], "stop_reason": None, "usage": _usage(Usage())}
        return named_event("message_start", {"message": message}).encode("ascii")

    def heartbeat(self) -> bytes:
        """A ping, which the official clients skip."""
        return named_event("ping", {}).encode("ascii")

    def finish(self, end: ReplyEnd) -> bytes:
        """The end of the open block, the calls that the app is to make, and the end of the message with its reason."""
        return (
            self._turn_to(None)
            + "".join(map(self._call, end.tool_calls))
            + named_event("message_delta", {"delta": _stop(end), "usage": _usage(end.usage)})
            + named_event("message_stop", {})
        ).encode("ascii")

    def fail(self, reason: AgentError) -> bytes:
        """An error event, which the official clients raise."""
        return b"event: error\ndata: " + error(reason) + b"\n\n"

    def whole(self, text: str, reasoning: str, end: ReplyEnd) -> bytes:
        """The whole message."""
        thoughts = [{**_block(Reasoning), "thinking": reasoning}] if reasoning else []
        texts = [{**_block(Text), "text": text}] if text or not end.tool_calls else []
        calls = [{**_use(call), "input": arguments_object(call.arguments)} for call in end.tool_calls]
        return to_json(
            {
                **self._message,
                "content": [*thoughts, *texts, *calls],
                **_stop(end),
                "usage": _usage(end.usage),
            }
        )

    def _open(self, kind: type[AgentEvent]) -> str:
        self._index += 1
        name, field = ("text_delta", "text") if kind is Text else ("thinking_delta", "thinking")
        self._head = (
            "event: content_block_delta\n"
            f'data: {{"type":"content_block_delta","index":{self._index},"delta":{{"type":"{name}","{field}":'
        )
        return named_event("content_block_start", {"index": self._index, "content_block": _block(kind)})

    def _call(self, call: ToolCall) -> str:
        """The block of a call."""
        self._index += 1
        index, delta = (
            self._index,
            {"type": "input_json_delta", "partial_json": arguments_text(call.arguments)},
        )
        return (
            named_event("content_block_start", {"index": index, "content_block": _use(call)})
            + named_event("content_block_delta", {"index": index, "delta": delta})
            + named_event("content_block_stop", {"index": index})
        )

    def _piece(self, text: str) -> str:
        return f"{self._head}{quote(text)}}}}}\n\n"

    def _close(self) -> str:
        return named_event("content_block_stop", {"index": self._index})


def token_count(tokens: int) -> bytes:
    """Body of the answer to POST /v1/messages/count_tokens."""
    return to_json({"input_tokens": tokens})


def models(models: Sequence[ModelInfo]) -> bytes:
    """Body of GET /v1/models, all on one page."""
    return to_json(
        {
            "data": [_card(info) for info in models],
            "has_more": False,
            "first_id": models[0].key if models else None,
            "last_id": models[-1].key if models else None,
        }
    )


def model(info: ModelInfo) -> bytes:
    """Body of GET /v1/models/{id}."""
    return to_json(_card(info))


def error(reason: AgentError, request_id: str = "") -> bytes:
    """The error object."""
    kind = _ERROR_TYPES.get(reason.status, "invalid_request_error" if reason.status < 500 else "api_error")
    return to_json(
        {
            "type": "error",
            "error": {"type": kind, "message": message_of(reason)},
            "request_id": request_id or new_id("req_"),
        }
    )


def _block(kind: type[AgentEvent]) -> dict[str, Any]:
    """An empty block. Nothing here signs what a model thought."""
    if kind is Text:
        return {"type": "text", "text": "", "citations": None}
    return {"type": "thinking", "thinking": "", "signature": ""}


def _use(call: ToolCall) -> dict[str, Any]:
    """An empty block of a call."""
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}


def _stop(end: ReplyEnd) -> dict[str, Any]:
    """Why the message ended. Most models do not say when it was at one of the client's own texts."""
    sequence = end.stop_sequence if end.finish_reason == "stop" else None
    reason = _STOP_REASONS[end.finish_reason] if sequence is None else "stop_sequence"
    return {"stop_reason": reason, "stop_sequence": sequence}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": None,
        "server_tool_use": None,
        "service_tier": None,
    }


def _card(info: ModelInfo) -> dict[str, Any]:
    return {
        "type": "model",
        "id": info.key,
        "display_name": info.key,
        "created_at": datetime.fromtimestamp(int(info.modified_at), UTC).isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
    }
