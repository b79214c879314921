"""What lists and cards show of a model, as far as its entry tells."""

from typing import Any

from msgspec.structs import replace

from ..config.schema import ModelEntry
from ..seams.types import ModelInfo


def card(key: str, entry: ModelEntry, **known: Any) -> ModelInfo:
    """The card of an entry; `known` are fields of `ModelInfo` that the back end knows better, or alone."""
    told = ModelInfo(
        key=key,
        model_id=entry.model_id,
        kind=entry.type,
        description=entry.description,
        enabled=entry.enabled,
        vision=entry.vision,
        embedding=entry.embedding,
        context_length=entry.context_length or 0,
    )
    return replace(told, **known)
