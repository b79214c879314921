"""`search_tavily`: web search through Tavily (POST /search, docs.tavily.com)."""

from typing import Any

import msgspec
from msgspec import Struct
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.http_headers import Headers
from zope.interface import implementer

from ..config.tools import Search
from ..seams.errors import ToolError
from ..seams.interfaces import ITool
from ..seams.types import Access, ToolContext
from .base import BuiltIn
from .search_results import PARAMETERS, as_text

URL = "https://api.tavily.com/search"


class _Answer(Struct):
    results: list[dict[str, Any]] = []


@implementer(ITool)
class TavilyTool(BuiltIn):
    """Asks with the operator's key; an answer is a few kilobytes."""

    name = "search_tavily"
    category = "search"
    description = "Searches the web through Tavily and returns titles, addresses and relevant extracts."
    parameters = PARAMETERS

    def __init__(self, settings: Search, key: str, http: HTTPClient) -> None:
        self._settings = settings
        self._key = key
        self._http = http
        self.timeout = settings.timeout

    def access(self, arguments: dict[str, Any]) -> Access:
        """A look at the web."""
        return Access(operation="read", gate=self.name)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Asks Tavily."""
        return Deferred.fromCoroutine(self._search(arguments["query"]))

    async def _search(self, query: str) -> str:
        headers = Headers({"authorization": [f"Bearer {self._key}"]})
        body = {"query": query, "max_results": self._settings.max_results}
        try:
            response = await self._http.post(URL, json=body, headers=headers)
            content = await response.content()
        except CancelledError:
            raise
        except Exception as error:
            raise ToolError(f"Tavily cannot be reached: {error}") from None
        if response.code in (401, 403):
            raise ToolError("Tavily does not accept the key; check TAVILY_API_KEY")
        if response.code != 200:
            raise ToolError(f"Tavily answers {response.code}: {content[:200].decode('utf-8', 'replace')}")
        try:
            answer = msgspec.json.decode(content, type=_Answer)
        except msgspec.DecodeError as error:
            raise ToolError(f"Tavily's answer cannot be read: {error}") from None
        return as_text(answer.results, "url", "content")
