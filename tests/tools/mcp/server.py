"""An MCP server for the tests: `python mcp_server.py` over stdio, with a port over HTTP."""

import os
import sys
from typing import Annotated

import anyio
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("tester")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look(what: str) -> str:
    """Looks at something."""
    return f"{what} looks fine, {os.environ.get('MOOD', 'no mood')}"


@server.tool(name="Do It!")
def do_it() -> str:
    """Does it."""
    return "done"


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("it broke")


@server.tool()
def flood() -> str:
    """Says too much."""
    return "x" * 3_000_000


@server.tool()
async def hang() -> str:
    """Never answers."""
    await anyio.sleep(3600)
    return "late"


@server.tool()
def pid() -> str:
    """The process."""
    return str(os.getpid())


@server.tool()
async def learn(what: str, context: Context) -> str:
    """Gets a tool more, and says so."""
    server.add_tool(pid, name=what)
    await context.notify_tools_changed()
    return "learnt"


class Order(BaseModel):
    size: int
    sweet: bool = True


def size() -> Elicit[Order]:
    return Elicit("How large?", Order)


@server.tool()
def order(wish: Annotated[ElicitationResult[Order], Resolve(size)]) -> str:
    """Asks what to order."""
    return f"{wish.action} {getattr(wish, 'data', None)!r}"


@server.tool()
def grumble(lines: int) -> str:
    """Writes to its standard error."""
    for number in range(lines):
        print(f"grumble {number}", "." * 1000, file=sys.stderr, flush=True)
    return "done"


@server.tool()
def die() -> str:
    """Ends the server in the middle of a call."""
    os._exit(1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
