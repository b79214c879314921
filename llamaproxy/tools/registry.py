"""Which tools there are: those that come with us, and those that others drop in as plugins.

A tool is loaded when its plugin is enabled. Nothing here, and nothing that building a tool does, loads the libraries
which the tools work with; that waits until the server runs.
"""

from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from .. import plugins
from ..config.dropins import drop_ins, told
from ..config.schema import PLUGIN, PROMPT_PLUGIN
from ..config.tools import PREFIX, Mcp, ToolSettings
from ..seams.interfaces import ILasting, ITool, IToolType
from ..seams.kits import Kit
from ..sockets import tls
from .manifest import BUILT_IN
from .mcp.servers import McpServers, Shelf

log = Logger()

# Where in the home the tools of third parties have a folder each.
THEIR_FOLDERS = "plugin-data"
# Seconds that the server's end waits for one of them.
PATIENCE = 5.0


class Workshop(Struct, frozen=True, kw_only=True):
    """What a tool may use of the server that it lives in.

    `environ` looks a variable up in the environment, then in `.env`; `home` is the folder that paths count from.
    """

    reactor: Any
    environ: Callable[[str], str | None]
    home: Path


class Tools:
    """The enabled tools. `fixed` are there from the beginning; those of MCP servers come once these answer."""

    def __init__(self, fixed: list[ITool], mcp: McpServers, reactor: Any) -> None:
        self.fixed = fixed
        self._mcp = mcp
        self._reactor = reactor
        # Of which calls may still run.
        self._former: list[ITool] = []

    def renew(self, other: "Tools", shelf: Shelf, kept: Collection[str]) -> None:
        """Takes over another one's tools, but for those of the names in `kept`, which stay as they are.

        Calls that run go on.
        """
        mine = {tool.name: tool for tool in self.fixed}
        theirs = {tool.name: tool for tool in other.fixed}
        for name in mine.keys() - theirs.keys():
            shelf.remove(name)
        for name, tool in theirs.items():
            if name not in mine or (name not in kept and tool is not mine[name]):
                shelf.add(tool)
                _start(tool, shelf)
                mine[name] = tool
        fixed = [mine[name] for name in theirs]
        self._former += [tool for tool in self.fixed if tool not in fixed]
        self.fixed = fixed
        self._mcp.renew(other._mcp, shelf)

    def start(self, shelf: Shelf) -> None:
        """Lets the tools load what they need; those that come later are put on the `shelf`."""
        for tool in self.fixed:
            _start(tool, shelf)
        self._mcp.start(shelf)

    def stop(self) -> Deferred[None]:
        """Ends what is under way."""
        ending: list[Deferred[Any]] = [
            maybeDeferred(tool.stop)
            .addTimeout(PATIENCE, self._reactor)
            .addErrback(_tell, tool, "does not stop as it should")
            for tool in (*self.fixed, *self._former)
            if ILasting.providedBy(tool)
        ]
        return gatherResults([*ending, Deferred.fromCoroutine(self._mcp.stop())]).addCallback(lambda _: None)


def _start(tool: ITool, shelf: Shelf) -> None:
    """Starts one that lasts; it is taken away again if it cannot."""

    def failed(failure: Failure) -> None:
        _tell(failure, tool, "cannot start and is left out")
        shelf.remove(tool.name)

    if ILasting.providedBy(tool):
        maybeDeferred(tool.start).addErrback(failed)


def _tell(failure: Failure, tool: ITool, what: str) -> None:
    log.warn("{plugin} {what}: {why}", plugin=PREFIX + tool.name, what=what, why=_in_a_line(failure.value))


def _in_a_line(error: BaseException | None) -> str:
    """What somebody's code has raised."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def load_tools(settings: ToolSettings, workshop: Workshop, tell: Callable[..., None] = log.warn) -> Tools:
    """The enabled tools, as listed; one that lacks something is left out, of which `tell` hears."""
    wanted = "mcp" in settings.enabled and _is_complete("mcp", workshop, tell)
    servers = McpServers(settings.mcp if wanted else Mcp(), workshop.environ, workshop.reactor)
    return Tools(list(_loaded(settings, workshop, tell)), servers, workshop.reactor)


def troubles(settings: ToolSettings, workshop: Workshop) -> list[str]:
    """What a server would say of the enabled tools that it has to do without, in a line each."""
    lines: list[str] = []

    def tell(line: str, **fields: str) -> None:
        lines.append(line.format(**fields))

    list(_loaded(settings, workshop, tell))
    if "mcp" in settings.enabled:
        _is_complete("mcp", workshop, tell)
    return lines


class Theirs(NamedTuple):
    """The tools of others, or what makes them, by name; and what is wrong with modules, in words."""

    tools: dict[str, Any]
    broken: str = ""


def plugin_tools() -> Theirs:
    """What others have dropped into `llamaproxy.plugins`. All of it is imported, so this is asked only when needed."""
    tls.load()
    tools, makers = drop_ins(plugins, ITool), drop_ins(plugins, IToolType)
    named: dict[str, Any] = {}
    broken = told(tools.broken)
    for each in (*tools.found, *makers.found):
        name = getattr(each, "name", None)
        if isinstance(name, str):
            named[name] = each
        else:
            broken += f"; {type(each).__module__} has a tool without a name"
    return Theirs(named, broken)


def _loaded(settings: ToolSettings, workshop: Workshop, tell: Callable[..., None]) -> Iterator[ITool]:
    theirs: Theirs | None = None
    for name in settings.enabled:
        if name in _BUILDERS:
            if _is_complete(name, workshop, tell):
                yield _BUILDERS[name](settings, workshop)
        elif name not in BUILT_IN and PREFIX + name not in (PLUGIN, PROMPT_PLUGIN):
            theirs = plugin_tools() if theirs is None else theirs
            if name in theirs.tools:
                yield from _made(name, theirs.tools[name], settings, workshop, tell)
            else:
                near = get_close_matches(name, (*BUILT_IN, *theirs.tools), n=1)
                tell(
                    "{plugin} is enabled, and no plugin of that name can be found or imported here{hint}{broken}",
                    plugin=PREFIX + name,
                    hint=f"; did you mean {PREFIX}{near[0]}?" if near else "",
                    broken=theirs.broken,
                )


def _made(
    name: str, plugin: Any, settings: ToolSettings, workshop: Workshop, tell: Callable[..., None]
) -> Iterator[ITool]:
    """The tool of a third party, unless it is not what it should be."""
    try:
        tool = plugin
        if IToolType.providedBy(plugin):
            folder = workshop.home / THEIR_FOLDERS / name
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            block = settings.others.get(name, {})
            tool = plugin.build(
                Kit(settings=block, environ=workshop.environ, folder=folder, reactor=workshop.reactor)
            )
        verifyObject(ITool, tool)
    except Exception as error:  # whatever a plugin comes up with
        tell("{plugin} is left out: {why}", plugin=PREFIX + name, why=_in_a_line(error))
    else:
        yield tool


def _is_complete(name: str, workshop: Workshop, tell: Callable[..., None] = log.warn) -> bool:
    """Whether a tool of ours has what it needs; the log says what it lacks."""
    missing = BUILT_IN[name].missing(workshop.environ)
    if missing:
        tell(
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
