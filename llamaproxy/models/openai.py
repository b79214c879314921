"""The `OPENAI` type: any server with OpenAI's chat completions.

Source of the format: https://platform.openai.com/docs/api-reference/chat.
"""

from collections.abc import Coroutine
from typing import Any

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import Message, ModelRequest, ModelResult
from .answers.openai import ChunkDecoder
from .fields import OptionalFields, lower_limit
from .upstream.upstream import Upstream
from .upstream.wire import encode


class OpenAIChat:
    """Asks for completions in this format; what `OPENAI` and `LOCAL` models have in common."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._entry = entry
        self._upstream = upstream
        self._optional = OptionalFields({name: name for name in ("stream_options", "reasoning_effort")})

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Coroutine[Any, Any, ModelResult]:
        """One completion, as `IModel.chat` has it."""
        return self._optional.ask(
            lambda: self._upstream.ask(
                request,
                "/chat/completions",
                lambda: encode(self._optional.known(self._body(request))),
                lambda: ChunkDecoder(self._upstream.who),
                receiver,
            )
        )

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        entry, options = self._entry, request.options
        fields = {
            "temperature": entry.temperature,
            "top_p": entry.top_p,
            "top_k": entry.top_k,
            "max_tokens": lower_limit(options.max_tokens, entry.max_tokens),
            "stop": options.stop or None,
            "response_format": _response_format(options.json_schema),
            # An effort only: there is no on and off that every server of this kind takes.
            "reasoning_effort": options.think if isinstance(options.think, str) else None,
        }
        body: dict[str, Any] = {
            "model": entry.model_id,
            "messages": [_message(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **{name: value for name, value in fields.items() if value is not None},
        }
        if request.tools:
            body["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
        return body | entry.extra


def _response_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    if not schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        parts: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}
            for image in message.images
        ]
        fields["content"] = [{"type": "text", "text": message.content}, *parts] if message.content else parts
    if message.tool_calls:
        fields["content"] = message.content or None
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields
