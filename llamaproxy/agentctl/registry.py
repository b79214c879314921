"""What state the models are in, as far as files and environment tell."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from ..config import ConfigError, Home, JsonFile
from ..config.checks import section
from ..config.home import said_for
from ..config.load import load_entry
from ..config.modules import find_agent
from ..config.variables import shown_name
from .printer import Printer, Sign

READY = Sign("✓", "green", "ready")
KEY_MISSING = Sign("⚠", "yellow", "key missing")
WEIGHTS_MISSING = Sign("⚠", "yellow", "weights missing")
DISABLED = Sign("○", "yellow", "disabled")
BROKEN = Sign("✗", "red", "has issues")


# Types that need no look into the plugin folders, which takes a while.
BUILT_IN = ("OPENAI", "OLLAMA", "ANTHROPIC", "LOCAL", "AGENT", "PYTHON")


class Status(NamedTuple):
    """A model's sign, and what to do about it; of a ready one what else there is to know, mostly nothing."""

    sign: Sign
    cure: str = ""


def status_of(home: Home, key: str, raw: Any) -> Status:
    """What keeps the model of this entry from answering, as far as files and environment tell."""
    try:
        entry = load_entry(home.models_file, key, raw)
    except ConfigError as error:
        return Status(BROKEN, str(error))
    if not entry.enabled:
        return Status(DISABLED, said_for(home, f"model-enable {key}"))
    if problem := type_problem(entry.type):
        return Status(BROKEN, f"{home.models_file}: models.{key}.type: {problem}")
    if entry.env_key and not (os.environ.get(entry.env_key) or home.read_env().get(entry.env_key)):
        return Status(KEY_MISSING, f"add {shown_name(entry.env_key)}=... to {home.env_file}")
    if entry.type == "LOCAL" and not holds_weights(home.weights_file(entry.model_id)):
        return Status(WEIGHTS_MISSING, said_for(home, f"model-pull {entry.model_id}"))
    if entry.type == "PYTHON":
        return _status_of_agent(home, key, entry.model_id)
    return Status(READY)


def _status_of_agent(home: Home, key: str, model_id: str) -> Status:
    """Of an agent's code as much as shows without running it."""
    try:
        place = find_agent(home, key, model_id)
    except ConfigError as error:
        return Status(BROKEN, str(error))
    return Status(READY, f"found {place.file}; whether it can be imported shows when the server starts")


def type_problem(kind: str) -> str:
    """Why no model of this type can be made: it is neither built in nor a plugin's. Empty if one can."""
    if kind in BUILT_IN:
        return ""
    from ..models.registry import find_builder

    try:
        find_builder(kind)
    except LookupError as unknown:
        return str(unknown)
    return ""


def holds_weights(file: Path) -> bool:
    """Whether there is a file, and it begins as GGUF weights do."""
    try:
        with file.open("rb") as opened:
            return opened.read(4) == b"GGUF"
    except OSError:
        return False


def summarise(home: Home, printer: Printer) -> None:
    """One line with the default model and how many are ready, and one for each that is broken."""
    content = JsonFile(home.models_file).read()
    states = {key: status_of(home, key, raw) for key, raw in entries_in(content, home).items()}
    ready = sum(status.sign is READY for status in states.values())
    printer.line(f"default model: {content.get('default_model')}, {ready} of {len(states)} ready")
    for key, status in states.items():
        if status.sign is BROKEN:
            printer.line(f"  {printer.sign(BROKEN)} {key}: {status.cure}")


def entries_in(content: dict[str, Any], home: Home) -> dict[str, Any]:
    """The entries by key inside `content`, the object in `llm-models.json`. Raises `ConfigError` if they are none."""
    return section(content, home.models_file, "models")
