"""MCP servers as real programs: over stdio and HTTP, well and badly behaved."""

import base64
import os
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site
from zope.interface.verify import verifyObject

from llamaproxy.agent.calls.arguments import BadArguments
from llamaproxy.config.tools import McpServer
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.interfaces import ITool
from llamaproxy.seams.types import Access, Image, ToolAnswer, ToolContext
from llamaproxy.tools.mcp import client, content, program, stderr
from llamaproxy.tools.mcp.names import tool_names

from ..support import call
from .case import PROGRAM, McpCase, free_port
from .sessions import SessionServer


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
        self.assertLess(len(text), content.MOST_CHARACTERS + 100)
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
        # The server's own library says a few, before or after.
        self.patch(stderr, "MOST_LINES", 30)
        with capturedLogs() as events:
            started = self.start(t=self.server)
            await self.do("mcp_t_grumble", lines=60)
            await started.stop()
            while not (lines := [each["line"] for each in events if "line" in each])[-1].startswith("(and"):
                await deferLater(reactor, 0.02)
        self.assertEqual({event["name"] for event in events if "line" in event}, {"t"})
        self.assertEqual(len(lines), 31)
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

    async def test_new_settings_start_and_end_servers_and_leave_the_others_alone(self) -> None:
        plain = msgspec.structs.replace(self.server, env_from=())
        started = self.start(t=plain, u=self.server)
        pids = [int(await self.do(f"mcp_{name}_pid")) for name in "tu"]
        # Of a variable that one of them gets, too.
        self.environ["MOOD"] = "another mood"
        self.renew(started, t=plain, u=self.server)
        self.assertIsNone(self.shelf.get("mcp_u_pid"))
        self.assertEqual(int(await self.do("mcp_t_pid")), pids[0])
        self.assertNotEqual(int(await self.do("mcp_u_pid")), pids[1])
        self.renew(started)
        self.assertEqual(list(self.shelf), [])

    async def test_call_that_runs_goes_on_when_its_server_is_taken_out(self) -> None:
        started = self.start(t=self.server)
        tool, pid = await self.tool("mcp_t_hang"), int(await self.do("mcp_t_pid"))
        running = call(tool, reactor)
        self.renew(started)
        self.assertIsNone(self.shelf.get("mcp_t_hang"))
        # Nothing has ended it yet: it hangs, as it would have before.
        await deferLater(reactor, 0.1)
        self.assertNoResult(running)
        os.kill(pid, 0)
        running.cancel()
        await self.assertFailure(running, CancelledError)
        while is_alive(pid):
            await deferLater(reactor, 0.02)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


PICTURE = base64.b64encode(b"x" * 30).decode()


class OddTests(McpCase):
    """A server that is wrong in many ways is used as far as it goes."""

    def setUp(self) -> None:
        super().setUp()
        program = str(Path(__file__).with_name("odd_server.py"))
        self.server = McpServer(command=sys.executable, args=(program,), timeout=20.0)

    async def test_an_entry_that_is_no_tool_loses_itself(self) -> None:
        with capturedLogs() as events:
            self.start(o=self.server)
            await self.tool("mcp_o_fail")
        self.assertEqual(
            [tool.name for tool in self.shelf][:2],
            ["mcp_o_pair", tool_names("mcp_o", ["\u641c\u7d22"])[0]],
        )
        said = [event["line"] for event in events if "line" in event]
        self.assertTrue(any("its tool 'none' is left out" in line for line in said), said)

    async def test_a_schema_is_judged_by_the_dialect_that_it_names(self) -> None:
        self.start(o=self.server)
        tool = await self.tool("mcp_o_pair")
        arguments = self.shelf.arguments(tool, '{"pair": ["1", "a"]}')
        self.assertEqual(await call(tool, reactor, **arguments), '{"pair": [1, "a"]}')
        self.assertRaises(BadArguments, self.shelf.arguments, tool, '{"pair": ["x", "a"]}')

    async def test_every_part_of_an_answer_says_what_it_is(self) -> None:
        self.start(o=self.server)
        for name, answer in (
            (
                "resource",
                'file:///a:\nbody\nfile:///b:\n{"\xfc": 1}\n[file:///c, image/png, 30 bytes; it is no text]',
            ),
            ("link", "[report: https://example.org/r (of May)]"),
            (
                "picture",
                ToolAnswer("Here:\n[a picture, image/png, 30 bytes]", (Image(PICTURE, "image/png"),)),
            ),
            ("sound", "[a recording, audio/wav, 30 bytes; it is not played here]"),
            (
                "broken",
                "good\n[a part of the kind 'image', which cannot be read]\n"
                "[a part of the kind 'hologram', which cannot be read]\n"
                "[a part of the kind 'int', which cannot be read]\na note",
            ),
        ):
            self.assertEqual(await self.do(f"mcp_o_{name}"), answer)

    async def test_progress_is_shown_while_the_tool_runs(self) -> None:
        self.start(o=self.server)
        shown: list[tuple[str, str]] = []
        context = ToolContext(
            session_id="s", address="", reactor=reactor, show=lambda who, text: shown.append((who, text))
        )
        tool = await self.tool("mcp_o_progress")
        self.assertEqual(await tool.run({}, context), "done")
        self.assertEqual(shown, [("o", "1 of 4: step 1\n"), ("o", "2 of 4: step 2\n")])

    async def test_noise_among_the_messages_costs_a_line_of_the_log(self) -> None:
        with capturedLogs() as events:
            self.start(o=self.server)
            self.assertIn("body", await self.do("mcp_o_resource"))
        said = [event["line"] for event in events if "line" in event]
        self.assertIn("(on its standard output) Welcome to odd_server!", said)
        self.assertIn("(on its standard output) caf\ufffd {not json", said)

    async def test_a_line_without_an_end_is_not_gathered(self) -> None:
        self.patch(program, "LONGEST_MESSAGE", 1024 * 1024)
        with capturedLogs() as events:
            self.start(o=self.server)
            with self.assertRaisesRegex(ToolError, "went away"):
                await self.do("mcp_o_endless")
            while not any("a message of more than" in str(event.get("problem")) for event in events):
                await deferLater(reactor, 0.02)
        # It is started again.
        while True:
            try:
                self.assertIn("body", await self.do("mcp_o_resource"))
                break
            except ToolError:
                await deferLater(reactor, 0.05)


class SessionTests(McpCase):
    """Servers at an address that forget us, or do not want us."""

    def setUp(self) -> None:
        super().setUp()
        self.remote = SessionServer()
        any_reactor: Any = reactor
        port = any_reactor.listenTCP(0, Site(self.remote), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.server = McpServer(url=f"http://127.0.0.1:{port.getHost().port}/mcp", timeout=20.0)

    async def test_a_session_that_the_server_has_ended_is_begun_anew_and_the_call_made_there(self) -> None:
        unknown = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID"}}'
        lost = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}'
        self.start(s=self.server)
        self.assertEqual(await self.do("mcp_s_session"), "session-1")
        for number, self.remote.unknown in enumerate(((404, b""), (404, lost), (400, unknown)), 2):
            self.remote.restart()
            self.assertEqual(await self.do("mcp_s_session"), f"session-{number}")
        self.assertEqual(self.remote.calls, 4)

    async def test_calls_at_the_same_time_share_the_new_session(self) -> None:
        self.start(s=self.server)
        await self.do("mcp_s_session")
        self.remote.restart()
        both = await gatherResults([Deferred.fromCoroutine(self.do("mcp_s_session")) for _ in range(3)])
        self.assertEqual(both, ["session-2"] * 3)

    async def test_what_a_refusal_means_is_told(self) -> None:
        self.start(s=self.server)
        tool = await self.tool("mcp_s_session")
        for self.remote.refusal, words in (
            (401, "wants a token"),
            (403, "does not allow"),
            (410, "for good"),
        ):
            with self.assertRaisesRegex(ToolError, words):
                await call(tool, reactor)
        self.remote.refusal = 0
        self.assertEqual(await call(tool, reactor), "session-1")

    async def test_a_server_that_wants_a_token_is_told_to_the_operator(self) -> None:
        self.remote.refusal = 401
        with capturedLogs() as events:
            self.start(s=self.server)
            while not (warned := [event for event in events if event["log_level"] == LogLevel.warn]):
                await deferLater(reactor, 0.02)
        self.assertIn("it wants a token", warned[0]["problem"])
        self.assertEqual(warned[0]["wait"], client.LONGEST_WAIT)


class HttpTests(McpCase):
    def setUp(self) -> None:
        super().setUp()
        self.port = free_port()
        self.server = McpServer(url=f"http://127.0.0.1:{self.port}/mcp", timeout=20.0)

    async def test_tools_are_called_over_http_and_a_restart_is_survived(self) -> None:
        # It is not there yet: the client keeps trying.
        self.start(t=self.server)
        program = self.boot(sys.executable, PROGRAM, str(self.port))
        self.assertEqual(await self.do("mcp_t_look", what="sky"), "sky looks fine, no mood")
        await program.kill()
        with self.assertRaises(ToolError):
            await self.do("mcp_t_look", what="sky")
        self.boot(sys.executable, PROGRAM, str(self.port))
        while True:
            try:
                self.assertEqual(await self.do("mcp_t_do_it"), "done")
                break
            except ToolError:
                await deferLater(reactor, 0.05)


class NameTests(SynchronousTestCase):
    def test_names_are_plain_short_and_different(self) -> None:
        names = tool_names("mcp_s", ["get-Time", "get_time", "Do It!", "x" * 100, "x" * 99])
        self.assertEqual(names[1:3], ["mcp_s_get_time", "mcp_s_do_it"])
        self.assertEqual(len(set(names)), 5)
        self.assertTrue(all(re.fullmatch("[a-z0-9_]{1,64}", name) for name in names))

    def test_a_name_stays_with_its_tool_whatever_else_the_server_has(self) -> None:
        tools = ["\u641c\u7d22", "\u5220\u9664", "\u641c\u7d22 v2", "!!!", "caf\xe9", "x" * 99, "y" * 99]
        others = ["v2", "caf", "get_time", "x" * 56]
        names = tool_names("mcp_s", [*tools, *others])
        self.assertEqual(len(set(names)), len(names))
        for tool, name in zip([*tools, *others], names, strict=True):
            self.assertEqual(tool_names("mcp_s", [tool]), [name])

    def test_of_tools_whose_names_read_alike_each_has_its_own(self) -> None:
        alike = ["get-time", "get_time", "Get Time"]
        names = dict(zip(alike, tool_names("mcp_s", alike), strict=True))
        self.assertEqual(len(set(names.values())), 3)
        self.assertEqual(names["get_time"], "mcp_s_get_time")
        self.assertEqual(dict(zip(alike[::-1], tool_names("mcp_s", alike[::-1]), strict=True)), names)
