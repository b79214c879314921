"""Which tools there are: those that come with us, and those that others drop in as plugins.

A tool is loaded when its plugin is enabled. Nothing here, and nothing that building a tool does, loads the libraries
which the tools work with; that waits until the server runs.
"""

from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..config.schema import PLUGIN, PROMPT_PLUGIN
from ..config.tools import PREFIX, Mcp, ToolSettings
from ..seams.interfaces import ITool
from .base import BuiltIn
from .manifest import BUILT_IN
from .mcp.servers import McpServers, Shelf

log = Logger()


class Workshop(Struct, frozen=True, kw_only=True):
    """What a tool may use of the server that it lives in.

    `environ` looks a variable up in the environment, then in `.env`; `home` is the folder that paths count from.
    """

    reactor: Any
    environ: Callable[[str], str | None]
    home: Path


class Tools:
    """The enabled tools. `fixed` are there from the beginning; those of MCP servers come once these answer."""

    def __init__(self, fixed: list[ITool], mcp: McpServers) -> None:
        self.fixed = fixed
        self._mcp = mcp
        # Of which calls may still run.
        self._former: list[BuiltIn] = []

    def renew(self, other: "Tools", shelf: Shelf, kept: Collection[str]) -> None:
        """Takes over another one's tools, but for those of the names in `kept`, which stay as they are.

        Calls that run go on.
        """
        mine = {tool.name: tool for tool in self.fixed}
        theirs = {tool.name: tool for tool in other.fixed}
        for name in mine.keys() - theirs.keys():
            shelf.remove(name)
            self._leave(mine[name])
        for name, tool in theirs.items():
            if name not in mine or name not in kept:
                if isinstance(tool, BuiltIn):
                    tool.start()
                if name in mine:
                    self._leave(mine[name])
                shelf.add(tool)
                mine[name] = tool
        self.fixed = [mine[name] for name in theirs]
        self._mcp.renew(other._mcp, shelf)

    def _leave(self, tool: ITool) -> None:
        if isinstance(tool, BuiltIn):
            self._former.append(tool)

    def start(self, shelf: Shelf) -> None:
        """Lets the tools load what they need; those that come later are put on the `shelf`."""
        for tool in self.fixed:
            if isinstance(tool, BuiltIn):
                tool.start()
        self._mcp.start(shelf)

    def stop(self) -> Deferred[None]:
        """Ends what is under way."""
        for tool in (*self.fixed, *self._former):
            if isinstance(tool, BuiltIn):
                tool.stop()
        return Deferred.fromCoroutine(self._mcp.stop())


def load_tools(settings: ToolSettings, workshop: Workshop) -> Tools:
    """The enabled tools, as listed; one that lacks something is left out, with a warning."""
    wanted = "mcp" in settings.enabled and _is_complete("mcp", workshop)
    servers = McpServers(settings.mcp if wanted else Mcp(), workshop.environ, workshop.reactor)
    return Tools(list(_loaded(settings, workshop)), servers)


def plugin_tools() -> dict[str, ITool]:
    """The tools that others have dropped into `llamaproxy.plugins`, by name."""
    # It reads every plugin folder, so it is looked up only when needed.
    from twisted.plugin import getPlugins

    from .. import plugins

    return {tool.name: tool for tool in getPlugins(ITool, plugins)}


def _loaded(settings: ToolSettings, workshop: Workshop) -> Iterator[ITool]:
    theirs: dict[str, ITool] | None = None
    for name in settings.enabled:
        if name in _BUILDERS:
            if _is_complete(name, workshop):
                yield _BUILDERS[name](settings, workshop)
        elif name not in BUILT_IN:
            theirs = plugin_tools() if theirs is None else theirs
            if name in theirs:
                yield theirs[name]
            elif PREFIX + name not in (PLUGIN, PROMPT_PLUGIN):
                near = get_close_matches(name, (*BUILT_IN, *theirs), n=1)
                log.warn(
                    "{plugin} is enabled, and no plugin of that name can be found or imported here{hint}",
                    plugin=PREFIX + name,
                    hint=f"; did you mean {PREFIX}{near[0]}?" if near else "",
                )


def _is_complete(name: str, workshop: Workshop) -> bool:
    """Whether a tool of ours has what it needs; the log says what it lacks."""
    missing = BUILT_IN[name].missing(workshop.environ)
    if missing:
        log.warn(
            "{plugin} is left out: it needs {missing}; agentctl info {plugin} tells more",
            plugin=PREFIX + name,
            missing=", ".join(missing),
        )
    return not missing


def _db_query(settings: ToolSettings, workshop: Workshop) -> ITool:
    from .db_query import DbQueryTool
    from .threads import Workers

    password = workshop.environ(settings.db_query.password_env) or ""
    return DbQueryTool(settings.db_query, password, workshop.home, Workers(workshop.reactor))


def _files(settings: ToolSettings, workshop: Workshop) -> ITool:
    from .files import FilesTool
    from .threads import Workers

    return FilesTool(settings.files, workshop.home, Workers(workshop.reactor))


def _search_ddgs(settings: ToolSettings, workshop: Workshop) -> ITool:
    from .search_ddgs import DdgsTool
    from .threads import Workers

    return DdgsTool(settings.search_ddgs, Workers(workshop.reactor))


def _search_tavily(settings: ToolSettings, workshop: Workshop) -> ITool:
    from treq.client import HTTPClient
    from twisted.web.client import Agent

    from .search_tavily import TavilyTool

    http = HTTPClient(Agent(workshop.reactor, connectTimeout=10))
    return TavilyTool(settings.search_tavily, workshop.environ("TAVILY_API_KEY") or "", http)


def _url_extract(settings: ToolSettings, workshop: Workshop) -> ITool:
    from .threads import Workers
    from .url_extract import UrlExtractTool

    return UrlExtractTool(settings.url_extract, Workers(workshop.reactor))


def _system_info(settings: ToolSettings, workshop: Workshop) -> ITool:
    from .system_info import SystemInfoTool

    return SystemInfoTool()


_BUILDERS: dict[str, Callable[[ToolSettings, Workshop], ITool]] = {
    "db_query": _db_query,
    "files": _files,
    "search_ddgs": _search_ddgs,
    "search_tavily": _search_tavily,
    "url_extract": _url_extract,
    "get_system_info": _system_info,
}
