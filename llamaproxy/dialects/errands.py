"""The errands of apps by their wording: one row a prompt, with what the app wants back.

The wording is that of each app's source at the time of writing; only its beginning is looked at, so that no text takes
long, however odd.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Literal

from msgspec import Struct

from .outline import Outline
from .quotes import quoted

# Characters at the beginning of a text in which its wording is looked for.
HEAD = 600


class Task(Enum):
    """What an app wants; the values are Open WebUI's names, as far as it has one.

    `NAME` is a title as plain text, `NOTE` a line that says there is nothing to keep, `HINT` what the user might say
    next, `PROBE` any sign of life. `OTHER` is whatever else is asked beside the conversation, and takes a model.
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
    NOTE = "note"
    HINT = "hint"
    PROBE = "probe"
    OTHER = "other"


# Where the words are looked for: in the last message of the user, in the app's system prompt, or in an instruction in
# the system's name that ends the messages.
Place = Literal["text", "system", "last system"]


class Errand(Struct, frozen=True):
    """One prompt of a client's; `words` begin it, and `begins` finds them."""

    client: str
    place: Place
    words: str
    begins: re.Pattern[str]
    task: Task


def _row(client: str, place: Place, words: str, task: Task) -> Errand:
    return Errand(client, place, words, _beginning(words), task)


def _beginning(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\s{{0,20}}(?:{'|'.join(words)})", re.IGNORECASE)


# What comes without any answer before it: the chat that it is about is quoted, or has only begun.
LONE = (
    _row("Claude Code, title", "system", r"You are naming a coding session", Task.TITLE),
    _row("Claude Code, title", "text", r"Please write a 5-10 word title for the following conv", Task.NAME),
    _row("codex, title", "text", r"Generate a concise, single-line task title", Task.TITLE),
    _row(
        "codex, title",
        "text",
        r"You are a helpful assistant\. You will be presented with a user prompt",
        Task.TITLE,
    ),
    _row(
        "opencode, title",
        "system",
        r"You are a title generator\b(?! for )[\s\S]{0,80}?\bthread title",
        Task.NAME,
    ),
    _row(
        "aider, commit message",
        "system",
        r"You are an expert software engineer that generates conc",
        Task.OTHER,
    ),
    _row(
        "LibreChat, title", "text", r"Provide a concise, 5-word-or-less title for the conversation", Task.NAME
    ),
    _row(
        "LibreChat, title",
        "system",
        r"Provide a concise, 5-word-or-less title for the conversation",
        Task.NAME,
    ),
    _row(
        "LibreChat, title",
        "text",
        r"Analyze this conversation and provide:?\s+1\. The detected lang",
        Task.TITLE,
    ),
    _row(
        "LibreChat, title",
        "text",
        r"Please generate a concise title \(max 40 characters\) for a conv",
        Task.NAME,
    ),
    _row(
        "Cherry Studio",
        "system",
        r"(?:You need to )?summari[sz]e the (?:user's )?conversation into a title",
        Task.NAME,
    ),
    _row(
        "LobeChat, Cherry Studio",
        "system",
        r"You are an assistant skilled in conv[\s\S]{0,200}?\btitle",
        Task.NAME,
    ),
    _row("LobeChat, Cherry Studio", "system", r"你是一名擅长会话的助理[\s\S]{0,60}?标题", Task.NAME),
    _row(
        "LobeChat", "system", r"You are a professional conversation summarizer\. Generate a conc", Task.NAME
    ),
    _row("big-AGI", "system", r"You are an AI conversation titles assistant", Task.NAME),
    _row(
        "Continue",
        "text",
        r"Given the following\b[^\n]{0,40}? please reply with a title for the chat",
        Task.NAME,
    ),
    _row(
        "VS Code",
        "system",
        r"You are an expert in crafting (?:pithy|ultra-compact) titles for chat",
        Task.NAME,
    ),
    _row("Reins", "system", r"You are a title generator for a chat", Task.NAME),
)
# What may come with all of the chat before it.
ANYWHERE = (
    _row(
        "Claude Code, topic",
        "system",
        r"Analyze if this message indicates a new conversation topic",
        Task.OTHER,
    ),
    _row(
        "Claude Code, /compact",
        "text",
        r"CRITICAL: Respond with TEXT ONLY\. Do NOT call any tools",
        Task.SUMMARY,
    ),
    _row(
        "Claude Code, Cline",
        "text",
        r"Your task is to create a detailed summary of the conversation",
        Task.SUMMARY,
    ),
    _row("Claude Code, qwen-code", "text", r"\[SUGGESTION MODE: Suggest what the user might", Task.HINT),
    _row("qwen-code, memory", "text", r"Managed memory has TWO directories", Task.NOTE),
    _row("qwen-code, memory", "system", r"You are now acting as the managed memory", Task.NOTE),
    _row("qwen-code, memory", "system", r"You are performing a managed memory dream", Task.NOTE),
    _row(
        "qwen-code, summary",
        "system",
        r"You are the component that summarizes internal chat hist",
        Task.SUMMARY,
    ),
    _row("qwen-code, who is next", "text", r"Analyze \*only\* the content and structure of your", Task.OTHER),
    _row("codex, /compact", "text", r"You are performing a CONTEXT CHECKPOINT COMPACTION", Task.SUMMARY),
    _row(
        "opencode, /compact",
        "text",
        r"Provide a detailed prompt for continuing our conversation above",
        Task.SUMMARY,
    ),
    _row(
        "opencode, /compact",
        "system",
        r"You are a helpful AI assistant tasked with summarizing conv",
        Task.SUMMARY,
    ),
    _row(
        "aider, summary",
        "system",
        r"\*Briefly\* summarize this partial conversation about programming",
        Task.SUMMARY,
    ),
    _row(
        "NextChat, title",
        "text",
        r"Please generate a four to five word title summarizing our conv",
        Task.NAME,
    ),
    _row("NextChat, title", "text", r"使用四到五个字直接返回这句话的简要主题", Task.NAME),
    _row(
        "NextChat, summary",
        "last system",
        r"Summarize the discussion briefly in 200 words or less",
        Task.SUMMARY,
    ),
    _row("NextChat, summary", "last system", r"简要总结一下对话内容", Task.SUMMARY),
    _row("Zed, title", "text", r"Generate a concise 3-7 word title for this conversation", Task.NAME),
    _row(
        "Zed, summary", "text", r"Generate a detailed summary of this conversation\. Include:", Task.SUMMARY
    ),
)

_PLACES: tuple[Place, ...] = ("text", "system", "last system")


def _any_of(rows: Sequence[Errand]) -> tuple[tuple[Place, re.Pattern[str]], ...]:
    """What finds out for each place whether any of the rows may apply: one look for each, not forty."""
    found = []
    for place in _PLACES:
        words = [row.words for row in rows if row.place == place]
        if words:
            found.append((place, _beginning(*words)))
    return tuple(found)


_ANYWHERE = ANYWHERE, _any_of(ANYWHERE)
_EITHER = (*LONE, *ANYWHERE), _any_of((*LONE, *ANYWHERE))

# Two prompts that put their instruction behind what they quote: its beginning, and what stands near the end.
_PAGE_ASSIST = ("Here is the query:", "as a title for the previous query")
_CHATBOX = ("conversation", "The name is:")
_ANY_TEXT = _beginning(_PAGE_ASSIST[0], *(row.words for row in (*LONE, *ANYWHERE) if row.place == "text"))


def may_be_worded(text: str) -> bool:
    """Whether the last message of a user, without white space before it, can have the wording of an errand.

    Nearly none can, and that costs one look.
    """
    return _ANY_TEXT.match(text) is not None or _CHATBOX[1] in text


def by_wording(outline: Outline) -> Task | None:
    """The errand whose wording a request has."""
    rows, signs = _ANYWHERE if outline.answers else _EITHER
    if any(words.match(_place(outline, place)[:HEAD]) for place, words in signs):
        return next(row.task for row in rows if row.begins.match(_place(outline, row.place)[:HEAD]))
    if outline.answers or outline.questions > 1:
        return None
    text = outline.text.strip()
    if text.startswith(_PAGE_ASSIST[0]) and _PAGE_ASSIST[1] in text[-4 * HEAD :]:
        return Task.NAME
    # Chatbox quotes the conversation in a fence.
    if text.endswith(_CHATBOX[1]) and _CHATBOX[0] in text and quoted(text) is not None:
        return Task.NAME
    return None


def _place(outline: Outline, place: Place) -> str:
    match place:
        case "text":
            return outline.text
        case "system":
            return outline.system
        case "last system":
            return outline.last_system
