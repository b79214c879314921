"""Anthropic's Messages API, streamed as Server-Sent Events.

Source of the format: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from typing import Any, Literal

from msgspec import Struct

from ...seams.types import ModelDelta, ModelResult, Reasoning, Text, Usage
from ..anthropic_prompt import Thoughts
from ..upstream.refusals import error_of, message_of
from ..upstream.sse import EventSplitter
from ..upstream.wire import decoder
from .calls import CallCollector

_FINISH: dict[str, Literal["stop", "length", "tool_calls", "content_filter"]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Usage(Struct):
    """Of the prompt, what came from the cache or went into it is counted apart from the rest."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(Struct, frozen=True):
    usage: _Usage | None = None


class _Block(Struct, frozen=True):
    type: str = ""
    id: str = ""
    name: str = ""
    data: str = ""


class _Delta(Struct, frozen=True):
    """Of a block, or (with `stop_reason`) of the message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct):
    type: str
    index: int = 0
    message: _Message = _Message()
    content_block: _Block = _Block()
    delta: _Delta = _Delta()
    usage: _Usage | None = None
    error: Any = None


_decode = decoder(_Event)


class EventDecoder:
    """The `streaming.Decoder` of this format. `thoughts` keeps what the API wants back with its tool calls."""

    def __init__(self, who: str, thoughts: Thoughts) -> None:
        self.finished = False
        self._who = who
        self._thoughts = thoughts
        self._events = EventSplitter()
        self._calls = CallCollector()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._usage = _Usage()

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        for data in self._events.received(segment):
            event = _decode(data)
            match event.type:
                case "content_block_delta":
                    self._take(event.index, event.delta, deltas)
                case "content_block_start":
                    self._open(event.index, event.content_block, deltas)
                case "message_start":
                    self._count(event.message.usage)
                case "message_delta":
                    self._stop_reason = event.delta.stop_reason or self._stop_reason
                    self._stop_sequence = event.delta.stop_sequence
                    self._count(event.usage)
                case "message_stop":
                    self._finish()
                    return
                case "error":
                    raise error_of(self._who, event.error, message_of(event.error) or "no explanation")

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`."""
        if not self.finished:
            return None
        usage = self._usage
        prompt = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        return ModelResult(
            finish_reason=_FINISH.get(self._stop_reason or "", "stop"),
            usage=Usage(sum(count or 0 for count in prompt), usage.output_tokens or 0),
            tool_calls=self._calls.finished(),
            stop_sequence=self._stop_sequence,
        )

    def _open(self, index: int, block: _Block, deltas: list[ModelDelta]) -> None:
        match block.type:
            case "tool_use":
                deltas.append(self._calls.add(index, block.id, block.name, ""))
            case "thinking":
                self._thinking(index)
            case "redacted_thinking":
                self._blocks[index] = {"type": "redacted_thinking", "data": block.data}

    def _take(self, index: int, delta: _Delta, deltas: list[ModelDelta]) -> None:
        match delta.type:
            case "text_delta":
                if delta.text:
                    deltas.append(Text(delta.text))
            case "thinking_delta":
                if delta.thinking:
                    deltas.append(Reasoning(delta.thinking))
                    self._thinking(index)["thinking"] += delta.thinking
            case "signature_delta":
                self._thinking(index)["signature"] += delta.signature
            case "input_json_delta":
                deltas.append(self._calls.add(index, "", "", delta.partial_json))

    def _thinking(self, index: int) -> dict[str, Any]:
        return self._blocks.setdefault(index, {"type": "thinking", "thinking": "", "signature": ""})

    def _count(self, usage: _Usage | None) -> None:
        """Takes over the counts that came; they are totals so far, not increments."""
        for name in _Usage.__struct_fields__ if usage else ():
            if (count := getattr(usage, name)) is not None:
                setattr(self._usage, name, count)

    def _finish(self) -> None:
        self.finished = True
        if calls := self._calls.finished():
            self._thoughts.keep(calls, list(self._blocks.values()))
