"""What a user sees of a turn's tools: short tags beside the answer, as the session's settings want them."""

from collections.abc import Mapping
from typing import Any

from .reply import Reply

PREVIEW_LENGTH = "tool_preview_length"
SUPPRESS = "tool_suppress"

_ARGUMENTS_SHOWN = 200


class ToolDisplay:
    """Writes tags into `reply`; `settings` are the session's, over the agent's `defaults`.

    `tool_preview_length` is in characters, 0 or less for all of a result.
    """

    def __init__(self, reply: Reply, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._reply = reply
        self._suppressed = bool(settings.get(SUPPRESS, defaults[SUPPRESS]))
        self._length = int(settings.get(PREVIEW_LENGTH, defaults[PREVIEW_LENGTH]))

    def begins(self, name: str, arguments: str) -> None:
        """A tool starts."""
        self._tag(f"[{name} {_one_line(arguments, _ARGUMENTS_SHOWN)}]")

    def returns(self, name: str, result: str) -> None:
        """A tool has a result, good or bad."""
        length = self._length if self._length > 0 else len(result)
        cut = "..." if len(result) > length else ""
        self._tag(f"[{name}: {result[:length]}{cut}]")

    def remarks(self, text: str) -> None:
        """The turn goes another way than the model wanted."""
        self._tag(f"[{text}]")

    def _tag(self, text: str) -> None:
        if not self._suppressed:
            self._reply.murmur(f"{text}\n")


def _one_line(text: str, length: int) -> str:
    line = " ".join(text[: 2 * length].split())
    return line if len(line) <= length else f"{line[:length]}..."
