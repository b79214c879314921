"""The console and the chat page in a real browser, against a real server."""

import shutil
import sys
from pathlib import Path

from msgspec import json

from tests.acceptance.case import AcceptanceCase
from tests.acceptance.program import HOST, Program

FOLDER = Path(__file__).parent
NODE = shutil.which("node")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WRITE = '{"operation": "write", "path": "notes.txt", "content": "milk"}'

HOSTILE = """

1. one
   - in it
   - in it, too
2. two

<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"><svg onload="window.hacked = 1">
![picture](http://evil.example/x.png) [a](javascript:window.hacked=1) [b](JaVaScRiPt:window.hacked=1)
[c](data:text/html,<script>window.hacked=1</script>) [d](vbscript:x) [e](https://example.org/) <https://example.com>
"""


class BrowserTests(AcceptanceCase):
    timeout = 180
    skip = (
        None
        if NODE and BROWSER and (FOLDER / "node_modules").is_dir()
        else f"no Node.js, no Chromium, or nobody ran: npm ci --prefix {FOLDER}"
    )

    async def link(self, word: str) -> str:
        """What `agentctl console` or `agentctl qr` shows."""
        agentctl = (sys.executable, "-m", "llamaproxy.agentctl", "--home", str(self.home.path), word)
        program = Program(agentctl, self.home.path)
        self.assertEqual(await program.ended(), 0, program.errors)
        return next(line for line in program.output.decode().splitlines() if line.startswith("http"))

    async def test_operator_sees_a_phones_turn_and_answers_its_question(self) -> None:
        self.home.door = {"gate_mode": "ask", "llama_host": HOST, "llama_port": self.home.port}
        self.home.plugins = ("plugin_files",)
        await self.serve()
        base = f"http://{HOST}:{self.home.port}"
        scene = Program(
            (
                NODE or "node",
                str(FOLDER / "operator.js"),
                BROWSER or "",
                base,
                await self.link("console"),
                await self.link("qr"),
            ),
            FOLDER,
            {"HOME": str(self.home.path), "PATH": "/usr/bin:/bin"},
        )
        await scene.said("came in")
        await scene.said("paired")
        call = await self.upstream.call()
        call.say("This is ", "**bold**", HOSTILE)
        await scene.said("stream seen")
        call.finish()
        (await self.upstream.call()).call_tool("files", WRITE)
        await scene.said("allowed")
        (await self.upstream.call()).answer("Written down.")
        long = await self.upstream.call()
        long.say("and on")
        await scene.said("stopped")
        await long.dropped
        (await self.upstream.call()).refuse(500, b'{"error": {"message": "out of order"}}')
        await scene.said("failure seen")
        self.assertEqual(await scene.ended(), 0, scene.errors)
        self.assertEqual(json.decode(scene.output.splitlines()[-1]), {"wrong": []})
        self.assertEqual((self.home.path / "files" / "notes.txt").read_text(), "milk")
