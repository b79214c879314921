"""The asyncio side: one MCP server, connected, listed and called; listed again when its tools change, connected again
when it dies.

Loaded in the thread of `bridge` only, since the library takes seconds to load.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp_types import CONNECTION_CLOSED, CallToolResult, TextContent, Tool, ToolListChangedNotification

from ...config.tools import McpServer
from ...seams.errors import ToolError
from .stderr import Say, stderr_to

# Seconds: until a server must have listed its tools; before the first new try and at most between two.
CONNECT_SECONDS = 30.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
# A server that ran this long was healthy: waiting begins anew.
HEALTHY_SECONDS = 30.0
# Between word of a change and the look at the tools: changes come in swarms.
SETTLE_SECONDS = 0.5
# How long a server may take to end by itself.
FAREWELL_SECONDS = 5.0
MOST_TOOLS = 200
# More text than any model takes is not carried to the other thread.
MOST_CHARACTERS = 256 * 1024

Ready = Callable[[Sequence[Tool]], None]
Lost = Callable[[str, float], None]


class Connection:
    """One server; `environ` are the variables that its program gets, `token` is for its URL.

    `said` hears each line that the program writes to its standard error.
    """

    def __init__(self, server: McpServer, environ: dict[str, str], token: str, said: Say) -> None:
        self._server = server
        self._environ = environ
        self._token = token
        self._said = said
        self._client: Client | None = None
        self._ended, self._changed = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def keep(self, ready: Ready, lost: Lost) -> None:
        """Connects, again and again, until cancelled.

        `ready` hears the tools after each connecting and each change; `lost` why the server is gone, and the
        seconds until the next try.
        """
        self._task = asyncio.current_task()
        wait = FIRST_WAIT
        while True:
            began = asyncio.get_running_loop().time()
            problem = "the connection ended"
            try:
                await self._connected(ready)
            except Exception as error:
                problem = _innermost(error)
            finally:
                self._client = None
            if asyncio.get_running_loop().time() - began > HEALTHY_SECONDS:
                wait = FIRST_WAIT
            lost(problem, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def close(self) -> None:
        """Ends `keep`; returns when the program has ended, or after a few seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=FAREWELL_SECONDS)

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Calls a tool; its answer as text. Raises `ToolError`."""
        if self._client is None:
            raise ToolError("the MCP server is not running at the moment; it is being started again")
        try:
            result = await self._client.call_tool(tool, arguments)
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                self._ended.set()
                raise ToolError("the MCP server went away in the middle of the call") from None
            raise ToolError(f"the MCP server says: {error}") from None
        except Exception as error:
            self._ended.set()
            raise ToolError(f"the MCP server went away: {_innermost(error)}") from None
        text = _text(result)
        if result.is_error:
            raise ToolError(text[:2000])
        return text

    async def _connected(self, ready: Ready) -> None:
        self._ended, self._changed = asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(CONNECT_SECONDS) as limit:
            async with Client(
                self._transport(), read_timeout_seconds=self._server.timeout, message_handler=self._notified
            ) as client:
                tools = await _tools(client)
                limit.reschedule(None)
                self._client = client
                ready(tools)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._follow, client, ready)
                    tasks.start_soon(self._listen, client)
                    await self._ended.wait()
                    tasks.cancel_scope.cancel()

    async def _follow(self, client: Client, ready: Ready) -> None:
        """Lists the tools again whenever the server has said that they changed."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._changed.clear()
            try:
                tools = await _tools(client)
            except MCPError as error:
                if error.code == CONNECTION_CLOSED:
                    raise
                continue  # the server does not want to; calls that run need not end for that
            ready(tools)

    async def _notified(self, message: Any) -> None:
        """How servers of the older protocol say it."""
        if isinstance(message, ToolListChangedNotification):
            self._changed.set()

    async def _listen(self, client: Client) -> None:
        """How servers of the newer protocol say it: in a stream of its own, which may break off."""
        while True:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        self._changed.set()
                return
            except SubscriptionLost:
                await asyncio.sleep(FIRST_WAIT)
                self._changed.set()
            except (ListenNotSupportedError, MCPError, TimeoutError):
                return

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any, None]:
        """The streams of a connection; the end of what the server sends is noticed here."""
        if self._server.url:
            headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
            limits = httpx2.Timeout(CONNECT_SECONDS, read=self._server.timeout)
            async with httpx2.AsyncClient(headers=headers, timeout=limits) as http:
                async with streamable_http_client(self._server.url, http_client=http) as streams:
                    yield streams
            return
        program = StdioServerParameters(
            command=self._server.command,
            args=list(self._server.args),
            env=self._environ,
            cwd=self._server.cwd,
        )
        async with (
            stderr_to(self._said) as errors,
            stdio_client(program, errlog=errors) as (read, write),
        ):
            errors.close()
            sender, receiver = anyio.create_memory_object_stream[Any](0)

            async def pump() -> None:
                try:
                    async with sender:
                        async for message in read:
                            await sender.send(message)
                finally:
                    self._ended.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pump)
                try:
                    yield receiver, write
                finally:
                    tasks.cancel_scope.cancel()


async def _tools(client: Client) -> list[Tool]:
    tools: list[Tool] = []
    cursor: str | None = None
    while len(tools) < MOST_TOOLS:
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return tools[:MOST_TOOLS]


def _text(result: CallToolResult) -> str:
    parts = []
    for part in result.content:
        if isinstance(part, TextContent):
            parts.append(part.text)
        else:
            parts.append(f"[{part.type}, which cannot be shown as text]")
    if not parts and result.structured_content is not None:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    text = "\n".join(parts)
    if len(text) > MOST_CHARACTERS:
        return f"{text[:MOST_CHARACTERS]}\n[cut here; the answer had {len(text)} characters]"
    return text or "(no content)"


def _innermost(error: BaseException) -> str:
    """What went wrong, out of the groups in which task groups wrap it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} seconds"
    return str(error) or type(error).__name__
