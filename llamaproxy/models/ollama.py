"""The `OLLAMA` type: Ollama's own `/api/chat`, streamed as one JSON object a line.

Source of the format: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from collections.abc import Coroutine
from typing import Any

from msgspec import Struct

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import Message, ModelDelta, ModelRequest, ModelResult, Reasoning, Text, Usage
from .calls import CallCollector, arguments_of
from .fields import OptionalFields, lower_limit
from .upstream.refusals import error_of, first_line
from .upstream.sse import LineSplitter
from .upstream.upstream import Upstream
from .upstream.wire import decoder, encode


class _Function(Struct, frozen=True):
    name: str = ""
    arguments: Any = None


class _Call(Struct, frozen=True):
    id: str = ""
    function: _Function = _Function()


class _Message(Struct, frozen=True):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(Struct):
    message: _Message = _Message()
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | None = None


_decode = decoder(_Line)


class LineDecoder:
    """The `streaming.Decoder` of this format. A tool call comes whole, its arguments as an object."""

    def __init__(self, who: str) -> None:
        self.finished = False
        self._who = who
        self._lines = LineSplitter()
        self._calls = CallCollector()
        self._last = _Line()

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        for data in self._lines.received(segment):
            if not data:
                continue
            line = _decode(data)
            if line.error is not None:
                raise error_of(self._who, None, first_line(line.error))
            self._take(line.message, deltas)
            if line.done:
                self.finished, self._last = True, line
                return

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`."""
        if not self.finished:
            return None
        last, calls = self._last, self._calls.finished()
        counted = last.prompt_eval_count is not None or last.eval_count is not None
        return ModelResult(
            finish_reason="length" if last.done_reason == "length" else "tool_calls" if calls else "stop",
            usage=Usage(last.prompt_eval_count or 0, last.eval_count or 0) if counted else None,
            tool_calls=calls,
        )

    def _take(self, message: _Message, deltas: list[ModelDelta]) -> None:
        if message.thinking:
            deltas.append(Reasoning(message.thinking))
        if message.content:
            deltas.append(Text(message.content))
        for call in message.tool_calls or ():
            arguments = encode(call.function.arguments or {}).decode()
            deltas.append(self._calls.add_whole(call.id, call.function.name, arguments))


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
