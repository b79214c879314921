"""Model names as clients spell them."""

from collections.abc import Sequence

from ..seams.errors import NoSuchModel
from ..seams.types import ModelInfo


def find_model(name: str, models: Sequence[ModelInfo]) -> ModelInfo:
    """The model that a client means by `name`; raises NoSuchModel."""
    for info in models:
        if matches(name, info.key):
            return info
    raise NoSuchModel(f"model '{name}' not found")


def matches(name: str, key: str) -> bool:
    """Whether `name` means the model `key`: case does not matter, and a missing tag is `latest`."""
    return tagged(name).lower() == tagged(key).lower()


def tagged(name: str) -> str:
    """`name` with its tag, as Ollama lists it."""
    # A colon before the last slash is a registry's port.
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
