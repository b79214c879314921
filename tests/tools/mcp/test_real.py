"""Servers that other people wrote, as they come from npm."""

import shutil
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from llamaproxy.config.tools import McpServer
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.types import ToolContext

from .case import McpCase, free_port

FOLDER = Path(__file__).parent / "node"
BINARIES = FOLDER / "node_modules" / ".bin"
NODE = shutil.which("node")
NO_SERVERS = None if NODE and BINARIES.is_dir() else f"no Node.js, or nobody ran: npm ci --prefix {FOLDER}"


def program(name: str, *args: str) -> McpServer:
    return McpServer(command=str(BINARIES / name), args=args, timeout=20.0)


class NpmTests(McpCase):
    skip = NO_SERVERS

    async def test_everything(self) -> None:
        self.start(e=program("mcp-server-everything", "stdio"))
        self.assertEqual(await self.do("mcp_e_echo", message="hi"), "Echo: hi")
        self.assertIn("3", await self.do("mcp_e_get_sum", a=1, b=2))
        picture: Any = await self.do("mcp_e_get_tiny_image")
        self.assertIn("[a picture, image/png, ", picture.text)
        self.assertEqual([image.media_type for image in picture.images], ["image/png"])
        embedded = await self.do("mcp_e_get_resource_reference", resourceType="Text", resourceId=1)
        self.assertIn("demo://resource/dynamic/text/1:\nResource 1: This is a plaintext resource", embedded)
        self.assertIn(": demo://resource/dynamic/", await self.do("mcp_e_get_resource_links", count=2))
        self.assertIn("conditions", await self.do("mcp_e_get_structured_content", location="New York"))

    async def test_the_progress_of_everything(self) -> None:
        self.start(e=program("mcp-server-everything", "stdio"))
        shown: list[str] = []
        context = ToolContext(
            session_id="s", address="", reactor=reactor, show=lambda who, text: shown.append(text)
        )
        tool = await self.tool("mcp_e_trigger_long_running_operation")
        self.assertIn("completed", await tool.run({"duration": 0.2, "steps": 2}, context))
        self.assertEqual(shown, ["1 of 2\n", "2 of 2\n"])

    async def test_filesystem(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.start(f=program("mcp-server-filesystem", str(folder)))
        await self.do("mcp_f_write_file", path=str(folder / "n.txt"), content="Buy milk")
        self.assertEqual((folder / "n.txt").read_text(), "Buy milk")
        self.assertEqual(await self.do("mcp_f_read_text_file", path=str(folder / "n.txt")), "Buy milk")
        with self.assertRaisesRegex(ToolError, "Access denied"):
            await self.do("mcp_f_read_text_file", path="/etc/hostname")

    async def test_memory(self) -> None:
        store = Path(self.mktemp()).absolute()
        server = McpServer(
            command=str(BINARIES / "mcp-server-memory"), env={"MEMORY_FILE_PATH": str(store)}, timeout=20.0
        )
        self.start(m=server)
        entity = {"name": "Anna", "entityType": "person", "observations": ["likes llamas"]}
        await self.do("mcp_m_create_entities", entities=[entity])
        self.assertIn("likes llamas", await self.do("mcp_m_search_nodes", query="Anna"))

    async def test_everything_over_http_restarted_in_the_middle(self) -> None:
        port = free_port()

        def boot() -> None:
            self.running = self.boot(
                str(BINARIES / "mcp-server-everything"), "streamableHttp", PORT=str(port)
            )

        boot()
        self.start(e=McpServer(url=f"http://127.0.0.1:{port}/mcp", timeout=20.0))
        self.assertEqual(await self.do("mcp_e_echo", message="one"), "Echo: one")
        await self.running.kill()
        boot()
        while True:
            try:
                self.assertEqual(await self.do("mcp_e_echo", message="two"), "Echo: two")
                break
            except ToolError:  # while it is starting
                await deferLater(reactor, 0.05)
