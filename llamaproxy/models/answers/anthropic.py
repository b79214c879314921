"""Anthropic's Messages API, streamed as Server-Sent Events.

Source of the format: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from typing import Any

from msgspec import Struct

from ...seams.types import Finish, ModelDelta, ModelResult, Reasoning, Text, Usage
from ..requests.vendors import BLOCKS
from ..upstream.sse import OVERHEAD, EventSplitter, TooLongError
from .calls import CallCollector
from .ends import finish_of
from .extras import kept
from .faults import fault, fault_in, no_stream
from .kindly import anything, count, reader
from .parts import words_of

# What the thoughts of one answer that go back to the API may take in memory.
MAX_THOUGHTS = 16 * 1024 * 1024


class _Usage(Struct):
    """Of the prompt, what came from the cache or went into it is counted apart from the rest."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Block(Struct, frozen=True):
    """A block as it begins, which may hold something already; or all of it, in an answer that is not streamed."""

    type: str | None = None
    id: str | None = None
    name: str | None = None
    text: Any = None
    thinking: Any = None
    signature: str | None = None
    data: str | None = None
    input: Any = None


class _Message(Struct, frozen=True):
    """How an answer begins; some servers have it begin with words."""

    content: list[_Block] | None = None
    usage: _Usage | None = None


class _Delta(Struct, frozen=True):
    """Of a block, or (with `stop_reason`) of the message."""

    text: Any = None
    thinking: Any = None
    signature: str | None = None
    partial_json: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct):
    """What is not in an event is what an answer has that is not streamed: `content` and the reason of its end."""

    type: str | None = None
    index: int | None = None
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


_decode = reader(_Event)


class EventDecoder:
    """The `streaming.Decoder` of this format. `back_end` is whose answer it is, see `Message.extra`.

    What an event holds says what it is; its type does so as well, and is not needed.
    """

    def __init__(self, who: str, back_end: str) -> None:
        self.finished = False
        self._who = who
        self._back_end = back_end
        self._events = EventSplitter()
        self._calls = CallCollector()
        # The calls under way: the input that they began with, None once a piece of it came.
        self._inputs: dict[int, Any] = {}
        # The thoughts by their number, in pieces.
        self._blocks: dict[int, tuple[str, dict[str, list[str]]]] = {}
        self._size = 0
        # Of the block that has come last.
        self._index = 0
        self._said = False
        self._finish: Finish | None = None
        self._stop_sequence: str | None = None
        self._usage = _Usage()

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        self._read(self._events.received(segment), deltas)

    def ended(self, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`. The reason of the end is enough of one."""
        if self.finished:
            return
        last = self._events.ended()
        self._read(last, deltas)
        whole = last if self._events.is_whole else []
        if self._finish or (self._said and whole):
            self._close()
        elif not self._said and (stray := self._events.stray or b"".join(whole)):
            raise no_stream(self._who, stray)

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`."""
        if not self.finished:
            return None
        usage, calls = self._usage, self._calls.finished()
        prompt = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        finish = self._finish or "stop"
        return ModelResult(
            finish_reason="tool_calls" if calls and finish == "stop" else finish,
            usage=Usage(sum(map(count, prompt)), count(usage.output_tokens)),
            tool_calls=calls,
            stop_sequence=self._stop_sequence,
            extra=self._extra(bool(calls)),
        )

    def _extra(self, called: bool) -> dict[str, dict[str, Any]]:
        """The thoughts as the API wants them back: none at all must be told apart from forgotten ones."""
        blocks = [
            {"type": kind, **{name: "".join(pieces) for name, pieces in fields.items()}}
            for kind, fields in self._blocks.values()
        ]
        # A thought that was cut off has no signature; what led to a call is whole.
        whole = [block for block in blocks if called or block.get("signature") or "data" in block]
        return kept(self._back_end, {BLOCKS: whole}) if whole or called else {}

    def _read(self, events: list[bytes], deltas: list[ModelDelta]) -> None:
        for data in events:
            if not data.startswith(b"{") and not data.lstrip().startswith((b"{", b"[{")):
                self._events.stray = self._events.stray or data
                continue
            event = _decode(data)
            if text := _text_of(event):
                self._said = True
                deltas.append(Text(text))
                continue
            before = len(deltas)
            self._take(event, data, deltas)
            self._said = self._said or len(deltas) > before
            if self.finished:
                return

    def _take(self, event: _Event, data: bytes, deltas: list[ModelDelta]) -> None:
        if event.index is not None:
            self._index = event.index
        if event.delta is not None and event.type != "message_delta":
            self._go_on(event.delta, deltas)
        elif event.content_block is not None:
            self._open(event.content_block, deltas)
        elif event.type == "message_stop":
            self._close()
        elif event.type == "error" or event.error:
            raise fault(self._who, event.error or anything(data))
        elif not _is_answer(event) and (error := fault_in(anything(data))):
            raise fault(self._who, error)
        if event.message is not None:
            self._count(event.message.usage)
            self._open_all(event.message.content, deltas)
        self._open_all(event.content, deltas)
        for end in (event, event.delta):
            if end is not None:
                self._end(end.stop_reason, end.stop_sequence)
        self._count(event.usage)

    def _open_all(self, blocks: list[_Block] | None, deltas: list[ModelDelta]) -> None:
        for index, block in enumerate(blocks or ()):
            self._index = index
            self._open(block, deltas)

    def _open(self, block: _Block, deltas: list[ModelDelta]) -> None:
        if block.type == "tool_use":
            deltas.append(self._calls.add(self._index, block.id or "", block.name or "", ""))
            self._inputs[self._index] = block.input
        elif block.type == "redacted_thinking":
            self._keep("redacted_thinking", data=block.data)
        else:
            if block.type == "thinking":
                self._keep("thinking", thinking="", signature="")
            self._go_on(_Delta(block.text, block.thinking, block.signature), deltas)

    def _go_on(self, delta: _Delta, deltas: list[ModelDelta]) -> None:
        if text := words_of(delta.text):
            deltas.append(Text(text))
        if thinking := words_of(delta.thinking):
            deltas.append(Reasoning(thinking))
        if thinking or delta.signature:
            self._keep("thinking", thinking=thinking, signature=delta.signature)
        # Tools that the API runs itself have input, too, and are none of ours.
        if delta.partial_json and self._index in self._inputs:
            self._inputs[self._index] = None
            deltas.append(self._calls.add(self._index, "", "", delta.partial_json))

    def _keep(self, kind: str, **pieces: str | None) -> None:
        """Keeps what the API wants back of a thought."""
        _, fields = self._blocks.setdefault(self._index, (kind, {}))
        for name, piece in pieces.items():
            if piece is not None:
                fields.setdefault(name, []).append(piece)
                self._size += len(piece) + OVERHEAD
        if self._size > MAX_THOUGHTS:
            raise TooLongError(f"thoughts of more than {MAX_THOUGHTS} bytes")

    def _count(self, usage: _Usage | None) -> None:
        """Takes over the counts that came; they are totals so far, not increments."""
        for name in _Usage.__struct_fields__ if usage else ():
            if (number := getattr(usage, name)) is not None:
                setattr(self._usage, name, number)

    def _end(self, reason: str | None, sequence: str | None) -> None:
        if reason:
            self._finish = finish_of(self._who, reason)
        self._stop_sequence = sequence or self._stop_sequence

    def _close(self) -> None:
        """The answer is over."""
        self.finished = True
        for index, arguments in self._inputs.items():
            if arguments:
                self._calls.add(index, "", "", arguments)


def _text_of(event: _Event) -> str | None:
    """The text in an event that holds nothing else of interest, as most do."""
    delta = event.delta
    if event.type != "content_block_delta" or delta is None or delta.thinking or delta.partial_json:
        return None
    return delta.text if isinstance(delta.text, str) else None


def _is_answer(event: _Event) -> bool:
    """Whether there is anything of an answer in an event."""
    return bool(event.delta or event.message or event.usage or event.content)
