"""What the tests of MCP servers share: a shelf for their tools, and programs of the test's own."""

import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from llamaproxy.agent.calls.toolbox import Toolbox
from llamaproxy.config.tools import Mcp, McpServer
from llamaproxy.seams.interfaces import ITool
from llamaproxy.tools.mcp import client
from llamaproxy.tools.mcp.servers import McpServers

from ..support import call

PROGRAM = str(Path(__file__).with_name("server.py"))


class McpCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.patch(client, "FIRST_WAIT", 0.05)
        # Or a machine that is slow to start the server would be waited for longer and longer.
        self.patch(client, "LONGEST_WAIT", 0.5)
        self.patch(client, "SETTLE_SECONDS", 0.05)
        self.shelf = Toolbox()
        self.environ = {"MOOD": "fine mood", "TOKEN": "t0ken"}

    def start(self, **servers: McpServer) -> McpServers:
        started = McpServers(Mcp(servers=servers), self.environ.get, reactor)
        started.start(self.shelf)
        self.addCleanup(lambda: Deferred.fromCoroutine(started.stop()))
        return started

    def renew(self, started: McpServers, **servers: McpServer) -> None:
        """What the files say is new."""
        started.renew(McpServers(Mcp(servers=servers), self.environ.get, reactor), self.shelf)

    async def tool(self, name: str) -> ITool:
        """The tool of that name, once it is there."""
        while (tool := self.shelf.get(name)) is None:
            await deferLater(reactor, 0.02)
        return tool

    async def do(self, name: str, **arguments: Any) -> str:
        return await call(await self.tool(name), reactor, **arguments)

    def boot(self, *command: str, **environ: str) -> "Program":
        """Runs a program for as long as the test."""
        program = Program()
        any_reactor: Any = reactor
        any_reactor.spawnProcess(program, command[0], command, env={**os.environ, **environ})
        self.addCleanup(program.kill)
        return program


class Program(ProcessProtocol):
    """A program of the test's own."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def processEnded(self, reason: Any) -> None:
        self.ended.callback(None)

    async def _killed(self) -> None:
        if not self.ended.called:
            assert self.transport is not None
            self.transport.signalProcess("KILL")
            await self.ended

    def kill(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._killed())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
