"""The asyncio side: one MCP server, connected, listed and called; listed again when its tools change, connected again
when it dies.

Loaded in the thread of `bridge` only, since the library takes seconds to load.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import Any, NamedTuple

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp_types import CONNECTION_CLOSED, ElicitRequestParams, ElicitResult, Tool, ToolListChangedNotification
from pydantic import ValidationError

from ...config.tools import McpServer
from ...seams.errors import AsksUser, ToolError
from ...seams.types import ToolAnswer
from .content import as_answer, as_text
from .messages import without_bad_entries
from .program import program
from .questions import PATIENCE_SECONDS, Running, current
from .stderr import Say

# Seconds: until a server must have listed its tools; before the first new try and at most between two.
CONNECT_SECONDS = 30.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
# A server that ran this long was healthy: waiting begins anew.
HEALTHY_SECONDS = 30.0
# Between word of a change and the look at the tools: changes come in swarms.
SETTLE_SECONDS = 0.5
# How long a server may take to end by itself.
FAREWELL_SECONDS = 5.0
# Of all of a server's tools: how many, the bytes of their definitions, and the pages on which it lists them.
MOST_TOOLS, MOST_BYTES, MOST_PAGES = 200, 1024 * 1024, 100
# Of what a call says while it runs: lines, and characters of one.
MOST_PROGRESS, LONGEST_PROGRESS = 100, 300
# What a server's refusal means for people.
_REFUSALS = {
    401: "it wants a token, or does not accept the one that it got (401)",
    403: "it does not allow this (403)",
    404: "there is nothing at its address (404)",
    410: "it is gone from its address for good (410)",
    429: "it is asked too often (429)",
}
# No use in asking again soon.
_FOR_LONG = (401, 403, 410)

Ready = Callable[[Sequence[Tool]], None]
Lost = Callable[[str, float], None]


class Caller(NamedTuple):
    """For whom a call is made: their session, what hears how far it is, and whether and what they answer."""

    session_id: str
    tell: Callable[[str], None]
    asks: bool = False
    answer: str | None = None


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
        # The last status of a server that is an address, if it was a refusal, and whether it has forgotten us.
        self._refusal = 0
        self._forgotten = False
        # The calls under way, and those of them that wait for the user.
        self._running: set[Running] = set()
        self._waiting: dict[tuple[str, str, str], Running] = {}
        # Set while there is a client.
        self._up = asyncio.Event()
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
            self._refusal, self._forgotten = 0, False
            try:
                await self._connected(ready)
            except Exception as error:
                problem = self._words(error)
            finally:
                self._client = None
                self._up.clear()
            if self._forgotten:
                lost("it has ended our session", 0.0)
                continue
            if asyncio.get_running_loop().time() - began > HEALTHY_SECONDS:
                wait = FIRST_WAIT
            wait = LONGEST_WAIT if self._refusal in _FOR_LONG else wait
            lost(problem, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def close(self) -> None:
        """Ends `keep`; returns when the program has ended, or after a few seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=FAREWELL_SECONDS)

    async def call(self, tool: str, arguments: dict[str, Any], caller: Caller) -> str | ToolAnswer:
        """Calls a tool, or goes on with a call whose question the user has answered; its answer as text.

        Raises `AsksUser` and `ToolError`.
        """
        key = (caller.session_id, tool, json.dumps(arguments, sort_keys=True))
        running = self._waiting.pop(key, None)
        if running is not None and caller.answer is None:
            running.cancel()
            running = None
        if running is None:
            running = Running(self._surely(tool, arguments, caller.tell), caller.asks)
            self._running.add(running)
            running.when_over(lambda over: self._over(key, over))
        try:
            running.reply(caller.answer or "")
            return await running.result(self._server.timeout)
        except AsksUser:
            self._waiting[key] = running
            raise

    def _over(self, key: tuple[str, str, str], running: Running) -> None:
        self._running.discard(running)
        if self._waiting.get(key) is running:
            del self._waiting[key]

    async def _surely(
        self, tool: str, arguments: dict[str, Any], tell: Callable[[str], None]
    ) -> str | ToolAnswer:
        """Makes a call, in a new session if need be."""
        if self._client is None:
            raise ToolError("the MCP server is not running at the moment; it is being started again")
        try:
            return await self._call(self._client, tool, arguments, tell)
        except _Forgotten:
            # The call has not been looked at, so it can be made again, in a new session.
            self._ended.set()
            self._up.clear()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._up.wait()
            except TimeoutError:
                raise ToolError("the MCP server has ended our session and begins no new one") from None
            try:
                return await self._call(self._client, tool, arguments, tell)
            except _Forgotten:
                raise ToolError("the MCP server ends each session at once") from None

    async def _call(
        self, client: Client, tool: str, arguments: dict[str, Any], tell: Callable[[str], None]
    ) -> str | ToolAnswer:
        self._refusal = 0
        try:
            result = await client.call_tool(
                tool,
                arguments,
                read_timeout_seconds=self._server.timeout + PATIENCE_SECONDS,
                progress_callback=_Progress(tell).heard,
            )
        except MCPError as error:
            if self._forgotten or (self._refusal == 400 and "session" in str(error).lower()):
                self._forgotten = True
                raise _Forgotten from None
            if error.code == CONNECTION_CLOSED:
                self._ended.set()
                raise ToolError("the MCP server went away in the middle of the call") from None
            raise ToolError(f"the MCP server says: {self._words(error)}") from None
        except (ValidationError, RuntimeError) as error:
            raise ToolError(f"the MCP server's answer cannot be read: {str(error)[:500]}") from None
        except Exception as error:
            self._ended.set()
            raise ToolError(f"the MCP server went away: {self._words(error)}") from None
        if result.is_error:
            raise ToolError(as_text(result)[:2000])
        return as_answer(result)

    async def _answered(self, response: httpx2.Response) -> None:
        """A server that is an address has answered: the library does not tell its refusals apart."""
        if response.status_code >= 400:
            self._refusal = response.status_code
            if response.status_code == 404 and MCP_SESSION_ID in response.request.headers:
                self._forgotten = True
                self._ended.set()

    def _words(self, error: BaseException) -> str:
        """What went wrong, out of the groups in which task groups wrap it."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, TimeoutError):
            return f"no answer within {CONNECT_SECONDS:g} seconds"
        if isinstance(error, MCPError) and self._refusal in _REFUSALS:
            return _REFUSALS[self._refusal]
        return str(error) or type(error).__name__

    async def _connected(self, ready: Ready) -> None:
        self._ended, self._changed = asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(CONNECT_SECONDS) as limit:
            async with Client(
                self._transport(),
                read_timeout_seconds=self._server.timeout,
                message_handler=self._notified,
                elicitation_callback=self._asked,
            ) as client:
                tools = await _tools(client)
                limit.reschedule(None)
                self._client = client
                self._up.set()
                ready(tools)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._follow, client, ready)
                    tasks.start_soon(self._listen, client)
                    await self._ended.wait()
                    tasks.cancel_scope.cancel()

    async def _asked(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        """The server has a question for the user, about the call that it works on."""
        running = current.get()
        if running is None and len(self._running) == 1:
            [running] = self._running  # older protocols do not tell which it is
        return ElicitResult(action="decline") if running is None else await running.ask(params)

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
        async with self._streams() as (read, write):
            sender, receiver = anyio.create_memory_object_stream[Any](0)

            async def pump() -> None:
                try:
                    async with sender:
                        async for message in read:
                            await sender.send(without_bad_entries(message, self._said))
                finally:
                    self._ended.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pump)
                try:
                    yield receiver, write
                finally:
                    tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _streams(self) -> AsyncGenerator[Any, None]:
        if not self._server.url:
            async with program(self._server, self._environ, self._said) as streams:
                yield streams
            return
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        # An answer may have to wait for the user's.
        limits = httpx2.Timeout(CONNECT_SECONDS, read=self._server.timeout + PATIENCE_SECONDS)
        hooks: dict[str, list[Any]] = {"response": [self._answered]}
        async with httpx2.AsyncClient(headers=headers, timeout=limits, event_hooks=hooks) as http:
            async with streamable_http_client(self._server.url, http_client=http) as streams:
                yield streams


class _Forgotten(Exception):
    """The server knows nothing of our session; it has ended it, or began anew itself."""


class _Progress:
    """Tells how far a call is, a line each time that it says something new."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._last = ""
        self._lines = 0

    async def heard(self, progress: float, total: float | None, message: str | None) -> None:
        """See the library."""
        share = f"{progress:g} of {total:g}" if total else f"{progress:g}"
        line = f"{share}: {message[:LONGEST_PROGRESS]}" if message else share
        if line != self._last and self._lines < MOST_PROGRESS:
            self._last = line
            self._lines += 1
            self._tell(f"{line}\n")


async def _tools(client: Client) -> list[Tool]:
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        tools += page.tools
        cursor = page.next_cursor
        if not cursor or len(tools) >= MOST_TOOLS:
            break
    sizes = accumulate(len(tool.model_dump_json()) for tool in tools)
    return [tool for tool, size in zip(tools[:MOST_TOOLS], sizes, strict=False) if size <= MOST_BYTES]
