"""What a server's refusal means: a status and an error body become one `ModelError` in words for the user.

The bodies differ: `{"error": {"message": ...}}` (OpenAI, llama.cpp, vLLM), the same in a list (Gemini),
`{"error": "..."}` (Ollama), `{"message": ...}`, `{"detail": ...}` (FastAPI), plain text, a proxy's HTML page.
"""

import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec import DecodeError, json
from twisted.web.http_headers import Headers

from ...config.variables import shown_name
from ...seams.errors import ContextTooLong, ModelError, ModelRateLimited, ModelUnavailable
from .overflow import counts, is_overflow

# What decoding raises for bytes that are no JSON, no UTF-8, or nested more deeply than anybody means.
UNREADABLE = (DecodeError, UnicodeDecodeError, RecursionError)

# Another try may succeed. 529 is Anthropic's own.
_OVERLOADED = (502, 503, 504, 529)
# Time-outs, conflicts and haste; all others of their hundred are said for good.
_FOR_NOW = (408, 409, 423, 425, 429)

# The beginning of an error body that is read, in bytes, and of its message that is shown, in characters.
MAX_BODY = 64 * 1024
MAX_MESSAGE = 300

_SECONDS = re.compile(r"\d+(?:\.\d*)?", re.ASCII)

# Refusals of the question, and not of who asks; 500 is what a template's own error comes as.
_OF_THE_QUESTION = (400, 404, 405, 406, 409, 413, 415, 422, 500, 501)
# Where error bodies have words, what explains most first. What else they have may be the whole question once more.
_SPOKEN = ("message", "detail", "error_description", "error_message", "error_msg", "errorMessage", "msg", "status_msg",
           "error", "errors", "description", "reason", "title")  # fmt: skip
_WORDS = (*_SPOKEN, "details", "param", "code", "type", "loc", "field", "fieldViolations", "metadata", "raw")
# In characters, and in parts.
MAX_SAID, MAX_PARTS = 4000, 64


def refusal(
    who: str, status: int, headers: Headers, body: bytes, now: float, env_key: str | None = None
) -> ModelError:
    """The error for an answer that is not a stream.

    `who` names the model, `env_key` is the environment variable of its API key, `now` is in Unix seconds.
    """
    details = _details(body)
    said = _message(details, headers, body)
    if status in (401, 403):
        hint = (
            f"set the environment variable {shown_name(env_key)}" if env_key else "give its entry an env_key"
        )
        return ModelError(f"{who} refused the API key ({status}); {hint}. {said}".rstrip()).for_good()
    if status == 429 and not is_overflow([said], status):
        limited = ModelRateLimited(f"{who} asks for patience (429). {said}".rstrip())
        limited.retry_after = _retry_after(headers, now)
        return limited
    if status == 400 and not body.strip():
        return ContextTooLong(f"{who} answered 400 without a word, as some do if a conversation is too long")
    if status == 200:
        return ModelError(f"{who} answered with something other than a stream: {said}")
    if 300 <= status < 400:
        return ModelError(f"{who} answered {status}: {_moved(headers)}")
    error = error_of(who, body.decode("utf-8", "replace") if details is None else details, said, status)
    if isinstance(error, ModelUnavailable):
        error.retry_after = _retry_after(headers, now)
    return error


def error_of(who: str, details: Any, said: str, status: int = 0) -> ModelError:
    """The error for what a server reported, by a status of 400 or more or in the middle of a stream.

    `details` is the decoded error object, as far as there is one.
    """
    known = details if isinstance(details, dict) else {}
    words = words_of(details)
    error: ModelError
    if is_overflow([words, said], status):
        needs, fits = counts(said, known.get("n_prompt_tokens"), known.get("n_ctx"))
        error = ContextTooLong(f"The conversation is too long for {who}: {said}", needs, fits)
    else:
        kind = ModelUnavailable if status in _OVERLOADED else ModelError
        error = kind(f"{who} answered {status}: {said}" if status else f"{who} failed: {said}")
    error.said = f"{said}\n{words}"[:MAX_SAID]
    if _is_final(status) and not isinstance(error, ContextTooLong):
        error.for_good()
    error.refused = not status or status in _OF_THE_QUESTION
    return error


def _is_final(status: int) -> bool:
    """Whether the same request would be refused again."""
    return 400 <= status < 500 and status not in _FOR_NOW


def words_of(details: Any) -> str:
    """All that an error object says, a line for each part."""
    lines: list[str] = []
    left = [details]
    while left and len(lines) < MAX_PARTS:
        part = left.pop()
        if isinstance(part, dict):
            left += [_part(name, part[name]) for name in _WORDS if part.get(name)][::-1]
        elif isinstance(part, list):
            left += part[:MAX_PARTS][::-1]
        elif isinstance(part, str | int):
            lines.append(str(part)[:MAX_SAID])
    return "\n".join(lines)


def _part(name: str, value: Any) -> Any:
    """A part with its name where that says more; the place of an error as a path."""
    if name == "loc" and isinstance(value, list):
        return f"param: {_path(value)}"
    return f"param: {value}" if name in ("param", "field") and isinstance(value, str) else value


def _path(loc: list[Any]) -> str:
    return ".".join(str(step) for step in loc[:MAX_PARTS] if step != "body")


def first_line(text: str) -> str:
    """The first line with something on it, bounded, and with nothing in it that a terminal would obey."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def message_of(details: Any) -> str:
    """The server's own words in a decoded error; empty if there are none."""
    for _ in range(MAX_PARTS):
        if isinstance(details, dict):
            details = _inner(details)
        elif isinstance(details, list):
            details = next((each for each in details if each), None)
    return first_line(details) if isinstance(details, str) else ""


def _inner(details: dict[str, Any]) -> Any:
    """What an error object says, or the next object inside of it."""
    if isinstance(metadata := details.get("metadata"), dict) and (raw := metadata.get("raw")):
        # OpenRouter hands the words of whom it asked on inside of its own.
        with suppress(*UNREADABLE):
            raw = json.decode(raw) if isinstance(raw, str) else raw
        return raw
    if isinstance(loc := details.get("loc"), list) and isinstance(words := details.get("msg"), str):
        where = _path(loc)
        return f"{where}: {words}" if where else words
    return next((found for name in _SPOKEN if (found := details.get(name))), None)


def _details(body: bytes) -> Any:
    """What a JSON body says about the error, without its wrapping; None if it is no JSON."""
    try:
        decoded = json.decode(body.decode("utf-8", "replace"))
    except UNREADABLE:
        return None
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    if isinstance(decoded, dict) and isinstance(decoded.get("error"), dict):
        return decoded["error"]
    return decoded


def _message(details: Any, headers: Headers, body: bytes) -> str:
    if is_html(headers) or body.lstrip()[:1] == b"<":
        return "an HTML page"
    return message_of(details) or first_line(body.decode("utf-8", "replace")) or "no explanation"


def is_html(headers: Headers) -> bool:
    """Whether something that talks to browsers answered: a proxy, a captive portal, a wrong port."""
    content_type = headers.getRawHeaders(b"content-type") or [b""]
    return content_type[0].lower().startswith(b"text/html")


def _moved(headers: Headers) -> str:
    """Where a redirect leads, without what only its receiver is meant to see."""
    try:
        target = urlsplit((headers.getRawHeaders("location") or [""])[0])
    except ValueError:
        target = urlsplit("")
    place = first_line(urlunsplit((target.scheme, target.netloc.rpartition("@")[2], target.path, "", "")))
    return (
        f"it has moved to {place}; its entry's host should say so"
        if place
        else "it has moved, and not said where to"
    )


def _retry_after(headers: Headers, now: float) -> int | None:
    """Seconds; the header holds a number of them or a date (RFC 9110, section 10.2.3)."""
    value = (headers.getRawHeaders("retry-after") or [""])[0].strip()
    with suppress(ValueError, OverflowError):
        seconds = (
            float(value) if _SECONDS.fullmatch(value) else parsedate_to_datetime(value).timestamp() - now
        )
        return max(1, round(seconds)) if seconds < 86400 * 365 else None
    return None
