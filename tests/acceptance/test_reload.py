"""The operator changes the files while people are being answered: all of them are answered to the end as they began."""

import signal
import sys

from twisted.internet.defer import gatherResults

from llamaproxy.workers.steering import owner_of
from tests.support import Response

from .case import AcceptanceCase
from .phone import DIALECTS, OLLAMA, Phone
from .program import Program
from .test_workers import WorkersCase


class ReloadCase(AcceptanceCase):
    """`agentctl` as a program of its own; `streams` are under way at the same time."""

    streams = 50
    timeout = 120

    async def agentctl(self, *words: str) -> Program:
        """One subcommand, once it has ended."""
        command = (sys.executable, "-m", "llamaproxy.agentctl", "--home", str(self.home.path), *words)
        program = Program(command, self.home.path, {"PATH": "/usr/bin:/bin", "HOME": str(self.home.path)})
        await program.ended()
        return program

    async def crowd(self) -> list[Phone]:
        """Streams from many addresses, in both dialects, each of which has heard a first word."""
        phones = []
        for number in range(self.streams):
            address = f"127.0.{1 + number // 200}.{1 + number % 200}"
            phones.append(await self.ask(DIALECTS[number % 2], f"question {number}", address))
        self.calls = [await self.upstream.call() for _ in phones]
        heard = gatherResults([phone.until(b"first") for phone in phones])
        for call in self.calls:
            call.say("first ")
        await heard
        return phones

    async def ended_well(self, phones: list[Phone]) -> int:
        """How many of them have heard all, once the model has said it."""
        for call in self.calls:
            call.answer("second ", "third")
        answers = await gatherResults([phone.closed() for phone in phones])
        told = [DIALECTS[number % 2].text(Response(raw)) for number, raw in enumerate(answers)]
        return told.count("first second third")


class ReloadTests(ReloadCase):
    async def test_streams_run_on_while_models_gates_callers_and_a_tool_change(self) -> None:
        await self.serve()
        phones = await self.crowd()
        self.home.models = {
            "new": self.upstream.entry(model_id="other"),
            "m": self.upstream.entry(temperature=0.5),
        }
        self.home.plugins = ("plugin_files",)
        self.home.write()
        (self.home.path / "gate-defaults.json").write_text('{"tools": {"files": {"write": true}}}')
        reload = await self.agentctl("reload")
        self.assertIn(b"goes by it now", reload.output, reload.errors)
        added = await self.agentctl("caller-add", "anna", "--commands", "none")
        self.assertIn(b"goes by it now", added.output, added.errors)
        key = added.output.split(b"this once:\n")[1].split()[0].decode()
        self.assertEqual(await self.ended_well(phones), self.streams)

        # Whoever asks from here on goes by all of it.
        phone = await self.ask(OLLAMA, "write it down", "127.0.9.1")
        call = await self.upstream.call()
        self.assertIn("files", call.tools)
        call.call_tool("files", '{"operation": "write", "path": "notes.txt", "content": "milk"}')
        (await self.upstream.call()).answer("Written down.")
        self.assertIn("Written down.", OLLAMA.text(await phone.response()))
        self.assertEqual((self.home.path / "files" / "notes.txt").read_text(), "milk")
        anna = await self.dial("127.0.9.2")
        anna.request(
            "POST",
            OLLAMA.path,
            b'{"messages": [{"role": "user", "content": "!help"}]}',
            f"Authorization: Bearer {key}",
        )
        self.assertIn("turned off", OLLAMA.text(await anna.response()))

    async def test_mistake_changes_nothing_and_is_told(self) -> None:
        self.streams = 6
        server = await self.serve()
        phones = await self.crowd()
        (self.home.path / "plugins-enabled.json").write_text('{"max_users": "many"}')
        self.assertEqual((await self.agentctl("reload")).status, 1)
        server.signal(signal.SIGHUP)
        await server.said("were not taken over")
        self.assertEqual(await self.ended_well(phones), self.streams)


class SharedReloadTests(WorkersCase, ReloadTests):
    """What holds for one process."""

    async def test_each_worker_is_seen_from_outside(self) -> None:
        self.streams = 10
        await self.serve()
        phones = await self.crowd()
        self.assertEqual(await self.ended_well(phones), self.streams)
        for worker in (0, 1):
            session = next(s for n in range(10) if owner_of(s := f"llama-127.0.1.{1 + n}", 2) == worker)
            told = await self.agentctl("trace", session)
            self.assertIn(f"Session: {session},".encode(), told.output, told.errors)
        log = (await self.agentctl("log")).output
        self.assertEqual(log.count(b" turn req_"), self.streams)
