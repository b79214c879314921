"""What stops a start: always one line on stderr that says what to do, a status that is not 0, and no traceback."""

import socket
from pathlib import Path

from tests.machine import memory

from .case import AcceptanceCase
from .phone import DIALECTS
from .program import HOST, TWISTD, Program

DOOR = "plugins-enabled.json"


class RefusedStartTests(AcceptanceCase):
    async def refused(self, *words: str, flags: tuple[str, ...] = (), daemon: bool = False) -> None:
        files = ["--pidfile", str(self.home.path / "pid"), "--logfile", str(self.home.path / "log")]
        how = files if daemon else ["-n", "--pidfile="]
        program = Program([*TWISTD, *how, *self.home.arguments(*flags)], self.home.path)
        self.assertEqual(await program.ended(), 1)
        (line,) = program.errors.decode().splitlines()
        for word in ("llamaproxy: ", *words):
            self.assertIn(word, line)
        self.assertEqual(program.output, b"")

    async def test_busy_port(self) -> None:
        self.home.write()
        with socket.socket() as other:
            other.bind((HOST, self.home.port))
            other.listen()
            for daemon in (False, True):
                await self.refused(str(self.home.port), "--port", daemon=daemon)

    async def test_settings_that_are_no_json(self) -> None:
        self.home.write()
        (self.home.path / DOOR).write_text('{"enabled_plugins": [}')
        await self.refused(DOOR, "line 1", "not JSON")

    async def test_settings_of_the_wrong_type(self) -> None:
        self.home.write()
        for text in ("[]", '{"plugin_config": []}'):
            (self.home.path / DOOR).write_text(text)
            await self.refused(DOOR, "object")

    async def test_setting_of_the_wrong_type(self) -> None:
        self.home.door = {"llama_port": "many"}
        self.home.write()
        await self.refused(DOOR, "llama_port", "whole number")

    async def test_models_that_are_no_json(self) -> None:
        self.home.write()
        (self.home.path / "llm-models.json").write_text("")
        await self.refused("llm-models.json", "not JSON")

    async def test_model_of_an_unknown_type(self) -> None:
        self.home.models["m"]["type"] = "MAGIC"
        self.home.write()
        await self.refused("MAGIC", "OPENAI")

    async def test_unknown_model(self) -> None:
        self.home.write()
        await self.refused("gpt", "there are: m", flags=("--model", "gpt"))

    async def test_missing_weights_of_the_default_model(self) -> None:
        self.home.models = {"m": {"type": "LOCAL", "model_id": "smollm2"}}
        self.home.write()
        await self.refused("smollm2.gguf", "agentctl model-pull smollm2", daemon=True)

    async def test_home_that_cannot_be_made(self) -> None:
        await self.refused("cannot be made", flags=("--home", "/dev/null/home"))

    async def test_impossible_flags(self) -> None:
        self.home.write()
        for flags in (("--port", "0"), ("--port", "99999"), ("--listen", "ssl:1:privateKey=/nowhere")):
            await self.refused(flags=flags)

    async def test_sessions_that_are_no_database(self) -> None:
        self.home.write()
        (self.home.path / "sessions.db").write_bytes(b"These are not the sessions you are looking for." * 99)
        await self.refused("sessions.db", "damaged", "move it away", daemon=True)

    async def test_disabled_plugin(self) -> None:
        self.home.door = {"enabled": False}
        self.home.write()
        await self.refused("agentctl enable plugin_proxy_llama")


class LateFailureTests(AcceptanceCase):
    async def test_what_fails_once_the_reactor_runs_ends_the_program_too(self) -> None:
        weights = self.home.path / "models" / "smollm2.gguf"
        weights.parent.mkdir()
        weights.write_bytes(b"not weights")
        self.home.models = {"m": {"type": "LOCAL", "model_id": "smollm2"}}
        self.home.write()
        pidfile = self.home.path / "pid"
        arguments = [*TWISTD, "-n", "--pidfile", str(pidfile), *self.home.arguments()]
        program = Program(arguments, self.home.path)
        self.assertEqual(await program.ended(), 1)
        (line,) = program.errors.decode().splitlines()
        self.assertIn("smollm2.gguf cannot be read", line)
        self.assertNotIn(b"Ready at", program.output)
        self.assertNotIn(b"Traceback", program.output)
        self.assertFalse(pidfile.exists())

    async def test_model_that_is_not_the_default_one_may_be_broken(self) -> None:
        self.home.models["broken"] = {"type": "LOCAL", "model_id": "nowhere"}
        server = await self.serve()
        self.assertIn(b"model 'broken' cannot be used", server.output)


class FirstStartTests(AcceptanceCase):
    async def test_server_without_the_embedded_model_stays_under_56_megabytes(self) -> None:
        server = await self.serve()
        for dialect in DIALECTS:
            phone = await self.ask(dialect, "hello")
            (await self.upstream.call()).answer("hi")
            await phone.closed()
        self.assertLess(memory(server.pid), 56_000_000)

    async def test_folder_that_does_not_exist_is_made_with_what_a_server_needs(self) -> None:
        folder = Path(self.mktemp()).absolute()
        program = self.home.launch("--home", str(folder))
        # Only the weights are missing now, and the line says how to get them.
        self.assertEqual(await program.ended(), 1)
        self.assertIn(b"agentctl model-pull smollm2", program.errors)
        self.assertEqual(sorted(path.name for path in folder.glob("[!.]*.json")), ["llm-models.json", DOOR])
