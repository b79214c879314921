"""The reactor's side: the configured servers, and their tools as ours."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ...config.tools import Mcp, McpServer
from ...seams.errors import ToolError
from ...seams.gates import Side
from ...seams.interfaces import ITool
from ...seams.types import Access, ToolAnswer, ToolContext
from .bridge import AsyncioThread
from .names import group_of, tool_names

if TYPE_CHECKING:
    from mcp_types import Tool

    from .client import Connection

T = TypeVar("T")

# Characters that the log takes of what a server says at once.
_LONGEST_LINE = 1000


class Shelf(Protocol):
    """Where tools that come and go are put: the agent's toolbox."""

    def add(self, tool: ITool) -> None:
        """Offers a tool, in place of one of its name."""

    def remove(self, name: str) -> None:
        """Takes it away."""


@implementer(ITool)
class McpTool:
    """One tool of a server. It only reads if the server says so."""

    def __init__(self, name: str, server: "Server", tool: "Tool") -> None:
        self.name = name
        self.category = server.group
        self.description = tool.description or tool.title or tool.name
        self.parameters = tool.input_schema
        self.timeout = server.settings.timeout + 5.0  # the library's own limit comes first
        self._server = server
        self._tool = tool.name
        only_reads = tool.annotations is not None and tool.annotations.read_only_hint
        self.sides: tuple[Side] = ("read",) if only_reads else ("write",)

    def access(self, arguments: dict[str, Any]) -> Access:
        """A gate of its own, in the group of its server."""
        return Access(operation=self.sides[0], gate=self.name)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str | ToolAnswer]:
        """Calls the server."""
        return self._server.call(self._tool, arguments, context)


class Server:
    """One configured server; its tools stay on the shelf while it is being started again.

    `groups` are those of all servers: none may have a tool whose name reads like another's.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        settings: McpServer,
        groups: Sequence[str],
        environ: Callable[[str], str | None],
        thread: AsyncioThread,
        reactor: Any,
    ) -> None:
        self.name = name
        self.group = group_of(name)
        self._rivals = tuple(each for each in groups if each.startswith(f"{self.group}_"))
        self.settings = settings
        self._environ = environ
        self._thread = thread
        self._reactor = reactor
        self._connection: Connection | None = None
        self._keeping: Deferred[None] | None = None
        self._offered: dict[str, Tool] = {}
        self._calls = 0
        self._is_retired = False
        self.is_over = False
        # All by which it is what it is; the variables may have other values when it is asked again.
        self.nature = (self.settings, self._rivals, self._variables(), self._token())

    def start(self, shelf: Shelf) -> None:
        """Begins to connect."""

        def ready(tools: "Sequence[Tool]") -> None:
            self._reactor.callFromThread(self._ready, shelf, tools)

        def lost(problem: str, wait: float) -> None:
            self._reactor.callFromThread(self._lost, problem[:_LONGEST_LINE], wait)

        def said(line: str) -> None:
            self._reactor.callFromThread(
                self.log.info,
                "the MCP server {name} says: {line}",
                name=self.name,
                line=line[:_LONGEST_LINE],
            )

        async def keep() -> None:
            from .client import Connection

            self._connection = Connection(self.settings, self._variables(), self._token(), said)
            await self._connection.keep(ready, lost)

        self._keeping = self._thread.run(keep).addErrback(self._gave_up)

    def stop(self) -> Deferred[None]:
        """Ends the program or the connection; fires when it has ended."""
        if self._connection is not None:
            return self._thread.run(self._connection.close)
        if self._keeping is not None:
            self._keeping.cancel()
        return succeed(None)

    def retire(self, shelf: Shelf) -> None:
        """Offers nothing any more, and ends with the last call that runs."""
        self._is_retired = True
        for name in self._offered:
            shelf.remove(name)
        self._offered = {}
        if not self._calls:
            self._end()

    def call(self, tool: str, arguments: dict[str, Any], context: ToolContext) -> Deferred[str | ToolAnswer]:
        """Calls a tool; fails with `ToolError`."""
        connection = self._connection
        if connection is None:
            raise ToolError(f"the MCP server {self.name} has not been started yet")

        def tell(text: str) -> None:
            self._reactor.callFromThread(context.show, self.name, text)

        async def call() -> str | ToolAnswer:
            from .client import Caller

            return await connection.call(
                tool, arguments, Caller(context.session_id, tell, context.asks, context.answer)
            )

        self._calls += 1
        return self._thread.run(call).addBoth(self._called)

    def _called(self, result: T) -> T:
        self._calls -= 1
        if self._is_retired and not self._calls:
            self._end()
        return result

    def _end(self) -> None:
        self.stop().addErrback(self._gave_up).addBoth(self._ended)

    def _ended(self, _: None) -> None:
        self.is_over = True

    def _variables(self) -> dict[str, str]:
        named = {name: value for name in self.settings.env_from if (value := self._environ(name)) is not None}
        return {**named, **self.settings.env}

    def _token(self) -> str:
        return (self._environ(self.settings.token_env) or "") if self.settings.token_env else ""

    def _ready(self, shelf: Shelf, tools: "Sequence[Tool]") -> None:
        if self._is_retired:
            return
        wanted = self.settings.tools
        taken = [tool for tool in tools if wanted is None or tool.name in wanted]
        named = dict(zip(tool_names(self.group, [tool.name for tool in taken]), taken, strict=True))
        for name in [
            name for name in named if f"{name}_".startswith(tuple(f"{each}_" for each in self._rivals))
        ]:
            del named[name]
            self.log.warn(
                "the MCP server {server} has a tool whose name, {name}, reads like another server's; it is left out",
                server=self.name,
                name=name,
            )
        for gone in self._offered.keys() - named.keys():
            shelf.remove(gone)
        for name, tool in named.items():
            # A schema takes a while to look through, and servers say as often as they like that something changed.
            if self._offered.get(name) != tool:
                shelf.add(McpTool(name, self, tool))
        self._offered = named
        self.log.info("the MCP server {name} is ready, with {count} tools", name=self.name, count=len(named))

    def _lost(self, problem: str, wait: float) -> None:
        self.log.warn(
            "the MCP server {name} is gone ({problem}); next try in {wait:.0f} s",
            name=self.name,
            problem=problem,
            wait=wait,
        )

    def _gave_up(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("the MCP server {name} cannot be used", failure, name=self.name)


class McpServers:
    """All configured servers, in one thread of asyncio."""

    def __init__(self, settings: Mcp, environ: Callable[[str], str | None], reactor: Any) -> None:
        self._settings = settings
        self._environ = environ
        self._reactor = reactor
        self._thread = AsyncioThread(reactor)
        self._servers = self._made(settings)
        # Of which calls may still run.
        self._former: list[Server] = []

    def renew(self, other: "McpServers", shelf: Shelf) -> None:
        """Goes by another one's settings: servers that are as they were stay, and so do calls that run."""
        self._settings = other._settings
        known = {server.name: server for server in self._servers}
        wanted = [self._same(known, server) for server in self._made(self._settings)]
        leaving = [server for server in self._servers if server not in wanted]
        # First, since a successor may have tools of the same names.
        for server in leaving:
            server.retire(shelf)
        for server in wanted:
            if server is not known.get(server.name):
                server.start(shelf)
        self._former = [server for server in (*self._former, *leaving) if not server.is_over]
        self._servers = wanted

    def _same(self, known: Mapping[str, Server], server: Server) -> Server:
        """The one that runs already, if nothing about it is new."""
        old = known.get(server.name)
        return old if old is not None and old.nature == server.nature else server

    def _made(self, settings: Mcp) -> list[Server]:
        groups = [group_of(name) for name in settings.servers]
        return [
            Server(name, server, groups, self._environ, self._thread, self._reactor)
            for name, server in settings.servers.items()
            if server.enabled
        ]

    def start(self, shelf: Shelf) -> None:
        """Begins to connect to all of them."""
        for server in self._servers:
            server.start(shelf)

    async def stop(self) -> None:
        """Ends them all, and the thread."""
        servers = (*self._servers, *self._former)
        await DeferredList([server.stop() for server in servers], consumeErrors=True)
        self._thread.stop()
