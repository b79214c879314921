"""What apps ask of a model on their own account: titles, tags, follow-ups and the like, beside the conversation.

The requests go to the chat endpoints and look like messages, but nobody said them: they must not enter a session. They
are known by the task that Open WebUI can be set to name in a header, by their wording (`errands`), or by their shape
(`shapes`). A question of a person that is taken for an errand is worse than an errand that is missed.
"""

import json
import re

from .base import ChatRequest
from .errands import Task, by_wording
from .outline import Outline
from .quotes import first_words, said
from .shapes import KEYS, by_shape, by_template, is_plain

TITLE_LENGTH = 40
# A search engine or an image model gets no more than this of what the user wrote.
QUERY_LENGTH = 400
EMOJI = "🙂"

# A connection of an Open WebUI that fills no templates in sends "{{TASK}}" with every message.
_TASK_NAME = re.compile(r"[a-z]+(_[a-z]+)+")


def recognise(request: ChatRequest, header: str, agent: str = "") -> Task | None:
    """The task that a chat request is, or None for a message of the user.

    `header` is what the app says of its own accord (Open WebUI's `{{TASK}}`), "" if it says nothing; `agent` is its
    User-Agent.
    """
    turn, outline = request.turn, request.outline
    if turn is None:
        return None
    if header and _TASK_NAME.fullmatch(header):
        return _named(header)
    if turn.images or is_plain(outline, turn.options, request.stream, agent):
        return None
    by_words = by_wording(outline) or by_template(outline)
    return by_words or by_shape(outline, turn.options, request.stream, agent)


def answer(task: Task, outline: Outline) -> str | None:
    """What to answer at once, in the form that the app wants and made of its own words; None if it takes a model."""
    match task:
        case Task.TITLE:
            return _object(task, _title(_subject(task, outline)))
        case Task.NAME:
            return _title(_subject(task, outline))
        case Task.TAGS:
            return _object(task, ["General"])
        case Task.QUERIES:
            # Open WebUI reads this answer from its last brace.
            query = _line(said(outline.text)[-1].replace("{", " "), QUERY_LENGTH)
            return _object(task, [query] if query else [])
        case Task.IMAGE_PROMPT:
            return _object(task, _line(said(outline.text)[-1], QUERY_LENGTH))
        case Task.AUTOCOMPLETE:
            return _object(task, "")
        case Task.FOLLOW_UPS | Task.TOOLS | Task.MEMORY:
            return _object(task, [])
        case Task.EMOJI:
            return EMOJI
        case Task.NOTE:
            return "There is nothing to keep."
        case Task.HINT:
            return "go on"
        case Task.PROBE:
            return "OK"
        case Task.MERGE | Task.SUMMARY | Task.OTHER:
            return None


def suits(task: Task, text: str) -> bool:
    """Whether a model's answer is something that the app can use."""
    if task not in KEYS:
        return bool(text.strip())
    # Apps read from the first brace to the last.
    try:
        found = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and KEYS[task] in found


def _named(header: str) -> Task:
    try:
        return Task(header)
    except ValueError:
        return Task.OTHER


def _subject(task: Task, outline: Outline) -> str:
    """What a title is made of: the first words of what a prompt quotes, or of the chat that the app shows."""
    found = first_words(outline.text)
    if found is not None:
        return found
    if outline.answers:
        return outline.first_words
    # Who asks for JSON has its instruction in the text; the others have it in the system prompt, or before the words.
    return "" if task is Task.TITLE else outline.text


def _object(task: Task, value: str | list[str]) -> str:
    return json.dumps({KEYS[task]: value}, ensure_ascii=False)


def _title(text: str) -> str:
    line = _line(text, TITLE_LENGTH)
    return line[:1].upper() + line[1:] if line else "New chat"


def _line(text: str, limit: int) -> str:
    """The beginning of `text` as one line of at most `limit` characters, cut between words where there are any."""
    # More white space than this would be odd.
    words = " ".join(text[: 4 * limit].split()).strip("#*`\"'> ")
    if len(words) <= limit:
        return words
    whole = words[:limit].rpartition(" ")[0]
    return (whole if len(whole) > limit // 2 else words[: limit - 1]).rstrip(" ,.;:") + "…"
