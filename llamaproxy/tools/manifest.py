"""The tools that come with us, in words, and what each needs; loads none of them."""

from collections.abc import Callable
from typing import NamedTuple

from .packages import is_installed


class Card(NamedTuple):
    """One tool: what it is for, which Python packages and environment variables it needs, and which it can use."""

    description: str
    packages: tuple[str, ...] = ()
    env_vars: tuple[str, ...] = ()

    def missing(self, environ: Callable[[str], str | None]) -> list[str]:
        """The packages that are not installed, and the variables that are not set."""
        packages = [package for package in self.packages if not is_installed(package)]
        return packages + [name for name in self.env_vars if not environ(name)]


BUILT_IN: dict[str, Card] = {
    "db_query": Card("SQL on an SQLite file, PostgreSQL, MySQL or MariaDB", ("sqlglot",)),
    "search_ddgs": Card("web search without a key, through several engines", ("ddgs",)),
    "search_tavily": Card("web search through Tavily", env_vars=("TAVILY_API_KEY",)),
    "url_extract": Card("the text of a web page", ("trafilatura", "lxml_html_clean")),
    "files": Card("list, read, search and write files in one folder"),
    "mcp": Card("the tools of MCP servers", ("mcp",)),
    "get_system_info": Card("the date, the time and the system"),
}
