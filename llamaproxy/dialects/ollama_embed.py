"""Ollama's dialect, embeddings: the current endpoint and the old one.

Source: Ollama's `api/types.go` and `server/routes.go` (0.33).
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct, json

from ..seams.types import Embeddings
from .body import Name, decode_body
from .vectors import MAX_TEXTS, EmbedRequest, in_pieces


class _EmbedBody(Struct):
    """Body of POST /api/embed, as far as it is read."""

    model: Name | None = None
    input: Annotated[list[str], Meta(max_length=MAX_TEXTS)] | str | None = None
    dimensions: Annotated[int, Meta(ge=0, le=2**31)] | None = None


class _OldBody(Struct):
    """Body of POST /api/embeddings, as far as it is read."""

    model: Name | None = None
    prompt: str | None = None


_embed_body = json.Decoder(_EmbedBody)
_old_body = json.Decoder(_OldBody)


def parse_embed(body: bytes) -> EmbedRequest:
    """Body of POST /api/embed; an empty input is no text at all, as Ollama has it."""
    asked = decode_body(body, _embed_body)
    texts = asked.input if isinstance(asked.input, list) else [asked.input] if asked.input else []
    return EmbedRequest(asked.model or "", tuple(texts), asked.dimensions or None)


def parse_old_embed(body: bytes) -> EmbedRequest:
    """Body of POST /api/embeddings."""
    asked = decode_body(body, _old_body)
    return EmbedRequest(asked.model or "", (asked.prompt,) if asked.prompt else ())


def embed(request: EmbedRequest, made: Embeddings, seconds: float) -> Iterator[bytes]:
    """Answer to POST /api/embed, in pieces; `seconds` is what it took."""
    return in_pieces(
        {
            "model": request.model,
            "total_duration": int(seconds * 1_000_000_000),
            "load_duration": 0,
            "prompt_eval_count": made.prompt_tokens,
        },
        "embeddings",
        made.vectors,
        lambda _, vector: vector.tolist(),
    )


def old_embed(made: Embeddings) -> bytes:
    """Answer to POST /api/embeddings."""
    return json.encode({"embedding": made.vectors[0].tolist() if made.vectors else []})
