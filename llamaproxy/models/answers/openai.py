"""OpenAI's chat completions, streamed as Server-Sent Events.

Source of the format: https://platform.openai.com/docs/api-reference/chat-streaming. `reasoning_content` is
what llama.cpp, vLLM and DeepSeek add to it, `reasoning` what OpenRouter and newer vLLM do.
"""

from typing import Any, Literal

from msgspec import Struct

from ...seams.types import ModelDelta, ModelResult, Reasoning, Text, Usage
from ..upstream.refusals import error_of, message_of
from ..upstream.repeats import Repeats
from ..upstream.sse import EventSplitter
from ..upstream.wire import decoder
from .calls import CallCollector

_FINISH: dict[str, Literal["stop", "length", "tool_calls", "content_filter"]] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function = _Function()


class _Delta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _Choice(Struct):
    """`stop_reason` is vLLM's: the text (or the number of the token) that ended the answer."""

    delta: _Delta = _Delta()
    finish_reason: str | None = None
    stop_reason: Any = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = decoder(_Chunk)


def _text_of(chunk: _Chunk) -> str | None:
    """The text in a chunk that holds nothing else of interest."""
    if chunk.error or chunk.usage is not None or not chunk.choices:
        return None
    choice = chunk.choices[0]
    delta = choice.delta
    if choice.finish_reason or delta.reasoning_content or delta.reasoning or delta.tool_calls:
        return None
    return delta.content


class ChunkDecoder:
    """The `streaming.Decoder` of this format."""

    __slots__ = (
        "_at_start",
        "_calls",
        "_events",
        "_finish_reason",
        "_repeats",
        "_stop_sequence",
        "_usage",
        "_who",
        "finished",
    )

    def __init__(self, who: str) -> None:
        self.finished = False
        self._at_start = True
        self._who = who
        self._events = EventSplitter()
        self._repeats = Repeats(lambda data: _text_of(_decode(data)))
        self._calls = CallCollector()
        self._finish_reason: str | None = None
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        while segment and not self.finished:
            if self._at_start and (taken := self._repeats.take(segment, deltas)):
                if taken == len(segment):
                    return
                segment = segment[taken:]
            # With a pattern to look for, only up to where an event may end and a run of others may begin.
            end = segment.find(b"\n\n") + 2 if self._repeats.known else 0
            self._decode(segment[:end] if end > 1 else segment, deltas)
            self._at_start = self._events.idle
            segment = segment[end:] if end > 1 else b""

    def _decode(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        for data in self._events.received(segment):
            if data == b"[DONE]":
                self.finished = True
                return
            chunk = _decode(data)
            if _text_of(chunk):
                self._repeats.learn(data)
            if chunk.error:
                raise error_of(self._who, chunk.error, message_of(chunk.error) or "no explanation")
            if chunk.usage is not None:
                self._usage = Usage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)
            if chunk.choices:
                choice = chunk.choices[0]
                self._take(choice.delta, deltas)
                self._finish_reason = choice.finish_reason or self._finish_reason
                if isinstance(choice.stop_reason, str):
                    self._stop_sequence = choice.stop_reason

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`. A finish reason is enough; not every server sends `[DONE]`."""
        if not (self.finished or self._finish_reason):
            return None
        calls = self._calls.finished()
        finish = _FINISH.get(self._finish_reason or "stop", "stop")
        return ModelResult(
            finish_reason="tool_calls" if calls and finish == "stop" else finish,
            usage=self._usage,
            tool_calls=calls,
            stop_sequence=self._stop_sequence,
        )

    def _take(self, delta: _Delta, deltas: list[ModelDelta]) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            deltas.append(Reasoning(thought))
        if delta.content:
            deltas.append(Text(delta.content))
        for piece in delta.tool_calls or ():
            function = piece.function
            deltas.append(
                self._calls.add(piece.index, piece.id or "", function.name or "", function.arguments or "")
            )
