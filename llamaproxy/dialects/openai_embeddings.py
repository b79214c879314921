"""OpenAI's embeddings.

Source: https://platform.openai.com/docs/api-reference/embeddings. openai-python and openai-node ask for base64
unless told otherwise: a vector's numbers as little-endian 32-bit floats.
"""

import sys
from array import array
from base64 import b64encode
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.json import Decoder, encode

from ..agent.errors import BadRequest
from ..agent.types import Embeddings
from .base import EmbedRequest
from .parsing import Name, decode_body, texts_of

# OpenAI's own limit.
MAX_TEXTS = 2048


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


def answer(request: PackableRequest, embeddings: Embeddings) -> bytes:
    """Body of the answer."""
    form = _packed if request.base64 else array.tolist
    return encode(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": form(vector)}
                for index, vector in enumerate(embeddings.vectors)
            ],
            "model": request.model,
            "usage": {
                "prompt_tokens": embeddings.prompt_tokens,
                "total_tokens": embeddings.prompt_tokens,
            },
        }
    )


def _packed(vector: "array[float]") -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode("ascii")
