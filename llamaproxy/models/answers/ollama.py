"""Ollama's own `/api/chat`, streamed as one JSON object a line.

Source of the format: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from typing import Any

from msgspec import Struct

from ...seams.types import Finish, ModelDelta, ModelResult, Reasoning, Text, Usage
from ..upstream.sse import BYTE_ORDER_MARK, LineSplitter, Pieces
from .calls import CallCollector
from .ends import finish_of
from .extras import Extras
from .faults import fault, fault_in, is_fault, no_stream
from .kindly import anything, count, reader
from .parts import deltas_of, words_of

# The bytes of a line that is no object which are kept, to be told should there be no answer.
_STRAY = 1024


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: Any = None


class _Call(Struct, frozen=True):
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, frozen=True):
    content: Any = None
    thinking: Any = None
    tool_calls: list[_Call] | None = None


class _Line(Struct):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


_decode = reader(_Line)


class LineDecoder:
    """The `streaming.Decoder` of this format. A tool call comes whole, its arguments as an object.

    `back_end` is whose answer it is, see `Message.extra`.
    """

    def __init__(self, who: str, back_end: str) -> None:
        self.finished = False
        self._who = who
        self._extras = Extras(back_end)
        self._lines = LineSplitter()
        # The lines of an object that was written over several.
        self._whole = Pieces()
        self._stray = b""
        self._calls = CallCollector()
        self._said = self._is_over = False
        self._finish: Finish = "stop"
        self._usage: Usage | None = None

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        for line in self._lines.received(segment):
            self._read(line, deltas)
            if self.finished:
                return

    def ended(self, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        if self.finished:
            return
        self._read(self._lines.ended(), deltas)
        if self._whole:
            self._take(self._whole.taken(), deltas)
        if self._stray and not (self._said or self._is_over):
            raise no_stream(self._who, self._stray)

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`."""
        if not self._is_over:
            return None
        calls = self._calls.finished()
        return ModelResult(
            finish_reason="tool_calls" if calls and self._finish == "stop" else self._finish,
            usage=self._usage,
            tool_calls=calls,
            extra=self._extras.of_message(),
        )

    def _read(self, line: bytes, deltas: list[ModelDelta]) -> None:
        # Some proxies send it as events.
        line = line.removeprefix(BYTE_ORDER_MARK).removeprefix(b"data:").strip()
        if self._whole or line == b"{":
            self._whole.add(line)
        elif line.startswith(b"{"):
            self._take(line, deltas)
        else:
            self._stray = self._stray or line[:_STRAY]

    def _take(self, data: bytes, deltas: list[ModelDelta]) -> None:
        line = _decode(data)
        if is_fault(line.error):
            raise fault(self._who, line.error)
        if line.message is not None:
            self._take_message(line.message, deltas)
        elif not line.done:
            if error := fault_in(anything(data)):
                raise fault(self._who, error)
            self._stray = self._stray or data[:_STRAY]
        if line.done or line.done_reason:
            self._is_over = True
            # Where nothing else says that it was the last line, the end of the stream may.
            says = line.message is not None and bool(line.message.content)
            self.finished = line.done and (bool(line.done_reason) or line.eval_count is not None or not says)
            if line.prompt_eval_count is not None or line.eval_count is not None:
                self._usage = Usage(count(line.prompt_eval_count), count(line.eval_count))
            self._finish = finish_of(self._who, line.done_reason or "stop")

    def _take_message(self, message: _Message, deltas: list[ModelDelta]) -> None:
        self._said = True
        if thought := words_of(message.thinking):
            deltas.append(Reasoning(thought))
            self._extras.think("thinking", thought)
        if isinstance(message.content, str):
            if message.content:
                deltas.append(Text(message.content))
        else:
            deltas += deltas_of(message.content)
        for call in message.tool_calls or ():
            function = call.function or _Function()
            deltas.append(self._calls.add_whole(call.id or "", function.name or "", function.arguments))
