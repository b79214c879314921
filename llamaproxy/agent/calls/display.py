"""What a user sees of a turn's tools: short tags beside the answer, as the session's settings want them."""

from collections.abc import Callable, Mapping
from typing import Any

from ..replies.reply import Reply

PREVIEW_LENGTH = "tool_preview_length"
SUPPRESS = "tool_suppress"
STREAM = "agent_call_stream"

_ARGUMENTS_SHOWN = 200


class ToolDisplay:
    """Writes tags into `reply`; `settings` are the session's, over the agent's `defaults`.

    `tool_preview_length` is in characters, 0 or less for all of a result. With `agent_call_stream` the text that a
    tool has while it runs is shown as it comes.
    """

    def __init__(self, reply: Reply, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._reply = reply
        self._suppressed = bool(settings.get(SUPPRESS, defaults[SUPPRESS]))
        self._length = int(settings.get(PREVIEW_LENGTH, defaults[PREVIEW_LENGTH]))
        self._streams = bool(settings.get(STREAM, defaults[STREAM])) and not self._suppressed
        self._speaker: Live | None = None
        self._line_open = False

    def begins(self, name: str, arguments: str) -> None:
        """A tool starts."""
        self._tag(f"[{name} {_one_line(arguments, _ARGUMENTS_SHOWN)}]")

    def live(self) -> "Live":
        """Where a tool puts the text that it has while it runs."""
        return Live(self._speak)

    def returns(self, name: str, result: str, live: "Live") -> None:
        """A tool has a result, good or bad; it is not shown twice."""
        name = f"{name}: {live.who}" if live.who else name
        if live.length == len(result):
            self._tag(f"[{name} has answered]")
            return
        length = self._length if self._length > 0 else len(result)
        cut = "..." if len(result) > length else ""
        self._tag(f"[{name}: {result[:length]}{cut}]")

    def remarks(self, text: str) -> None:
        """The turn goes another way than the model wanted."""
        self._tag(f"[{text}]")

    def _speak(self, live: "Live", text: str) -> bool:
        """Shows a piece of live text, "" at its end. Of several tools only one at a time may speak."""
        if not self._streams or self._speaker not in (None, live):
            return False
        self._speaker = live if text else None
        if text:
            self._reply.murmur(text)
            self._line_open = not text.endswith("\n")
        return True

    def _tag(self, text: str) -> None:
        if not self._suppressed:
            before = "\n" if self._line_open else ""
            self._line_open = False
            self._reply.murmur(f"{before}{text}\n")


class Live:
    """The text of one running tool as far as it is shown; `length` is how much of it was, in characters.

    `who` is whose words they are. What could not be shown from its first piece on, since another tool was speaking, is
    not shown at all.
    """

    def __init__(self, speak: Callable[["Live", str], bool]) -> None:
        self.who = ""
        self.length = 0
        self._speak = speak
        self._silent = False

    def show(self, who: str, text: str) -> None:
        """Shows a piece of what `who` says."""
        if text and not self._silent:
            self._silent = not self._speak(self, text if self.who else f"{who}: {text}")
            self.length += 0 if self._silent else len(text)
            self.who = who

    def end(self) -> None:
        """There is no more; the next tool may speak."""
        if self.length:
            self._speak(self, "")
        self._silent = True


def _one_line(text: str, length: int) -> str:
    line = " ".join(text[: 2 * length].split())
    return line if len(line) <= length else f"{line[:length]}..."
