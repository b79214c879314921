"""How a server ends: asked to, pressed to, as a daemon, or killed in the middle of everything."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing

from twisted.internet.defer import gatherResults
from twisted.internet.error import ConnectError

from tests.machine import NO_WEIGHTS, WEIGHTS, children, is_alive, until
from tests.support import Response

from .case import AcceptanceCase
from .phone import DIALECTS, OLLAMA, OPENAI, dial
from .program import TWISTD, Program

TURNS = 20


class SignalTests(AcceptanceCase):
    async def test_sigterm_lets_replies_finish_refuses_newcomers_and_saves(self) -> None:
        server = await self.serve()
        idle = await self.dial()
        asked = list(zip(DIALECTS, ("127.0.1.1", "127.0.1.2"), strict=True))
        phones, calls = [], []
        for dialect, address in asked:
            phones.append(await self.ask(dialect, "hello", address))
            calls.append(await self.upstream.call())
        calls[0].say("Good ")
        await phones[0].until(b"Good ")
        server.signal(signal.SIGTERM)
        await self.closed(server)
        await idle.closed()
        with self.assertRaises(ConnectError):
            await dial(self.home.port)
        calls[0].answer("morning")
        calls[1].answer("Good ", "morning")
        for phone, dialect in zip(phones, DIALECTS, strict=True):
            reply = await phone.response()
            self.assertEqual(dialect.text(reply), "Good morning")
            self.assertTrue(reply.raw.endswith(dialect.end))
        self.assertEqual((await server.ended(), server.errors), (0, b""))

        await self.serve()
        for dialect, address in asked:
            phone = await self.ask(dialect, "again", address)
            call = await self.upstream.call()
            self.assertEqual(call.history, [("user", "hello"), ("assistant", "Good morning")])
            call.answer("Hi")
            await phone.closed()

    async def test_reply_that_its_reader_takes_slowly_still_arrives_whole_after_sigterm(self) -> None:
        server = await self.serve()
        phone = await self.ask(OPENAI, "a long story")
        phone.stall()
        text = "." * 50_000
        (await self.upstream.call()).answer(*[text] * 100)
        server.signal(signal.SIGTERM)
        await server.said("may finish")
        phone.read_on()
        self.assertEqual(len(OPENAI.text(await phone.response())), 100 * len(text))
        self.assertEqual(await server.ended(), 0)

    async def test_second_ctrl_c_hangs_up_and_keeps_what_was_said(self) -> None:
        await self.hang_up_on_a_reply(lambda server: server.signal(signal.SIGINT))

    async def test_end_of_the_grace_hangs_up_and_keeps_what_was_said(self) -> None:
        self.home.door = {"shutdown_grace": 0.2}
        await self.hang_up_on_a_reply(lambda server: None)

    async def hang_up_on_a_reply(self, press: Callable[[Program], None]) -> None:
        server = await self.serve()
        phone = await self.ask(OLLAMA, "hello")
        call = await self.upstream.call()
        call.say("Good ")
        await phone.until(b"Good ")
        server.signal(signal.SIGINT)
        await server.said("may finish")
        press(server)
        await call.dropped
        self.assertFalse((await phone.closed()).endswith(OLLAMA.end))
        self.assertEqual((await server.ended(), server.errors), (0, b""))

        await self.serve()
        phone = await self.ask(OLLAMA, "go on")
        call = await self.upstream.call()
        self.assertEqual(call.history, [("user", "hello"), ("assistant", "Good ")])
        call.answer("morning")
        await phone.closed()


class DaemonTests(AcceptanceCase):
    async def test_daemon_writes_its_files_answers_and_removes_its_pidfile_at_sigterm(self) -> None:
        self.home.write()
        pidfile, logfile = self.home.path / "pid", self.home.path / "log"
        flags = ["--pidfile", str(pidfile), "--logfile", str(logfile)]
        launcher = Program([*TWISTD, *flags, *self.home.arguments(*self.flags)], self.home.path)
        self.assertEqual((await launcher.ended(), launcher.errors), (0, b""))
        pid = int(pidfile.read_text())
        self.addCleanup(self.kill, pid)
        await until(lambda: logfile.exists() and "Ready at" in logfile.read_text())
        phone = await self.ask(OLLAMA, "hello")
        (await self.upstream.call()).answer("hi")
        self.assertEqual(OLLAMA.text(await phone.response()), "hi")
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not is_alive(pid))
        self.assertFalse(pidfile.exists())
        self.assertNotIn("Traceback", logfile.read_text())

    @staticmethod
    def kill(pid: int) -> None:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


class KillTests(AcceptanceCase):
    async def test_kill_in_the_middle_of_twenty_turns_loses_none_whose_last_frame_was_seen(self) -> None:
        server = await self.serve()
        addresses = [f"127.0.2.{number}" for number in range(1, TURNS + 1)]
        asked = [(DIALECTS[number % 2], address) for number, address in enumerate(addresses)]
        phones = [await self.ask(dialect, f"I am {address}", address) for dialect, address in asked]
        calls = {call.question: call for call in [await self.upstream.call() for _ in phones]}
        for question, call in calls.items():
            call.say(f"Hello, {question}")
        # A third is told to end, some of which will have ended when the axe falls.
        for address in addresses[: TURNS // 3]:
            calls[f"I am {address}"].answer("!")
        for phone, (dialect, _) in zip(phones[:3], asked, strict=False):
            await phone.until(dialect.end)
        server.signal(signal.SIGKILL)
        await server.ended()
        replies = await gatherResults([phone.closed() for phone in phones])
        seen = [reply.endswith(dialect.end) for reply, (dialect, _) in zip(replies, asked, strict=True)]
        self.assertGreaterEqual(sum(seen), 3)
        self.assertLess(sum(seen), TURNS)

        with closing(sqlite3.connect(self.home.path / "sessions.db")) as database:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        await self.serve()
        for address, was_seen in zip(addresses, seen, strict=True):
            phone = await self.ask(OLLAMA, "who am I?", address)
            call = await self.upstream.call()
            whole = [("user", f"I am {address}"), ("assistant", f"Hello, I am {address}!")]
            self.assertIn(call.history, [whole] if was_seen else [whole, []])
            call.answer("You know.")
            self.assertEqual(OLLAMA.text(await phone.response()), "You know.")


class EmbeddedModelTests(AcceptanceCase):
    skip = NO_WEIGHTS

    async def test_sigterm_to_the_whole_group_lets_the_embedded_model_finish_its_reply(self) -> None:
        self.home.models = {"m": {"type": "LOCAL", "model_id": str(WEIGHTS), "max_tokens": 60}}
        server = await self.serve()
        phone = await self.ask(OLLAMA, "Tell me a long story about a dog.")
        await phone.until(b'"done":false')
        (child,) = children(server.pid)
        server.signal(signal.SIGTERM)
        os.kill(child, signal.SIGTERM)
        reply = await phone.response()
        self.assertTrue(reply.lines()[-1]["done"])
        self.assertNotIn("[error", OLLAMA.text(reply))
        self.assertEqual((await server.ended(), server.errors), (0, b""))
        self.assertFalse(is_alive(child))

    async def test_kill_leaves_no_embedded_model_behind(self) -> None:
        self.home.models = {"m": {"type": "LOCAL", "model_id": str(WEIGHTS)}}
        server = await self.serve()
        phone = await self.ask(OLLAMA, "Tell me a long story about a dog.")
        await phone.until(b'"done":false')
        (child,) = children(server.pid)
        server.signal(signal.SIGKILL)
        await until(lambda: not is_alive(child))
        self.assertFalse(Response((await phone.closed()) + b"0\r\n\r\n").lines()[-1]["done"])
