"""The store with real files, a real thread, and a process that is killed."""

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IReactorFromThreads, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from llamaproxy.seams.errors import StoreError
from llamaproxy.store.sqlite import SqliteSessionStore

from . import appender, suite
from .suite import turn

reactor = cast(IReactorFromThreads, global_reactor)


class StoreTests(suite.StoreSuite):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.path = self.mktemp()
        await super().setUp()

    async def open(self) -> SqliteSessionStore:
        store = SqliteSessionStore(self.path, reactor, self.clock.seconds)
        self.addCleanup(store.close)
        await store.open()
        return store

    async def test_crowd_is_read_together_and_everybody_gets_their_own(self) -> None:
        for name in ("a", "c"):
            await self.store.append(name, turn(1))
        statements: list[str] = []
        await self.store._reads.run(
            lambda: self.store._reader.connection.set_trace_callback(statements.append)
        )
        # The first one goes over by itself.
        first, *crowd = (self.store.load(name, 9) for name in ("new", *"abcd"))
        self.assertIsNone(await first)
        statements.clear()
        found = [await each for each in crowd]
        self.assertEqual([each and each.session_id for each in found], ["a", None, "c", None])
        self.assertEqual([each.message_count for each in found if each], [2, 2])
        looks = [each for each in statements if " IN ('a', 'b', 'c', 'd')" in each]
        self.assertEqual(len(looks), 1)
        self.assertFalse(
            [each for each in statements if each not in looks and ("'b'" in each or "'d'" in each)]
        )


class FailureTests(TestCase):
    async def refusal(self, asked: Deferred[Any]) -> str:
        with self.assertRaises(StoreError) as caught:
            await asked
        return str(caught.exception)

    async def test_close_waits_for_what_is_under_way(self) -> None:
        path = self.mktemp()
        store = SqliteSessionStore(path, reactor)
        await store.open()
        appended = [store.append("s", turn(number)) for number in range(50)]
        await store.close()
        self.assertTrue(all(each.called for each in appended))
        with sqlite3.connect(path) as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM messages").fetchone(), (100,))
        connection.close()

    async def test_what_is_asked_while_it_opens_waits_for_that(self) -> None:
        store = SqliteSessionStore(self.mktemp(), reactor)
        self.addCleanup(store.close)
        opened = store.open()
        appended, loaded = store.append("s", turn(1)), store.load("t", 1)
        self.assertEqual((await appended, await loaded), (1, None))
        await opened

    async def test_nothing_can_be_asked_of_a_closed_store(self) -> None:
        store = SqliteSessionStore(self.mktemp(), reactor)
        await self.refusal(store.load("s", 1))
        await store.open()
        await store.close()
        await store.close()
        for asked in (
            store.load("s", 1),
            store.append("s", turn(1)),
            store.save_settings("s", "m", {}),
            store.branches("s"),
            store.take_up("s", 1),
            store.step_back("s"),
            store.find("s", ["a"]),
            store.clear("s"),
            store.delete("s"),
        ):
            self.assertIn("is not open", await self.refusal(asked))

    async def test_a_file_that_is_no_database_is_reported(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"not a database " * 100)
        await self.assert_not_opened(path, "it is damaged")
        self.assertEqual(path.read_bytes(), b"not a database " * 100)

    async def test_a_place_that_cannot_be_written_is_reported(self) -> None:
        await self.assert_not_opened(Path(self.mktemp()) / "sessions.db", "this user may write")
        folder = Path(self.mktemp())
        folder.mkdir()
        await self.assert_not_opened(folder, "this user may write")

    async def assert_not_opened(self, path: Path, advice: str) -> None:
        store = SqliteSessionStore(path, reactor)
        with self.assertRaises(StoreError) as caught:
            await store.open()
        refusal = caught.exception.told
        self.assertIn(str(path), refusal)
        # Which is for the operator, and not for who chats.
        self.assertNotIn(str(path), str(caught.exception))
        self.assertIn(advice, refusal)
        self.assertNotIn("\n", refusal)
        await self.refusal(store.load("s", 1))
        await store.close()

    async def test_damage_that_shows_later_is_reported_and_stops_nothing_else(self) -> None:
        store = SqliteSessionStore(path := self.mktemp(), reactor)
        self.addCleanup(store.close)
        await store.open()
        await store.append("s", turn(1))
        await store.append("t", turn(1))
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE messages SET rest = '{' WHERE session_id = 's'")
        connection.close()
        self.assertIn("it is damaged", await self.refusal(store.load("s", 10)))
        self.assertIsNotNone(await store.load("t", 10))


class Child(ProcessProtocol):
    """Collects the numbers that the appender prints, and kills it at the given one."""

    def __init__(self, last: int) -> None:
        self.last, self.printed = last, b""
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.printed += data
        if len(self.reported()) > self.last:
            assert self.transport is not None
            self.transport.signalProcess("KILL")

    def reported(self) -> list[int]:
        return [int(line) for line in self.printed.split(b"\n")[:-1]]

    def processEnded(self, reason: Failure) -> None:
        if isinstance(reason.value, ProcessTerminated) and reason.value.signal == signal.SIGKILL:
            self.ended.callback(None)
        else:
            self.ended.errback(reason)


class KilledTests(TestCase):
    timeout = 60

    async def test_every_committed_turn_outlives_kill_9(self) -> None:
        path = self.mktemp()
        for round_ in range(3):
            child = Child(last=30 * (round_ + 1))
            program = [sys.executable, "-m", appender.__name__, path]
            cast(IReactorProcess, global_reactor).spawnProcess(child, sys.executable, program, env=os.environ)
            await child.ended
            with sqlite3.connect(path) as connection:
                self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            connection.close()
            store = SqliteSessionStore(path, reactor)
            await store.open()
            session = await store.load("llama-127.0.0.1", 1_000_000)
            await store.clear("llama-127.0.0.1")
            await store.close()
            assert session is not None
            turns = len(session.messages) // 2
            self.assertGreaterEqual(turns, len(child.reported()))
            expected = [message for number in range(turns) for message in turn(number)]
            self.assertEqual(list(session.messages), expected)
            self.assertEqual(session.message_count, len(expected))
