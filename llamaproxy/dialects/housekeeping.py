"""What apps ask of a model on their own account: titles, tags, follow-ups and the like, beside the conversation.

The requests go to the chat endpoints and look like messages, but nobody said them: they must not enter a session.
They are known by the task that Open WebUI can be set to name in a header, or else by the shape of the default
prompts: Open WebUI's (`config.py`, `routers/tasks.py`), Chatbox's (`packages/prompts.ts`) and Reins'
(`generate_title_constants.dart`).

"### Task:" alone proves nothing. A question about attached files reaches us in a template that begins with the same
words, and it is a question.
"""

import json
import re
from enum import Enum

from .base import ChatRequest

TITLE_LENGTH = 40
# A search engine or an image model gets no more than this of what the user wrote.
QUERY_LENGTH = 400
EMOJI = "🙂"


class Task(Enum):
    """What an app wants; the values are Open WebUI's names, as far as it has one.

    `NAME` is a title as plain text. `OTHER` is a task of a newer Open WebUI, known by its header only.
    """

    TITLE = "title_generation"
    FOLLOW_UPS = "follow_up_generation"
    TAGS = "tags_generation"
    QUERIES = "query_generation"
    IMAGE_PROMPT = "image_prompt_generation"
    AUTOCOMPLETE = "autocomplete_generation"
    EMOJI = "emoji_generation"
    MERGE = "moa_response_generation"
    TOOLS = "function_calling"
    SUMMARY = "context_compaction"
    MEMORY = "memory_review"
    NAME = "name"
    OTHER = "other"


# The key that the app looks for in the answer. Of a prompt that names several the first in this order counts.
_KEYS = {
    Task.FOLLOW_UPS: "follow_ups",
    Task.QUERIES: "queries",
    Task.TAGS: "tags",
    Task.TITLE: "title",
    Task.IMAGE_PROMPT: "prompt",
    Task.AUTOCOMPLETE: "text",
    Task.TOOLS: "tool_calls",
    Task.MEMORY: "operations",
}
_BY_KEY = (
    Task.FOLLOW_UPS,
    Task.QUERIES,
    Task.TAGS,
    Task.TITLE,
    Task.IMAGE_PROMPT,
    Task.AUTOCOMPLETE,
)

_HISTORY = "<chat_history>"
# A connection of an Open WebUI that fills no templates in sends "{{TASK}}" with every message.
_TASK_NAME = re.compile(r"[a-z]+(_[a-z]+)+")
_SPEAKER = re.compile(r"^(USER|ASSISTANT|SYSTEM|TOOL): ", re.MULTILINE)
_FENCED = re.compile(r"```\n(.*)\n```", re.DOTALL)
_MERGE = re.compile(r"responses from various models to the (?:latest )?user query")
_REINS_MESSAGE = re.compile(r"this message:(.*)", re.DOTALL)


def recognise(request: ChatRequest, header: str) -> Task | None:
    """The task that a chat request is, or None for a message of the user.

    `header` is what the app says of its own accord (Open WebUI's `{{TASK}}`), "" if it says nothing.
    """
    if request.turn is None:
        return None
    if _TASK_NAME.fullmatch(header):
        return _named(header)
    if request.lone_system is None or request.turn.images:
        return None
    text, system = request.turn.text.strip(), request.lone_system.strip()
    if _is_name_request(text, system):
        return Task.NAME
    if _MERGE.search(text[:200]):
        return Task.MERGE
    if request.stream:
        return None
    if text.startswith("### Task:"):
        return _by_template(text)
    if system.startswith("Available Tools:") and text.startswith(("History:", "Query:")):
        return Task.TOOLS
    if '"operations"' in system and "memor" in system.lower():
        return Task.MEMORY
    # Four tokens are enough for an emoji, and for no answer to a person.
    limit = request.turn.options.max_tokens
    if limit is not None and limit <= 8 and "facial expression" in text and "emoji" in text:
        return Task.EMOJI
    return None


def answer(task: Task, text: str) -> str | None:
    """What to answer at once, in the form that the app wants and made of its own `text`; None if it takes a model."""
    match task:
        case Task.TITLE:
            return _object(task, _title(_said(text)[0]))
        case Task.NAME:
            return _title(_quoted(text))
        case Task.TAGS:
            return _object(task, ["General"])
        case Task.QUERIES:
            # Open WebUI reads this answer from its last brace.
            query = _line(_said(text)[-1].replace("{", " "), QUERY_LENGTH)
            return _object(task, [query] if query else [])
        case Task.IMAGE_PROMPT:
            return _object(task, _line(_said(text)[-1], QUERY_LENGTH))
        case Task.AUTOCOMPLETE:
            return _object(task, "")
        case Task.FOLLOW_UPS | Task.TOOLS | Task.MEMORY:
            return _object(task, [])
        case Task.EMOJI:
            return EMOJI
        case Task.MERGE | Task.SUMMARY | Task.OTHER:
            return None


def suits(task: Task, text: str) -> bool:
    """Whether a model's answer is something that the app can use."""
    if task not in _KEYS:
        return bool(text.strip())
    # Apps read from the first brace to the last.
    try:
        found = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and _KEYS[task] in found


def _named(header: str) -> Task:
    try:
        return Task(header)
    except ValueError:
        return Task.OTHER


def _is_name_request(text: str, system: str) -> bool:
    """Chatbox quotes the conversation in a fence and ends with a cue; Reins explains itself twice over."""
    if text.endswith("The name is:") and "conversation" in text and _FENCED.search(text):
        return True
    return "title generator for a chat" in system[:200] and "title generator for a chat" in text[:200]


def _by_template(text: str) -> Task | None:
    """Open WebUI's default prompts: instructions that show the JSON wanted, then the history in tags."""
    head, tag, _ = text.partition(_HISTORY)
    if "<context>" in head:
        return None  # a question wrapped for attached files, whatever the files hold
    if tag:
        return next((task for task in _BY_KEY if f'"{_KEYS[task]}"' in head), None)
    # Without a history in tags it is the compaction of a long chat, or nothing that is known here.
    return Task.SUMMARY if "summar" in head[:300].lower() and "compacted" in head else None


def _object(task: Task, value: str | list[str]) -> str:
    return json.dumps({_KEYS[task]: value}, ensure_ascii=False)


def _said(text: str) -> list[str]:
    """The user's messages in the history that a prompt quotes, at least one; "" where it quotes none."""
    history = text.rpartition(_HISTORY)[2] if _HISTORY in text else ""
    # What stands before the first speaker, then speakers and texts by turns.
    pieces = _SPEAKER.split(history.partition("</chat_history>")[0])
    return [said for who, said in zip(pieces[1::2], pieces[2::2], strict=True) if who == "USER"] or [""]


def _quoted(text: str) -> str:
    """The first message in the request for a chat's name."""
    found = _FENCED.search(text) or _REINS_MESSAGE.search(text)
    return found[1].partition("\n\n---")[0] if found else text


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
