"""OpenAI's dialect: chat completions as JSON and as server-sent events, model lists, errors.

Source: OpenAI's API reference for chat completions and models, with all that its OpenAPI document requires, narrowed
to what strict clients (openai-python and openai-node, MacPaw/OpenAI, the AI SDK) are known to take, and what Ollama's
own `/v1` sends.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.json import Decoder

from ..seams.arguments import arguments_text
from ..seams.errors import AgentError, BadRequest
from ..seams.types import ModelInfo, ReplyEnd, ToolCall, Usage
from .base import COMMENT, EVENT_STREAM, ChatRequest, FrameEncoder, message_of, new_id, quick_json, to_json
from .body import Entries, Name, decode_body
from .brought import Brought
from .fields import CommonFields, identity_of, ignored_of, is_there
from .options import Format, Reasoning, read_options
from .outline import Outline
from .parsing import WireMessage, turn_or_results

JSON_TYPE = b"application/json"

# What OpenAI has no word for; a refusal is its filter's.
_FINISH = {"refusal": "content_filter", "pause_turn": "stop"}

_DONE = b"data: [DONE]\n\n"


class StreamOptions(Struct):
    """`stream_options`."""

    include_usage: bool | None = None


class _ChatBody(CommonFields):
    """Body of POST /v1/chat/completions, as far as it is read."""

    model: Name | None = None
    messages: Entries[WireMessage] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    response_format: Format | None = None
    reasoning_effort: Name | None = None
    reasoning: Reasoning | None = None


_chat_body = Decoder(_ChatBody)


def parse_chat(body: bytes) -> ChatRequest:
    """Body of POST /v1/chat/completions; streams only when asked to."""
    chat = decode_body(body, _chat_body)
    if not chat.messages:
        raise BadRequest("messages: at least one message is needed")
    options = read_options(
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        stop=chat.stop,
        form=chat.response_format,
        effort=chat.reasoning_effort or (chat.reasoning.effort if chat.reasoning else None),
    )
    turn, problem = turn_or_results(chat.messages, options)
    outline = Outline(chat.messages, tools=is_there(chat.tools))
    return ChatRequest(
        turn=turn,
        model=chat.model or "",
        stream=bool(chat.stream),
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        outline=outline,
        brought=Brought(chat, chat.messages, problem=problem),
        ignored=ignored_of(chat, ("system", outline.has_system)),
        identity=identity_of(chat),
    )


class ChunkEncoder(FrameEncoder, ABC):
    """A completion in chunks; `now` is in Unix seconds.

    The order of frames satisfies all known parsers: the text, a finish reason, the usage if asked for, `[DONE]`.
    No `event:` or `id:` lines, which break some. A subclass says how its kind of completion looks: its names, and
    what of a choice stands before and after the text, or with no text at all.
    """

    content_type = EVENT_STREAM
    prefix: ClassVar[str]
    kind: ClassVar[str]
    chunk_kind: ClassVar[str]
    text: ClassVar[str]
    reasoning: ClassVar[str]
    silence: ClassVar[str]
    closing: ClassVar[str]

    def __init__(self, model: str, now: float, include_usage: bool) -> None:
        self._identity = {
            "id": new_id(f"{self.prefix}-"),
            "created": int(now),
            "model": model,
            # As Ollama has it; a version of MacPaw's library does not read a chunk without one.
            "system_fingerprint": "fp_ollama",
        }
        self._include_usage = include_usage
        chunk = quick_json({"object": self.chunk_kind, **self._identity})[:-1].decode()
        self._chunk = f'data: {chunk},"choices":['
        self._choice = f'{self._chunk}{{"index":0,'
        super().__init__(
            text=f"{self._choice}{self.text}",
            reasoning=f"{self._choice}{self.reasoning}",
            tail=f'{self.closing},"finish_reason":null}}]}}\n\n',
        )

    def start(self) -> bytes:
        """Nothing."""
        return b""

    def heartbeat(self) -> bytes:
        """A comment."""
        return COMMENT

    def finish(self, end: ReplyEnd) -> bytes:
        """The calls that the app is to make, the finish reason, the usage if asked for, and the closing mark."""
        frames = "".join(map(self._call, range(len(end.tool_calls)), end.tool_calls))
        frames += f'{self._choice}{self.silence}{self.closing},"finish_reason":"{_finish(end)}"}}]}}\n\n'
        if self._include_usage:
            frames += f'{self._chunk}],"usage":{quick_json(_usage(end.usage)).decode()}}}\n\n'
        return frames.encode("ascii") + _DONE

    def fail(self, reason: AgentError) -> bytes:
        """An error object without `choices`, the only kind that Open WebUI shows; text so far is kept."""
        return b"data: " + error(reason) + b"\n\n" + _DONE

    def whole(self, text: str, reasoning: str, end: ReplyEnd) -> bytes:
        """A completion with one choice."""
        choice = {"index": 0, **self._answer(text, reasoning, end), "logprobs": None}
        return to_json(
            {
                "object": self.kind,
                **self._identity,
                "choices": [{**choice, "finish_reason": _finish(end)}],
                "usage": _usage(end.usage),
            }
        )

    @abstractmethod
    def _answer(self, text: str, reasoning: str, end: ReplyEnd) -> dict[str, Any]:
        """What a choice that is not streamed holds of the answer."""

    def _call(self, index: int, call: ToolCall) -> str:
        """The frames of a call: what is called, and then with what."""
        function = {"name": call.name, "arguments": ""}
        begun = {"index": index, "id": call.id, "type": "function", "function": function}
        more = {"index": index, "function": {"arguments": arguments_text(call.arguments)}}
        return "".join(
            f'{self._choice}{self.silence}"tool_calls":{to_json([piece]).decode()}{self._tail}'
            for piece in (begun, more)
        )


class ChatEncoder(ChunkEncoder):
    """A chat completion."""

    prefix, kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"
    text, reasoning = '"delta":{"content":', '"delta":{"reasoning_content":'
    silence, closing = '"delta":{', "}"

    def start(self) -> bytes:
        """The role."""
        return f'{self._choice}"delta":{{"role":"assistant","content":""{self._tail}'.encode("ascii")

    def _answer(self, text: str, reasoning: str, end: ReplyEnd) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if reasoning:
            message["reasoning_content"] = reasoning
        if end.tool_calls:
            message["content"] = text or None
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": arguments_text(call.arguments)},
                }
                for call in end.tool_calls
            ]
        return {"message": message}


def models(models: Sequence[ModelInfo]) -> bytes:
    """Body of GET /v1/models."""
    return to_json({"object": "list", "data": [_card(info) for info in models]})


def model(info: ModelInfo) -> bytes:
    """Body of GET /v1/models/{id}."""
    return to_json(_card(info))


def error(reason: AgentError, request_id: str = "") -> bytes:
    """The error object; `code` is the error's own stable word."""
    kind = _error_type(reason.status)
    return to_json(
        {"error": {"message": message_of(reason), "type": kind, "param": None, "code": reason.code}}
    )


def _error_type(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 404:
            return "not_found_error"
        case 429:
            return "rate_limit_error"
        case _ if 400 <= status < 500:
            return "invalid_request_error"
        case _:
            return "api_error"


def _finish(end: ReplyEnd) -> str:
    return _FINISH.get(end.finish_reason, end.finish_reason)


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _card(info: ModelInfo) -> dict[str, Any]:
    card = {"id": info.key, "object": "model", "created": int(info.modified_at), "owned_by": "llamaproxy"}
    if info.context_length:
        # Chatbox reads the first, oterm the second.
        card |= {"context_length": info.context_length, "max_model_len": info.context_length}
    return card
