"""What state the models are in, as far as files and environment tell."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from ..config import ConfigError, Home, JsonFile
from ..config.load import load_entry, section
from .printer import Sign

READY = Sign("✓", "green", "ready")
KEY_MISSING = Sign("⚠", "yellow", "key missing")
WEIGHTS_MISSING = Sign("⚠", "yellow", "weights missing")
DISABLED = Sign("○", "yellow", "disabled")
BROKEN = Sign("✗", "red", "has issues")


class Status(NamedTuple):
    """A model's sign, and what to do about it (empty when it is ready)."""

    sign: Sign
    cure: str = ""


def status_of(home: Home, key: str, raw: Any) -> Status:
    """What keeps the model of this entry from answering, as far as files and environment tell."""
    try:
        entry = load_entry(home.models_file, key, raw)
    except ConfigError as error:
        return Status(BROKEN, str(error))
    if not entry.enabled:
        return Status(DISABLED, f"agentctl model-enable {key}")
    if entry.env_key and not (os.environ.get(entry.env_key) or home.read_env().get(entry.env_key)):
        return Status(KEY_MISSING, f"add {entry.env_key}=... to {home.env_file}")
    if entry.type == "LOCAL" and not holds_weights(home.weights_file(entry.model_id)):
        return Status(WEIGHTS_MISSING, f"agentctl model-pull {entry.model_id}")
    return Status(READY)


def holds_weights(file: Path) -> bool:
    """Whether there is a file, and it begins as GGUF weights do."""
    try:
        with file.open("rb") as opened:
            return opened.read(4) == b"GGUF"
    except OSError:
        return False


def summary(home: Home) -> str:
    """One line: the default model, and how many are ready."""
    content = JsonFile(home.models_file).read()
    entries = entries_in(content, home)
    ready = sum(status_of(home, key, raw).sign is READY for key, raw in entries.items())
    return f"default model: {content.get('default_model')}, {ready} of {len(entries)} ready"


def entries_in(content: dict[str, Any], home: Home) -> dict[str, Any]:
    """The entries by key inside `content`, the object in `llm-models.json`. Raises `ConfigError` if they are none."""
    return section(content, home.models_file, "models")
