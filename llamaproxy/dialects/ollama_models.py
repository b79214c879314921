"""Ollama's dialect, the models' side: lists, cards, what runs, and the little that its CLI asks beside them.

Source: Ollama's `api/types.go`, `server/routes.go` and `cmd/cmd.go` (0.33). Whoever lists models is strict: every text
is there and no null, a time has a zone, a digest has more than the twelve characters that the CLI cuts off.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from ..seams.errors import BadRequest
from ..seams.types import ModelInfo
from .base import to_json
from .body import Name, decode_body
from .names import tagged

# Open WebUI compares the dotted integers; the CLI warns when it is not its own version.
VERSION = "0.33.0"

# The CLI shows what is over twenty years ahead as "Forever".
_FOREVER = "2200-01-01T00:00:00Z"


class _NamedBody(Struct):
    """A body that names one model: as `model`, or as `name` beside an empty `model`, as the CLI sends it."""

    model: Name | None = None
    name: Name | None = None


_named_body = Decoder(_NamedBody)


def parse_name(body: bytes) -> str:
    """The model that a request is about (POST /api/show and its like); raises BadRequest if it names none."""
    named = decode_body(body, _named_body)
    name = named.model or named.name
    if not name:
        raise BadRequest("model: a name is needed")
    return name


def tags(models: Sequence[ModelInfo], takes_tools: bool = False) -> bytes:
    """Body of GET /api/tags."""
    return _tags(tuple(models), takes_tools)


# Apps ask for it again and again, and it rarely changes.
@lru_cache(maxsize=8)
def _tags(models: tuple[ModelInfo, ...], takes_tools: bool) -> bytes:
    return to_json(
        {
            "models": [
                {
                    **_entry(info, takes_tools),
                    "modified_at": rfc3339(info.modified_at),
                    "capabilities": capabilities(info, takes_tools),
                }
                for info in models
            ]
        }
    )


def ps(models: Sequence[ModelInfo], takes_tools: bool = False) -> bytes:
    """Body of GET /api/ps, which is about models that are loaded."""
    return to_json(
        {
            "models": [
                {
                    **_entry(info, takes_tools),
                    "expires_at": _FOREVER,
                    "size_vram": 0,
                    "context_length": info.context_length,
                }
                for info in models
            ]
        }
    )


def show(info: ModelInfo, takes_tools: bool = False) -> bytes:
    """Body of POST /api/show, `verbose` or not: there are no tensors to list.

    Swift clients need the four texts, and everybody needs `model_info`. What is not known is left out of it, as
    the CLI would print a zero.
    """
    return to_json(
        {
            "license": "",
            "modelfile": f"FROM {info.model_id}\n",
            "parameters": "",
            "template": "",
            "details": _details(info),
            "model_info": _model_info(info),
            "capabilities": capabilities(info, takes_tools),
            "modified_at": rfc3339(info.modified_at),
        }
    )


def version() -> bytes:
    """Body of GET /api/version."""
    return to_json({"version": VERSION})


def status() -> bytes:
    """Body of GET /api/status: the CLI's menu then offers no models of ollama.com."""
    return to_json({"cloud": {"disabled": True, "source": "config"}})


def recommendations(models: Sequence[ModelInfo]) -> bytes:
    """Body of GET /api/experimental/model-recommendations: our own, for with none the CLI offers some of its own."""
    return to_json(
        {
            "recommendations": [
                {
                    "model": info.key,
                    "description": info.description or info.model_id,
                    "context_length": info.context_length,
                }
                for info in models
            ]
        }
    )


def digest(info: ModelInfo, takes_tools: bool = False) -> str:
    """Unique for each model and its capabilities, since llm-ollama merges and remembers models by digest."""
    return sha256(to_json([info.key, info.model_id, info.kind, capabilities(info, takes_tools)])).hexdigest()


def capabilities(info: ModelInfo, takes_tools: bool = False) -> list[str]:
    """What the model can do for an app; it has tools of its own, and calls an app's where the operator allows that."""
    if info.embedding:
        return ["embedding"]
    more = [name for name, there in (("vision", info.vision), ("tools", takes_tools)) if there]
    return ["completion", *more]


def rfc3339(seconds: float) -> str:
    """A time in Unix seconds, with its zone."""
    # Rounded as `datetime` does it: of the whole number of microseconds the last one would be lost.
    second, fraction = divmod(seconds, 1)
    second, fraction = divmod(int(second) * 1_000_000 + round(fraction * 1_000_000), 1_000_000)
    return f"{_whole_second(second)}.{fraction:06}Z" if fraction else f"{_whole_second(second)}Z"


@lru_cache(maxsize=16)
def _whole_second(second: int) -> str:
    # Without "+00:00".
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def _entry(info: ModelInfo, takes_tools: bool) -> dict[str, Any]:
    name = tagged(info.key)
    return {
        "name": name,
        "model": name,
        "size": info.size,
        "digest": digest(info, takes_tools),
        "details": _details(info),
    }


def _details(info: ModelInfo) -> dict[str, Any]:
    family = _family(info)
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        # Enchanted offers its picture button for `clip`; it never looks at capabilities.
        "families": [family, "clip"] if info.vision else [family],
        "parameter_size": info.parameter_size,
        "quantization_level": info.quantization,
    }


def _model_info(info: ModelInfo) -> dict[str, Any]:
    family = _family(info)
    numbers = {
        "general.parameter_count": _parameter_count(info.parameter_size),
        f"{family}.context_length": info.context_length,
        f"{family}.embedding_length": info.embedding_length,
    }
    return {
        "general.architecture": family,
        "general.basename": info.key,
        **{key: number for key, number in numbers.items() if number},
    }


def _family(info: ModelInfo) -> str:
    return info.family or info.kind.lower()


def _parameter_count(size: str) -> int:
    """`135M` as 135000000; 0 when unknown."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT]?)", size.strip().upper())
    if parts is None:
        return 0
    return round(float(parts[1]) * 1000 ** " KMBT".index(parts[2] or " "))
