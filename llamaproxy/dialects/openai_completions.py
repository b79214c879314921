"""OpenAI's older endpoint for completions of a bare prompt, which some apps still use.

Source: https://platform.openai.com/docs/api-reference/completions
"""

from typing import Any

from msgspec.json import Decoder

from ..seams.errors import BadRequest
from ..seams.types import ReplyEnd
from .base import ChatRequest
from .body import Name, decode_body
from .brought import Brought
from .fields import CommonFields, identity_of, ignored_of
from .openai import ChunkEncoder, StreamOptions
from .options import read_options
from .outline import Outline
from .parsing import texts_of, turn_of


class _Body(CommonFields):
    """Body of POST /v1/completions, as far as it is read; there is always one choice, whatever `n` asks for."""

    model: Name | None = None
    prompt: str | list[Any] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None


_body = Decoder(_Body)


def parse(body: bytes) -> ChatRequest:
    """Body of POST /v1/completions; streams only when asked to."""
    asked = decode_body(body, _body)
    texts = texts_of(asked.prompt, "prompt")
    if len(texts) != 1 or not texts[0].strip():
        raise BadRequest("prompt: exactly one text is needed")
    return ChatRequest(
        turn=turn_of(texts[0], read_options(max_tokens=asked.max_tokens, stop=asked.stop)),
        model=asked.model or "",
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        outline=Outline(prompt=texts[0]),
        brought=Brought(asked, has_calls=False),
        ignored=ignored_of(asked),
        identity=identity_of(asked),
    )


class CompletionEncoder(ChunkEncoder):
    """A completion. Its chunks are of the same kind as the whole."""

    prefix, kind, chunk_kind = "cmpl", "text_completion", "text_completion"
    text, reasoning = '"text":', '"text":"","reasoning_content":'
    silence, closing = '"text":""', ',"logprobs":null'

    def _answer(self, text: str, reasoning: str, end: ReplyEnd) -> dict[str, Any]:
        return {"text": text}
