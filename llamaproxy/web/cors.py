"""Which web pages may speak to the server, and how their browsers are told (CORS), as Ollama's users know it.

A browser sends the page's origin along. Without this check any page could make the agent act, since a POST needs no
permission of its own; so a page from elsewhere is refused, and not only kept from reading the answer.
"""

import re
from collections.abc import Iterable, Mapping

from twisted.web.iweb import IRequest

from ..seams.errors import Forbidden
from .placed import head_of

# As in Ollama's `envconfig/config.go`, and the web views of phone and desktop apps.
_HOSTS = ("localhost", "*.localhost", "127.0.0.1", "0.0.0.0", "[::1]")
LOCAL_ORIGINS = (
    *(f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in _HOSTS for port in ("", ":*")),
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
    "vscode-file://*",
    "capacitor://*",
    "ionic://*",
)
METHODS = b"GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
# For a preflight that does not say which headers it is about.
HEADERS = b"Authorization, Content-Type, User-Agent, Accept, X-Requested-With"
TWELVE_HOURS = b"43200"


class Cors:
    """The origins that may come in besides local ones; a `*` in one stands for any text."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        patterns = (_pattern(origin.lower().rstrip("/")) for origin in (*LOCAL_ORIGINS, *origins))
        self._allowed = re.compile("|".join(patterns), re.DOTALL)

    def refusal(self, request: IRequest) -> Forbidden | None:
        """Why the page behind the request may not come in, or None."""
        origin = head_of(request).origin
        if origin is None or self.allows(origin):
            return None
        return Forbidden(
            f"Pages from {origin.decode('latin-1')} may not use this server. The operator can add it to "
            "llama_origins in plugins-enabled.json."
        )

    def page_refusal(self, request: IRequest) -> Forbidden | None:
        """The same for the server's own pages, which none but they themselves may use."""
        if head_of(request).origin is None:
            return None
        return Forbidden("Other pages may not use those of this server.")

    def mark(self, request: IRequest) -> None:
        """Sets the headers with which the page's browser lets it see the answer, whatever that will be."""
        origin = head_of(request).origin
        if origin is not None:
            request.setHeader(b"vary", b"Origin")
            if self.allows(origin):
                request.setHeader(b"access-control-allow-origin", origin)

    def preflight(self, request: IRequest) -> None:
        """Answers an OPTIONS request, on any path; every header that a browser asks for is granted."""
        request.setResponseCode(204)
        head = head_of(request)
        if head.get(b"access-control-request-method") is None or head.origin is None:
            request.setHeader(b"allow", METHODS)
            return
        asked = head.get(b"access-control-request-headers")
        request.setHeader(b"access-control-allow-methods", METHODS)
        request.setHeader(b"access-control-allow-headers", asked or HEADERS)
        request.setHeader(b"access-control-max-age", TWELVE_HOURS)
        request.setHeader(b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
        # A page from the Internet asks for a server in the private network.
        if head.get(b"access-control-request-private-network") == b"true":
            request.setHeader(b"access-control-allow-private-network", b"true")

    def allows(self, origin: bytes) -> bool:
        """Whether pages from there may come in."""
        return self._allowed.fullmatch(origin.decode("latin-1").lower()) is not None


def ollama_origins(environ: Mapping[str, str]) -> list[str]:
    """The origins that Ollama would let in besides local ones: those of its variable, separated by commas."""
    return [origin for each in environ.get("OLLAMA_ORIGINS", "").split(",") if (origin := each.strip())]


def _pattern(origin: str) -> str:
    """A pattern for one origin. What stands between two stars is found once, where it comes first."""
    first, *others = map(re.escape, origin.split("*"))
    if not others:
        return first
    middle = "".join(f"(?>.*?{piece})" for piece in others[:-1])
    return f"{first}{middle}.*{others[-1]}"
