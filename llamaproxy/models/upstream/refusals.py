"""What a server's refusal means: a status and an error body become one `ModelError` in words for the user.

The bodies differ: `{"error": {"message": ...}}` (OpenAI, llama.cpp, vLLM), the same in a list (Gemini),
`{"error": "..."}` (Ollama), `{"message": ...}`, `{"detail": ...}` (FastAPI), plain text, a proxy's HTML page.
"""

import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import DecodeError, json
from twisted.web.http_headers import Headers

from ...seams.errors import ContextTooLong, ModelError, ModelRateLimited, ModelUnavailable

# What decoding raises for bytes that are no JSON, no UTF-8, or nested more deeply than anybody means.
UNREADABLE = (DecodeError, UnicodeDecodeError, RecursionError)

# Another try may succeed. 529 is Anthropic's own.
_OVERLOADED = (502, 503, 504, 529)

# The beginning of an error body that is read, in bytes, and of its message that is shown, in characters.
MAX_BODY = 64 * 1024
MAX_MESSAGE = 300

# Where an error has its words; what is told first explains most.
_WORDS = (
    *(
        "message",
        "detail",
        "error_description",
        "error_message",
        "error_msg",
        "errorMessage",
        "msg",
        "status_msg",
    ),
    *("error", "errors", "description", "reason", "title"),
)

# llama.cpp and OpenAI have a word for it; the others only a sentence, each its own.
_TOO_LONG = re.compile(
    r"exceed_context_size|context_length_exceeded|maximum (?:context|prompt) length|"
    r"context (?:length|size|window|limit)|prompt (?:is )?too long|input token count .* exceeds",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"(?:requested|resulted in|contains|total length|count \(|too long:|context limit:)\s*(\d+)",
    re.IGNORECASE,
)
_SECONDS = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_LIMIT = re.compile(r"(?:length(?: is| of only)?|tokens allowed \(|>)\s*(\d+)", re.IGNORECASE)


def refusal(
    who: str, status: int, headers: Headers, body: bytes, now: float, env_key: str | None = None
) -> ModelError:
    """The error for an answer that is not a stream.

    `who` names the model, `env_key` is the environment variable of its API key, `now` is in Unix seconds.
    """
    details = _details(body)
    said = _message(details, headers, body)
    if status in (401, 403):
        hint = f"set the environment variable {env_key}" if env_key else "give its entry an env_key"
        return ModelError(f"{who} refused the API key ({status}); {hint}. {said}".rstrip())
    if status == 429:
        limited = ModelRateLimited(f"{who} asks for patience (429). {said}".rstrip())
        limited.retry_after = _retry_after(headers, now)
        return limited
    if status == 200:
        return ModelError(f"{who} answered with something other than a stream: {said}")
    return error_of(who, details, said, status)


def error_of(who: str, details: Any, said: str, status: int = 0) -> ModelError:
    """The error for what a server reported, by a status of 400 or more or in the middle of a stream.

    `details` is the decoded error object, as far as there is one.
    """
    known = details if isinstance(details, dict) else {}
    signs = (known.get("type"), known.get("code"), said)
    if _TOO_LONG.search(" ".join(sign for sign in signs if isinstance(sign, str))):
        return ContextTooLong(
            f"The conversation is too long for {who}: {said}",
            _count(known.get("n_prompt_tokens"), _ASKED, said),
            _count(known.get("n_ctx"), _LIMIT, said),
        )
    kind = ModelUnavailable if status in _OVERLOADED else ModelError
    return kind(f"{who} answered {status}: {said}" if status else f"{who} failed: {said}")


def first_line(text: str) -> str:
    """The first line with something on it, bounded."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."


def message_of(details: Any) -> str:
    """The server's own words in a decoded error; empty if there are none."""
    while isinstance(details, dict | list):
        found = details if isinstance(details, list) else map(details.get, _WORDS)
        details = next((each for each in found if each), None)
    return first_line(details) if isinstance(details, str) else ""


def _details(body: bytes) -> Any:
    """What a JSON body says about the error, without its wrapping; None if it is no JSON."""
    try:
        decoded = json.decode(body.decode("utf-8", "replace"))
    except UNREADABLE:
        return None
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    return (decoded.get("error") or decoded) if isinstance(decoded, dict) else decoded


def _message(details: Any, headers: Headers, body: bytes) -> str:
    if is_html(headers) or body.lstrip()[:1] == b"<":
        return "an HTML page"
    return message_of(details) or first_line(body.decode("utf-8", "replace")) or "no explanation"


def is_html(headers: Headers) -> bool:
    """Whether something that talks to browsers answered: a proxy, a captive portal, a wrong port."""
    content_type = headers.getRawHeaders("content-type") or [""]
    return content_type[0].lower().startswith("text/html")


def _count(given: Any, pattern: re.Pattern[str], said: str) -> int:
    if isinstance(given, int):
        return given
    found = pattern.search(said)
    return int(found[1]) if found else 0


def _retry_after(headers: Headers, now: float) -> int | None:
    """Seconds; the header holds a number of them or a date (RFC 9110, section 10.2.3)."""
    value = (headers.getRawHeaders("retry-after") or [""])[0].strip()
    with suppress(ValueError, OverflowError):
        seconds = (
            float(value) if _SECONDS.fullmatch(value) else parsedate_to_datetime(value).timestamp() - now
        )
        return max(1, round(seconds)) if seconds < 86400 * 365 else None
    return None
