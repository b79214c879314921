"""Ollama's own `/api/chat`, streamed as one JSON object a line.

Source of the format: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from typing import Any

from msgspec import Struct

from ...seams.types import ModelDelta, ModelResult, Reasoning, Text, Usage
from ..upstream.refusals import error_of, first_line
from ..upstream.sse import LineSplitter
from ..upstream.wire import decoder, encode
from .calls import CallCollector


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
