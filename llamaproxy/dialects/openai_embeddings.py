"""OpenAI's embeddings.

Source: https://platform.openai.com/docs/api-reference/embeddings. openai-python and openai-node ask for base64
unless told otherwise: a vector's numbers as little-endian 32-bit floats.
"""

import sys
from array import array
from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.json import Decoder

from ..seams.errors import BadRequest
from ..seams.types import Embeddings
from .body import Name, decode_body
from .parsing import texts_of
from .vectors import MAX_TEXTS, EmbedRequest, in_pieces


class _Body(Struct):
    """Body of POST /v1/embeddings."""

    input: str | list[Any] | None = None
    model: Name | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


_body = Decoder(_Body)


class PackableRequest(EmbedRequest, frozen=True):
    """A request that may ask for its vectors in base64."""

    base64: bool = False


def parse(body: bytes) -> PackableRequest:
    """Body of POST /v1/embeddings."""
    asked = decode_body(body, _body)
    texts = texts_of(asked.input, "input")
    if not 0 < len(texts) <= MAX_TEXTS:
        raise BadRequest(f"input: from 1 to {MAX_TEXTS} texts are needed")
    if not all(texts):
        raise BadRequest(f"input[{texts.index('')}]: the text is empty")
    return PackableRequest(
        asked.model or "", tuple(texts), asked.dimensions, asked.encoding_format == "base64"
    )


def answer(request: PackableRequest, embeddings: Embeddings) -> Iterator[bytes]:
    """Body of the answer, in pieces."""
    form = _packed if request.base64 else array.tolist
    tokens = embeddings.prompt_tokens
    return in_pieces(
        {
            "object": "list",
            "model": request.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
        "data",
        embeddings.vectors,
        lambda index, vector: {"object": "embedding", "index": index, "embedding": form(vector)},
    )


def _packed(vector: "array[float]") -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode("ascii")
