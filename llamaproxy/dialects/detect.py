"""Which dialect a request speaks, and the one spelling of its path that routes are written against."""

import re
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote_to_bytes

_SLASHES = re.compile(rb"/{2,}")
_WHOLE_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,30}://([^/?#]*)")
# Endpoints under `/v1` that apps also ask for without it; those in the second line after `/api` as well, where
# Ollama has no endpoint of that name.
_BARE = ("/embeddings",)
_BARE_OR_API = ("/models", "/chat/completions", "/completions", "/responses", "/messages")


class Dialect(Enum):
    """`HYBRID` is Ollama's dialect under `/v1/api/`, where its clients arrive if their base ends in `/v1`."""

    HYBRID = "hybrid"
    OLLAMA = "ollama"
    OPENAI = "openai"


def detect(path: bytes, user_agent: bytes) -> Dialect:
    """Picks a dialect by path, then by User-Agent; the first match wins.

    The User-Agent counts for requests that belong to no endpoint (`/`, a 404). An endpoint always answers in
    its own dialect, as apps mix them: oterm lists at `/api/tags` and chats at `/v1/chat/completions`.
    """
    # The added slash lets `/api` itself count as under `/api/`.
    place, agent = _SLASHES.sub(b"/", path + b"/"), user_agent.lower()
    if place.startswith(b"/v1/api/"):
        return Dialect.HYBRID
    if place.startswith(b"/api/"):
        return Dialect.OLLAMA
    if b"ollama" in agent:
        return Dialect.OLLAMA
    return Dialect.OPENAI  # Open WebUI ("open-webui"), and everyone else


@lru_cache(maxsize=256)
def normalise(path: bytes) -> str:
    """The path that a client means: `/api/...` for Ollama's endpoints, `/v1/...` for OpenAI's and Anthropic's.

    Forgives double and trailing slashes and the ways in which people mistype a base URL. Percent-escapes
    stay, since `a%2Fb` is one segment and `a/b` is two; bytes map to the characters of the same number.
    """
    text = _SLASHES.sub(b"/", path).rstrip(b"/").decode("latin-1") or "/"
    while _is_under(text, "/v1/v1") or _is_under(text, "/v1/api"):
        text = text.removeprefix("/v1")
    for endpoint in (*_BARE, *_BARE_OR_API):
        if _is_under(text, endpoint):
            return f"/v1{text}"
    for endpoint in _BARE_OR_API:
        if _is_under(text, f"/api{endpoint}"):
            return text.replace("/api", "/v1", 1)
    return text


def target_path(target: bytes) -> bytes:
    """The path of a request target without its query; clients behind a proxy send a whole URL (RFC 9112, 3.2.2)."""
    if found := _WHOLE_URL.match(target):
        target = b"/" + target[found.end() :].removeprefix(b"/")
    return target.partition(b"?")[0]


def target_host(target: bytes) -> bytes | None:
    """The host of a target that is a whole URL, which counts in place of the `Host` header; None without one."""
    found = _WHOLE_URL.match(target)
    return found[1].rpartition(b"@")[2] if found else None


def is_utf8(path: bytes) -> bool:
    """Whether the path is ASCII whose percent-escapes spell UTF-8."""
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return path.isascii()


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
