"""The errands of apps by their shape: what is asked of the answer, and what only a program would ask.

A shape that a person's question may have as well makes it an errand that takes a model (`Task.OTHER`), so that whoever
asked gets a good answer. In doubt it is a person's.
"""

import re
from typing import Any

from ..seams.types import Options
from .errands import HEAD, Task, may_be_worded
from .outline import Outline
from .quotes import HISTORY, quoted

# In tokens; no answer to a person is that short, and no emoji longer than twice that.
HANDFUL = 4

# The key that the app looks for in the answer. Of a prompt that names several the first in this order counts.
KEYS = {
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
# The only property of a schema, without its underscores.
_BY_PROPERTY = {"title": Task.TITLE, "tags": Task.TAGS, "followups": Task.FOLLOW_UPS}
# What else apps call it.
_TITLED = ("title", "chatname", "conversationname", "threadname", "sessionname")

_MERGED = "responses from various models"
_MERGE = re.compile(rf"{_MERGED} to the (?:latest )?user query")
_TEMPLATE = "### Task:"
# A title of a conversation, and not one of a book.
_OF_CHAT = re.compile(
    r"\b(?:titles?|headlines?|names?) (?:for|of|to|summari[sz]ing|that summari[sz]es?|that captures?) "
    r"(?:(?:an?|the|this|our|their|each|users?) )?(?:\w+ )?(?:conversation|chat|thread|session|dialogue|discussion)s?\b"
    r"|\b(?:conversation|chat|thread|session)(?:'s)? titles?\b"
    r"|\b(?:summari[sz]e|name) (?:\w+ ){0,3}(?:conversation|chat|thread|session)s? "
    r"(?:into|in|as|with) (?:\w+ ){0,2}titles?\b",
    re.IGNORECASE,
)
# A system prompt of who gives chats their names, in its first words; the chat may be told as what was said first.
_NAMER = re.compile(
    r"\b(?:titles?|names?) (?:for|of|from|based on|to|summari[sz]ing|that summari[sz]es?) (?:(?:an?|the) )?"
    r"(?:user(?:'?s|\u2019s)?) (?:\w+ )?(?:message|request|query|question|prompt|input)s?\b"
    r"|\b(?:names?|naming|titles?|titling) (?:(?:the|new|each|user) )?(?:conversations|chats|threads|sessions)\b",
    re.IGNORECASE,
)
# What apps ask for behind a whole chat begins with what to do and says what form the answer has.
_INSTRUCTION = re.compile(
    r"\s{0,20}(?:(?:please|now|based on|given|considering|using|in)\b[^.\n]{0,80}?[ ,])?"
    r"(?:generate|create|write|give|suggest|provide|propose|produce|make|come up with|summari[sz]e|name|return)\b",
    re.IGNORECASE,
)
_TITLES = re.compile(r"\b(?:title|headline|name|caption|header)s?\b", re.IGNORECASE)
_THIS_CHAT = re.compile(
    r"\b(?:this|our|the|above|current) (?:\w+ )?(?:conversation|chat|thread|session|dialogue|discussion)\b",
    re.IGNORECASE,
)
_FOLLOW_UPS = re.compile(r"\bfollow[- ]?up (?:questions|prompts|suggestions|messages)\b", re.IGNORECASE)
_RESTRICTIONS = (
    re.compile(
        r"\b(?:only|nothing else|no (?:other|additional|explanations?)|without explanations?)\b",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?:concise|brief|short|succinct)\b", re.IGNORECASE),
    re.compile(
        r"\b(?:\d{1,3}|three|four|five|six|seven|eight|ten)(?:[ -]or[ -](?:less|fewer))?[ -](?:words?|characters?)\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:no|without|avoid) (?:any )?(?:quotes|quotation|punctuation|markdown|formatting|emojis?)\b",
        re.IGNORECASE,
    ),
    re.compile(r"\bJSON\b"),
)
# Characters of a system prompt in which its trade is told, and of a whole one that has no other.
_TRADE, _LONGEST_TRADE = 200, 3000
# Characters of an instruction.
_LONGEST_INSTRUCTION = 1000
_CHAT = re.compile(r"\b(?:conversation|chat|chat_history|thread|session|dialogue)s?\b", re.IGNORECASE)
# Clients that send tools with every message of a person, and what such a message has if they do not.
_ALWAYS_WITH_TOOLS = (
    ("claude-cli/", "<system-reminder>"),
    ("codex", "<environment_context>"),
    ("QwenCode/", "<system-reminder>"),
)
_CLIENTS_WITH_TOOLS = tuple(client for client, _ in _ALWAYS_WITH_TOOLS)


def is_plain(outline: Outline, options: Options, stream: bool, agent: str) -> bool:
    """Whether a request has nothing that an errand has to have, neither in its words nor in its shape.

    So it is with nearly all messages of people, for which this one look does in place of those below.
    """
    text = outline.text.lstrip()
    return not (
        outline.system
        or options.json_schema
        or (options.max_tokens is not None and options.max_tokens <= 2 * HANDFUL)
        or agent.startswith(_CLIENTS_WITH_TOOLS)
        or may_be_worded(text)
        or text.startswith(_TEMPLATE)
        or _MERGED in text[:200]
        or (outline.answers and _ends_in_instruction(outline.text, stream))
        or (not stream and _asks_for_title(outline.text))
    )


def by_template(outline: Outline) -> Task | None:
    """Open WebUI's default prompts: instructions that show the JSON wanted, then the history in tags."""
    if outline.answers or outline.questions > 1:
        return None
    text, system = outline.text.strip(), outline.system.strip()
    if _MERGE.search(text[:200]):
        return Task.MERGE
    if system.startswith("Available Tools:") and text.startswith(("History:", "Query:")):
        return Task.TOOLS
    if '"operations"' in system and "memor" in system[:HEAD].lower():
        return Task.MEMORY
    if not text.startswith(_TEMPLATE):
        return None
    head, tag, _ = text.partition(HISTORY)
    if "<context>" in head:
        return None  # a question wrapped for attached files, whatever the files hold
    if tag:
        return next((task for task in _BY_KEY if f'"{KEYS[task]}"' in head), None)
    # Without a history in tags it is the compaction of a long chat, or nothing that is known here.
    return Task.SUMMARY if "summar" in head[:300].lower() and "compacted" in head else None


def by_shape(outline: Outline, options: Options, stream: bool, agent: str) -> Task | None:
    """What only a program would ask, in whatever words; `agent` is its User-Agent."""
    if task := _by_schema(options.json_schema, outline):
        return task
    if outline.answers:
        return Task.OTHER if _ends_in_instruction(outline.text, stream) else None
    if outline.questions == 2 and outline.system.startswith("You are a title generator"):
        return Task.NAME
    if outline.questions <= 2 and not outline.tools and _gives_names(outline.system):
        return Task.OTHER
    # Only a person gives a command.
    if outline.questions > 1 or outline.text.lstrip().startswith("!"):
        return None
    if task := _by_length(outline, options.max_tokens):
        return task
    if _lacks_tools(outline, agent):
        return Task.OTHER
    # A person may quote a conversation as well, and ask for its title; but a person is answered in a stream.
    is_about_a_chat = _OF_CHAT.search(outline.system[:HEAD]) or (not stream and _asks_for_title(outline.text))
    return Task.OTHER if is_about_a_chat and quoted(outline.text) is not None else None


def _by_schema(schema: dict[str, Any] | None, outline: Outline) -> Task | None:
    """By the properties of the schema that the answer must follow."""
    properties = (schema or {}).get("properties")
    if not isinstance(properties, dict) or not properties:
        return None
    about_a_chat = _quotes_a_chat(outline)
    if len(properties) == 1:
        [name] = (str(name).lower().replace("_", "").replace("-", "") for name in properties)
        if task := _BY_PROPERTY.get(name):
            # A program may well want the title of a book in this form, which only a model can give.
            return task if about_a_chat else Task.OTHER
        if name.endswith(_TITLED):
            return Task.OTHER
    # Only programs want an answer about a quoted chat in a form of theirs.
    return Task.OTHER if about_a_chat and not outline.answers and outline.questions == 1 else None


def _quotes_a_chat(outline: Outline) -> bool:
    about = (outline.text[:HEAD], outline.text[-HEAD:], outline.system[:HEAD])
    return quoted(outline.text) is not None and any(map(_CHAT.search, about))


def _by_length(outline: Outline, limit: int | None) -> Task | None:
    """By an answer too short for a person: an emoji, or a sign of life."""
    if limit is None or limit > 2 * HANDFUL:
        return None
    if "facial expression" in outline.text and "emoji" in outline.text:
        return Task.EMOJI
    if limit > HANDFUL:
        return None
    # Claude Code asks so whether its quota is used up.
    return Task.PROBE if outline.text.strip() == "quota" else Task.OTHER


def _asks_for_title(text: str) -> bool:
    return any(map(_OF_CHAT.search, (text[:HEAD], text[-HEAD:])))


def _gives_names(system: str) -> bool:
    """Whether a system prompt is of who gives chats their titles, and does nothing else."""
    trade = system[:_TRADE]
    return len(system) <= _LONGEST_TRADE and bool(_OF_CHAT.search(trade) or _NAMER.search(trade))


def _ends_in_instruction(text: str, stream: bool) -> bool:
    """Whether what stands behind a chat is an app's instruction about it: people care less what form they get."""
    if len(text) > _LONGEST_INSTRUCTION or not _INSTRUCTION.match(text):
        return False
    is_of_chat = _OF_CHAT.search(text) or (_TITLES.search(text) and _THIS_CHAT.search(text))
    if not (is_of_chat or _FOLLOW_UPS.search(text)):
        return False
    restrictions = sum(bool(each.search(text)) for each in _RESTRICTIONS)
    # A stream is what people are answered in, so there it takes more to tell.
    return restrictions >= (2 if stream else 1)


def _lacks_tools(outline: Outline, agent: str) -> bool:
    """Whether a client that sends tools with each message of a person sent none, nor anything else of such a one."""
    sign = next((sign for client, sign in _ALWAYS_WITH_TOOLS if agent.startswith(client)), None)
    return sign is not None and not outline.tools and sign not in outline.text
