"""What is known of a server before it is asked, by its address and the name of its model; the rest is learned."""

import re
from urllib.parse import urlsplit

from ...config.schema import ModelEntry
from .lessons import Lessons

# The field of `Message.extra` with the thoughts of Anthropic's models.
BLOCKS = "blocks"

# Mistral's own models want short ids whoever serves them.
_MISTRAL = re.compile(
    r"(?:^|[/:.])(?:open-)?(?:mistral|mixtral|ministral|codestral|devstral|magistral|pixtral|voxtral)",
    re.IGNORECASE,
)
# DeepSeek and Moonshot are not among them: their marks have been seen in the text.
_TELL_CALLS = ("openai.com", "openai.azure.com", "googleapis.com", "mistral.ai", "x.ai")
_SIGNING_GEMINI = re.compile(r"gemini-(?:[3-9]|\d\d)", re.IGNORECASE)


def first_lessons(entry: ModelEntry) -> Lessons:
    """What need not be learned by a refusal."""
    host = urlsplit(entry.host).hostname or ""
    newest = ("max_completion_tokens", "max_tokens")
    return Lessons(
        short_ids=_is_of(host, "mistral.ai") or _MISTRAL.search(entry.model_id) is not None,
        reasoning=any(_is_of(host, domain) for domain in ("deepseek.com", "moonshot.ai", "moonshot.cn")),
        signatures=_is_of(host, "googleapis.com") and _SIGNING_GEMINI.search(entry.model_id) is not None,
        limits=newest if _is_of(host, "openai.com") or _is_of(host, "openai.azure.com") else newest[::-1],
    )


def tells_calls(entry: ModelEntry) -> bool:
    """Whether it is known that a server never leaves a tool call in its text."""
    host = urlsplit(entry.host).hostname or ""
    return entry.type in ("ANTHROPIC", "AGENT") or any(_is_of(host, domain) for domain in _TELL_CALLS)


def back_end(entry: ModelEntry) -> str:
    """Whose answers an entry's are, for `Message.extra`: another server or model gets nothing of it."""
    return f"{entry.type} {urlsplit(entry.host).netloc.rpartition('@')[2]} {entry.model_id}"


def _is_of(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
