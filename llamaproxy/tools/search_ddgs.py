"""`search_ddgs`: web search without a key, through the engines that the `ddgs` library knows."""

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..config.tools import Search
from ..seams.errors import ToolError
from ..seams.interfaces import ITool
from ..seams.types import Access, ToolContext
from .base import BuiltIn
from .search_results import PARAMETERS, as_text
from .threads import Workers


@implementer(ITool)
class DdgsTool(BuiltIn):
    """The library blocks, and has no way to be stopped but its own time limit."""

    name = "search_ddgs"
    category = "search"
    description = "Searches the web and returns titles, addresses and short extracts."
    parameters = PARAMETERS

    def __init__(self, settings: Search, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers
        self.timeout = settings.timeout

    def access(self, arguments: dict[str, Any]) -> Access:
        """A look at the web."""
        return Access(operation="read", gate=self.name)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Searches in a thread."""
        return self._workers.run(lambda abort: self._search(arguments["query"]))

    def _search(self, query: str) -> str:
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException

        try:
            client = DDGS(timeout=max(1, int(self.timeout / 2)))
            results = client.text(query, max_results=self._settings.max_results)
        except Exception as error:  # the engines' own as well, and what the network does to them
            if isinstance(error, DDGSException) and "no results" in str(error).lower():
                return as_text((), "", "")
            raise ToolError(f"the search failed: {str(error) or type(error).__name__}") from None
        return as_text(results[: self._settings.max_results], "href", "body")
