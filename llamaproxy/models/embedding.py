"""Embeddings: texts to vectors, by servers that speak OpenAI's or Ollama's format.

Sources of the formats: https://platform.openai.com/docs/api-reference/embeddings and
https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, json

from ..config.schema import ModelEntry
from ..seams.errors import ModelError
from ..seams.types import Embeddings
from .upstream.call import fetch
from .upstream.refusals import UNREADABLE
from .upstream.upstream import Upstream
from .upstream.wire import encode

# Texts that a server is asked for at a time: the reactor decodes each answer in one go, a few milliseconds for this.
BATCH = 64


class _Vector(Struct):
    embedding: list[float]
    index: int = 0


class _Usage(Struct):
    prompt_tokens: int | None = None


class _OpenAIAnswer(Struct):
    data: list[_Vector]
    usage: _Usage | None = None


class _OllamaAnswer(Struct):
    embeddings: list[list[float]]
    prompt_eval_count: int | None = None


_decode_openai = json.Decoder(_OpenAIAnswer).decode
_decode_ollama = json.Decoder(_OllamaAnswer).decode

Answer = tuple[list[list[float]], int]


def read_openai(body: bytes) -> Answer:
    """The vectors of a `/v1/embeddings` answer, and its token count. Raises `DecodeError`."""
    answer = _decode_openai(body)
    vectors = [each.embedding for each in sorted(answer.data, key=lambda each: each.index)]
    return vectors, (answer.usage and answer.usage.prompt_tokens) or 0


def read_ollama(body: bytes) -> Answer:
    """The vectors of an `/api/embed` answer, and its token count. Raises `DecodeError`."""
    answer = _decode_ollama(body)
    return answer.embeddings, answer.prompt_eval_count or 0


class Embedding:
    """Asks one server for embeddings; `path` and `read` are those of its format."""

    def __init__(
        self, entry: ModelEntry, upstream: Upstream, path: str, read: Callable[[bytes], Answer]
    ) -> None:
        self._entry = entry
        self._upstream = upstream
        self._path = path
        self._read = read

    async def ask(self, texts: Sequence[str], dimensions: int | None) -> Embeddings:
        """As `IEmbedder.embed` has it."""
        vectors: list[array[float]] = []
        tokens = 0
        for start in range(0, len(texts), BATCH):
            some, count = await self._batch(texts[start : start + BATCH], dimensions)
            vectors += [array("d", vector) for vector in some]
            tokens += count
        return Embeddings(vectors=tuple(vectors), prompt_tokens=tokens)

    async def _batch(self, texts: Sequence[str], dimensions: int | None) -> Answer:
        body: dict[str, Any] = {"model": self._entry.model_id, "input": texts}
        if dimensions is not None:
            body["dimensions"] = dimensions
        who = self._upstream.who
        answer = await fetch(self._upstream, self._path, encode(body | self._entry.extra))
        try:
            vectors, count = self._read(answer)
        except UNREADABLE as garbled:
            raise ModelError(f"{who} sent what cannot be read: {garbled}") from None
        if len(vectors) != len(texts):
            raise ModelError(f"{who} sent {len(vectors)} embeddings for {len(texts)} texts")
        return vectors, count
