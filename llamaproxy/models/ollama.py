"""The `OLLAMA` type: Ollama's own `/api/chat`.

Source of the format: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from collections.abc import Coroutine
from typing import Any

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import Message, ModelRequest, ModelResult
from .answers.ollama import LineDecoder
from .calls import arguments_of
from .fields import OptionalFields, lower_limit
from .upstream.upstream import Upstream
from .upstream.wire import encode


class OllamaChat:
    """Asks for completions in this format."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._entry = entry
        self._upstream = upstream
        self._optional = OptionalFields({"think": "does not support thinking"})

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Coroutine[Any, Any, ModelResult]:
        """One completion, as `IModel.chat` has it."""
        return self._optional.ask(
            lambda: self._upstream.ask(
                request,
                "/api/chat",
                lambda: encode(self._optional.known(self._body(request))),
                lambda: LineDecoder(self._upstream.who),
                receiver,
            )
        )

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        entry, asked = self._entry, request.options
        options = {
            "temperature": entry.temperature,
            "top_p": entry.top_p,
            "top_k": entry.top_k,
            "num_predict": lower_limit(asked.max_tokens, entry.max_tokens),
            "stop": asked.stop or None,
            "num_ctx": entry.context_length,
        }
        body: dict[str, Any] = {
            "model": entry.model_id,
            "messages": [_message(message) for message in request.messages],
            "stream": True,
            "options": {name: value for name, value in options.items() if value is not None},
        }
        if asked.json_schema is not None:
            body["format"] = asked.json_schema or "json"
        if asked.think is not None:
            body["think"] = asked.think
        if request.tools:
            body["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
        return body | entry.extra


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        fields["images"] = [image.data for image in message.images]
    if message.tool_calls:
        fields["tool_calls"] = [
            {"function": {"name": call.name, "arguments": arguments_of(call)}} for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields
