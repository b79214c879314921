"""The content of a message, which may be a text, or parts of which some are thoughts."""

from collections.abc import Iterator
from typing import Any

from ...seams.types import Reasoning, Text

# What holds the words of a part, in the order in which they are looked for.
_WORDS = ("text", "thinking", "reasoning", "summary", "content", "refusal", "value")
_THOUGHTS = ("thinking", "reasoning", "thought", "thoughts")


def deltas_of(content: Any) -> Iterator[Text | Reasoning]:
    """What is said in `content`, in its order."""
    if isinstance(content, int | float) and not isinstance(content, bool):
        content = str(content)
    for part in content if isinstance(content, list) else [content]:
        if not (words := words_of(part)):
            continue
        if isinstance(part, dict) and (part.get("type") in _THOUGHTS or part.get("thought") is True):
            yield Reasoning(words)
        else:
            yield Text(words)


def words_of(part: Any) -> str:
    """The words in a part, however deep they lie; empty if there are none."""
    if part is None:
        return ""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(words_of, part))
    if isinstance(part, dict):
        return next((words for name in _WORDS if (words := words_of(part.get(name)))), "")
    return ""
