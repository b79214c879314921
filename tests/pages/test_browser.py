"""The console and the chat page in a real browser, against a real server."""

import shutil
import sys
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred

from tests.acceptance.case import AcceptanceCase
from tests.acceptance.program import HOST, Program
from tests.acceptance.upstream import Call
from tests.apps.cable import Cable

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
    timeout = 300
    maxDiff = None
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

    def scene(self, name: str, *arguments: str) -> Program:
        """A browser that plays it."""
        words = (NODE or "node", str(FOLDER / f"{name}.js"), BROWSER or "", *arguments)
        return Program(words, FOLDER, {"HOME": str(self.home.path), "PATH": "/usr/bin:/bin"})

    async def is_well(self, scene: Program) -> None:
        """Waits for its end, at which nothing is wrong."""
        self.assertEqual(await scene.ended(), 0, scene.errors)
        self.assertEqual(json.decode(scene.output.splitlines()[-1]), {"wrong": []})

    async def test_operator_sees_a_phones_turn_and_answers_its_question(self) -> None:
        self.home.door = {"gate_mode": "ask", "llama_host": HOST, "llama_port": self.home.port}
        self.home.plugins = ("plugin_files",)
        await self.serve()
        base = f"http://{HOST}:{self.home.port}"
        scene = self.scene("operator", base, await self.link("console"), await self.link("qr"))
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
        await self.is_well(scene)
        self.assertEqual((self.home.path / "files" / "notes.txt").read_text(), "milk")

    async def test_phone_stops_shows_pictures_and_has_each_answer_once_wherever_the_line_breaks(self) -> None:
        self.home.door = {"llama_host": HOST, "llama_port": self.home.port}
        self.home.models = {"m": self.upstream.entry(vision=True)}
        await self.serve()
        cable = Cable(self.home.port)
        far = await cable.lay()
        self.addCleanup(lambda: Deferred.fromCoroutine(cable.take_away()))
        scene = self.scene("phone", f"http://{HOST}:{self.home.port}", f"http://{HOST}:{far}")
        story = await self.upstream.call()
        story.say("Once upon a time")
        await scene.said("stopped")
        await story.dropped
        # The model hears of the answer that was stopped, as far as it was heard, and gets the pictures.
        asked = await self.upstream.call()
        self.assertIn(("user", "a long story"), asked.history)
        self.assertTrue(any(text.startswith("Once upon a time") for _, text in asked.history), asked.history)
        parts: Any = asked.question
        self.assertEqual([part["type"] for part in parts].count("image_url"), 3)
        asked.answer("A photo.")
        await scene.said("pictures sent")

        await self.half("first half")
        await scene.said("cut")
        cable.pull()
        (await self.upstream.call()).answer("whole")
        await self.half("another half")
        await scene.said("loaded anew")
        (await self.upstream.call()).answer("another whole")
        sleeper = await self.half("drowsy")
        await scene.said("slept")
        sleeper.answer(", awake")
        await self.is_well(scene)

    async def half(self, text: str) -> Call:
        """The next call, answered in part."""
        call = await self.upstream.call()
        call.say(text)
        return call
