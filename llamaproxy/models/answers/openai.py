"""OpenAI's chat completions, streamed as Server-Sent Events, and what others made of them.

Source of the format: https://platform.openai.com/docs/api-reference/chat-streaming. `reasoning_content` is
what llama.cpp, vLLM and DeepSeek add to it, `reasoning` what OpenRouter and newer vLLM do; Mistral's content is a list
of parts, some of them thoughts; Moonshot puts the usage into the choice, Groq an error into `x_groq`.
"""

from typing import Any

from msgspec import Struct

from ...seams.types import Finish, ModelDelta, ModelResult, Reasoning, Text, Usage
from ..upstream.repeats import Repeats
from ..upstream.sse import EventSplitter
from .calls import CallCollector
from .ends import finish_of
from .extras import Extras
from .faults import fault, fault_in, is_fault, no_stream
from .kindly import anything, count, reader
from .parts import deltas_of, words_of


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: Any = None


class _CallPiece(Struct):
    """`name` and `arguments` stand in `function`; a few servers leave that out."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    name: str | None = None
    arguments: Any = None
    extra_content: Any = None
    provider_specific_fields: Any = None


class _Delta(Struct, frozen=True):
    """What is not text, thought or call is kept for the server as it is, see `Extras`."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[_CallPiece] | None = None
    function_call: _Function | None = None
    extra_content: Any = None
    reasoning_details: Any = None
    thinking_blocks: Any = None

    @property
    def has_extras(self) -> bool:
        """Whether there is anything of that kind."""
        return bool(self.extra_content or self.reasoning_details or self.thinking_blocks)


# What the last chunk's usually is.
_NOTHING = _Delta()


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Choice(Struct):
    """`message` is what an answer has that is not streamed, `text` what a completion that is no chat's has.

    `stop_reason` is vLLM's: the text (or the number of the token) that ended the answer.
    """

    delta: _Delta | None = None
    message: _Delta | None = None
    text: Any = None
    finish_reason: str | None = None
    stop_reason: Any = None
    usage: _Usage | None = None


class _Groq(Struct):
    error: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    x_groq: _Groq | None = None


_decode = reader(_Chunk)


def _text_of(chunk: _Chunk) -> str | None:
    """The text in a chunk that holds nothing else of interest."""
    if chunk.error or chunk.usage is not None or chunk.x_groq is not None or not chunk.choices:
        return None
    choice = chunk.choices[0]
    delta = choice.delta
    if delta is None or choice.finish_reason or choice.message is not None:
        return None
    if choice.text or choice.usage is not None:
        return None
    if delta.reasoning_content or delta.reasoning or delta.refusal or delta.tool_calls or delta.function_call:
        return None
    if delta.extra_content or delta.reasoning_details or delta.thinking_blocks:
        return None
    return delta.content if isinstance(delta.content, str) else None


def _text_in(data: bytes) -> str | None:
    return _text_of(_decode(data))


class _Rest:
    """What an answer has besides its words; most have nothing of it."""

    __slots__ = ("calls", "extras")

    def __init__(self, back_end: str) -> None:
        self.calls = CallCollector()
        self.extras = Extras(back_end)


class ChunkDecoder:
    """The `streaming.Decoder` of this format. `back_end` is whose answer it is, see `Message.extra`."""

    __slots__ = (
        "_at_start",
        "_back_end",
        "_events",
        "_finish",
        "_repeats",
        "_rest",
        "_said",
        "_stop_sequence",
        "_usage",
        "_who",
        "finished",
    )

    def __init__(self, who: str, back_end: str) -> None:
        self.finished = False
        self._back_end = back_end
        self._rest: _Rest | None = None
        self._at_start = True
        # Whether anything of an answer has come.
        self._said = False
        self._who = who
        self._events = EventSplitter()
        self._repeats = Repeats(_text_in)
        self._finish: Finish | None = None
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
            self._read(self._events.received(segment[:end] if end > 1 else segment), deltas)
            self._at_start = self._events.idle
            segment = segment[end:] if end > 1 else b""

    def ended(self, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        if self.finished:
            return
        last = self._events.ended()
        self._read(last, deltas)
        whole = last if self._events.is_whole else []
        if self._said and whole:
            self.finished = True
        elif not (self._said or self._finish) and (stray := self._events.stray or b"".join(whole)):
            raise no_stream(self._who, stray)

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`. A finish reason is enough; not every server sends `[DONE]`."""
        if not (self.finished or self._finish):
            return None
        rest = self._rest
        calls = rest.calls.finished(rest.extras.of_call) if rest else ()
        finish = self._finish or "stop"
        return ModelResult(
            finish_reason="tool_calls" if calls and finish == "stop" else finish,
            usage=self._usage,
            tool_calls=calls,
            stop_sequence=self._stop_sequence,
            extra=rest.extras.of_message() if rest else {},
        )

    def _read(self, events: list[bytes], deltas: list[ModelDelta]) -> None:
        said = b""
        for data in events:
            if not data.startswith(b"{") and self._is_word(data.strip()):
                if self.finished:
                    return
                continue
            chunk = _decode(data)
            if text := _text_of(chunk):
                said, self._said = data, True
                deltas.append(Text(text))
            else:
                self._take(chunk, data, deltas)
        if said:
            # Of an answer that is over with these there is nothing to be learned any more.
            self._repeats.learn(said)

    def _is_word(self, data: bytes) -> bool:
        """Whether this is no frame: the mark of the end, or a word that keeps the line open or explains itself."""
        if data.startswith((b"{", b"[{")):
            return False
        self.finished = data == b"[DONE]"
        self._events.stray = self._events.stray or data
        return True

    def _take(self, chunk: _Chunk, data: bytes, deltas: list[ModelDelta]) -> None:
        if is_fault(error := chunk.error or (chunk.x_groq and chunk.x_groq.error)):
            raise fault(self._who, error)
        if chunk.usage is not None:
            self._count(chunk.usage)
        if chunk.choices:
            # More than one were not asked for, and its number is not worth an answer.
            self._take_choice(chunk.choices[0], deltas)
        elif chunk.usage is None and (error := fault_in(anything(data))):
            raise fault(self._who, error)

    def _take_choice(self, choice: _Choice, deltas: list[ModelDelta]) -> None:
        before = len(deltas)
        if choice.delta is not None and choice.delta != _NOTHING:
            self._take_words(choice.delta, deltas)
        if choice.message is not None and not self._said and len(deltas) == before:
            # Not if there are pieces: with them Perplexity sends all that came before.
            self._take_words(choice.message, deltas)
        if choice.text is not None:
            deltas += deltas_of(choice.text)
        self._said = self._said or len(deltas) > before
        if choice.usage is not None:
            self._count(choice.usage)
        if choice.finish_reason:
            self._finish = finish_of(self._who, choice.finish_reason)
        if isinstance(choice.stop_reason, str):
            self._stop_sequence = choice.stop_reason

    def _take_words(self, said: _Delta, deltas: list[ModelDelta]) -> None:
        if thought := words_of(said.reasoning_content) or words_of(said.reasoning):
            deltas.append(Reasoning(thought))
            self._besides.extras.think(
                "reasoning_content" if said.reasoning_content else "reasoning", thought
            )
        if said.has_extras:
            self._besides.extras.add(
                extra_content=said.extra_content,
                reasoning_details=said.reasoning_details,
                thinking_blocks=said.thinking_blocks,
            )
        if isinstance(said.content, str):
            if said.content:
                deltas.append(Text(said.content))
        else:
            deltas += deltas_of(said.content)
        if refusal := words_of(said.refusal):
            deltas.append(Text(refusal))
        for piece in said.tool_calls or ():
            function = piece.function or _Function(piece.name, piece.arguments)
            added = self._besides.calls.add(
                piece.index, piece.id or "", function.name or "", function.arguments
            )
            deltas.append(added)
            self._besides.extras.add_to_call(
                added.index,
                extra_content=piece.extra_content,
                provider_specific_fields=piece.provider_specific_fields,
            )
        if old := said.function_call:
            deltas.append(self._besides.calls.add(None, "", old.name or "", old.arguments))

    @property
    def _besides(self) -> "_Rest":
        if self._rest is None:
            self._rest = _Rest(self._back_end)
        return self._rest

    def _count(self, usage: _Usage) -> None:
        self._usage = Usage(count(usage.prompt_tokens), count(usage.completion_tokens))
