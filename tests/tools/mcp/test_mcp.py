"""MCP servers as real programs: over stdio and HTTP, well and badly behaved."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from llamaproxy.agent.calls.toolbox import Toolbox
from llamaproxy.config.tools import Mcp, McpServer
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.interfaces import ITool
from llamaproxy.seams.types import Access
from llamaproxy.tools.mcp import client, stderr
from llamaproxy.tools.mcp.servers import McpServers, tool_names

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

    def start(self, **servers: McpServer) -> McpServers:
        environ = {"MOOD": "fine mood", "TOKEN": "t0ken"}
        started = McpServers(Mcp(servers=servers), environ.get, reactor)
        started.start(self.shelf)
        self.addCleanup(lambda: Deferred.fromCoroutine(started.stop()))
        return started

    async def tool(self, name: str) -> ITool:
        """The tool of that name, once it is there."""
        while (tool := self.shelf.get(name)) is None:
            await deferLater(reactor, 0.02)
        return tool

    async def do(self, name: str, **arguments: Any) -> str:
        return await call(await self.tool(name), reactor, **arguments)


class StdioTests(McpCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = McpServer(command=sys.executable, args=(PROGRAM,), env_from=("MOOD",), timeout=20.0)

    async def test_a_server_from_pypi_tells_the_time(self) -> None:
        self.start(time=McpServer(command=sys.executable, args=("-m", "mcp_server_time")))
        tool = await self.tool("mcp_time_get_current_time")
        verifyObject(ITool, tool)
        self.assertIn("timezone", tool.parameters["properties"])
        self.assertIn("Asia/Tokyo", await call(tool, reactor, timezone="Asia/Tokyo"))

    async def test_a_tool_is_gated_by_its_name_and_its_server_and_writes_unless_it_says_otherwise(
        self,
    ) -> None:
        self.start(t=self.server)
        look, do_it = await self.tool("mcp_t_look"), await self.tool("mcp_t_do_it")
        self.assertEqual((look.category, do_it.category), ("mcp_t", "mcp_t"))
        self.assertEqual(look.access({}), Access(operation="read", gate="mcp_t_look"))
        self.assertEqual(do_it.access({}), Access(operation="write", gate="mcp_t_do_it"))

    async def test_the_program_gets_the_variables_that_are_named(self) -> None:
        self.start(t=self.server)
        self.assertEqual(await self.do("mcp_t_look", what="sky"), "sky looks fine, fine mood")

    async def test_only_the_tools_that_are_wanted(self) -> None:
        self.start(t=McpServer(command=sys.executable, args=(PROGRAM,), tools=("look",)))
        await self.tool("mcp_t_look")
        self.assertEqual([tool.name for tool in self.shelf], ["mcp_t_look"])

    async def test_a_tool_whose_name_reads_like_another_server_s_is_left_out(self) -> None:
        other = McpServer(command=sys.executable, enabled=False)
        self.start(t=self.server, t_do=other, t_look=other)
        await self.tool("mcp_t_pid")
        self.assertIsNone(self.shelf.get("mcp_t_do_it"))
        self.assertIsNone(self.shelf.get("mcp_t_look"))

    async def test_a_tool_that_fails_is_told_and_the_server_goes_on(self) -> None:
        self.start(t=self.server)
        with self.assertRaisesRegex(ToolError, "Error executing tool"):
            await self.do("mcp_t_fail")
        self.assertEqual(await self.do("mcp_t_do_it"), "done")

    async def test_a_huge_answer_is_cut(self) -> None:
        self.start(t=self.server)
        text = await self.do("mcp_t_flood")
        self.assertLess(len(text), client.MOST_CHARACTERS + 100)
        self.assertIn("3000000 characters]", text)

    async def test_a_call_that_hangs_can_be_cancelled(self) -> None:
        self.start(t=self.server)
        running = call(await self.tool("mcp_t_hang"), reactor)
        await deferLater(reactor, 0.1)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running

    async def test_a_call_that_hangs_ends_at_its_time_limit(self) -> None:
        self.start(t=McpServer(command=sys.executable, args=(PROGRAM,), timeout=0.5))
        with self.assertRaises(ToolError):
            await self.do("mcp_t_hang")

    async def test_a_server_that_dies_in_the_middle_is_told_and_comes_back(self) -> None:
        self.start(t=self.server)
        first = await self.do("mcp_t_pid")
        with self.assertRaisesRegex(ToolError, "went away"):
            await self.do("mcp_t_die")
        while True:
            try:
                second = await self.do("mcp_t_pid")
                break
            except ToolError:
                await deferLater(reactor, 0.05)
        self.assertNotEqual(first, second)

    async def test_tools_that_change_are_listed_again(self) -> None:
        self.start(t=self.server)
        for name in ("one", "two"):
            self.assertEqual(await self.do("mcp_t_learn", what=name), "learnt")
            await self.tool(f"mcp_t_{name}")

    async def test_tools_of_an_older_server_are_listed_again_even_after_a_refusal(self) -> None:
        program = str(Path(__file__).with_name("old_server.py"))
        self.start(t=McpServer(command=sys.executable, args=(program,)))
        self.assertEqual(await self.do("mcp_t_grow"), "call 1")
        await self.tool("mcp_t_grown")
        self.assertIsNone(self.shelf.get("mcp_t_grow"))
        with capturedLogs() as events:
            self.assertEqual(await self.do("mcp_t_grown"), "call 2")
            while not any(event.get("line") == "refused" for event in events):
                await deferLater(reactor, 0.02)
        self.assertEqual(await self.do("mcp_t_grown"), "call 3")
        await self.tool("mcp_t_old")

    async def test_standard_error_goes_to_the_log_by_lines_and_bounded(self) -> None:
        self.patch(stderr, "MOST_LINES", 10)
        with capturedLogs() as events:
            started = self.start(t=self.server)
            await self.do("mcp_t_grumble", lines=30)
            await started.stop()
            while not (lines := [each["line"] for each in events if "line" in each])[-1].startswith("(and"):
                await deferLater(reactor, 0.02)
        self.assertEqual({event["name"] for event in events if "line" in event}, {"t"})
        self.assertEqual(len(lines), 11)
        self.assertTrue(any(line.startswith("grumble 0 ...") for line in lines))
        self.assertLess(max(map(len, lines)), 510)
        self.assertRegex(lines[-1], r"\(and \d+ more lines\)")

    async def test_a_program_that_does_not_exist_is_told_and_tried_again(self) -> None:
        with capturedLogs() as events:
            self.start(t=McpServer(command="/no/such/program"))
            while len([e for e in events if e["log_level"] == LogLevel.warn]) < 2:
                await deferLater(reactor, 0.02)
        warnings = [event for event in events if event["log_level"] == LogLevel.warn]
        self.assertEqual(warnings[0]["name"], "t")
        self.assertEqual([event["wait"] for event in warnings[:2]], [0.05, 0.1])

    async def test_stop_ends_the_program(self) -> None:
        started = self.start(t=self.server)
        pid = int(await self.do("mcp_t_pid"))
        os.kill(pid, 0)
        await started.stop()
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)


class HttpTests(McpCase):
    def setUp(self) -> None:
        super().setUp()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.server = McpServer(url=f"http://127.0.0.1:{self.port}/mcp", timeout=20.0)

    def boot(self) -> "Program":
        program = Program()
        any_reactor: Any = reactor
        any_reactor.spawnProcess(
            program, sys.executable, [sys.executable, PROGRAM, str(self.port)], env=dict(os.environ)
        )
        self.addCleanup(program.kill)
        return program

    async def test_tools_are_called_over_http_and_a_restart_is_survived(self) -> None:
        # It is not there yet: the client keeps trying.
        self.start(t=self.server)
        program = self.boot()
        self.assertEqual(await self.do("mcp_t_look", what="sky"), "sky looks fine, no mood")
        await program.kill()
        with self.assertRaises(ToolError):
            await self.do("mcp_t_look", what="sky")
        self.boot()
        while True:
            try:
                self.assertEqual(await self.do("mcp_t_do_it"), "done")
                break
            except ToolError:
                await deferLater(reactor, 0.05)


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


class NameTests(SynchronousTestCase):
    def test_names_are_plain_short_and_different(self) -> None:
        names = tool_names("mcp_s", ["get-Time", "get_time", "Do It!", "x" * 100, "x" * 99])
        self.assertEqual(names[:3], ["mcp_s_get_time", "mcp_s_get_time_2", "mcp_s_do_it"])
        self.assertEqual(len(set(names)), 5)
        self.assertTrue(all(len(name) <= 64 for name in names))
