"""The store with real files, a real thread, and a process that is killed."""

import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IReactorFromThreads, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from llamaproxy.seams.errors import StoreError
from llamaproxy.seams.interfaces import ISessionStore
from llamaproxy.seams.types import Image, Mark, Message, StoredSession, ToolCall
from llamaproxy.store.sqlite import SqliteSessionStore

from . import appender

reactor = cast(IReactorFromThreads, global_reactor)


def turn(number: int) -> list[Message]:
    return [Message(role="user", content=f"q{number}"), Message(role="assistant", content=f"a{number}")]


def contents(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages]


class StoreTests(TestCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.path = self.mktemp()
        self.clock = Clock()
        self.clock.advance(1_000)
        self.store = await self.open()

    async def open(self) -> SqliteSessionStore:
        store = SqliteSessionStore(self.path, reactor, self.clock.seconds)
        self.addCleanup(store.close)
        await store.open()
        return store

    async def session(self, session_id: str = "s", limit: int = 100) -> StoredSession:
        session = await self.store.load(session_id, limit)
        assert session is not None
        return session

    def test_it_is_a_session_store(self) -> None:
        verifyObject(ISessionStore, self.store)

    async def test_an_unknown_session_is_none(self) -> None:
        self.assertIsNone(await self.store.load("s", 10))

    async def test_everything_is_there_after_reopening(self) -> None:
        call = ToolCall(id="c1", name="search", arguments='{"q":"é"}')
        messages = [
            Message(role="user", content="look", images=(Image("AAAA", "image/png"), Image("BBBB"))),
            Message(role="assistant", content="", tool_calls=(call,)),
            Message(role="tool", content="found", tool_call_id="c1"),
            Message(role="assistant", content="I th", interrupted=True),
        ]
        await self.store.append("s", messages)
        await self.store.save_settings("s", "gemini25", {"max_ctx": 20, "tools": {"é": None}})
        await self.store.close()
        self.store = await self.open()
        self.assertEqual(
            await self.session(),
            StoredSession(
                session_id="s",
                model="gemini25",
                settings={"max_ctx": 20, "tools": {"é": None}},
                messages=tuple(messages),
                message_count=4,
                created_at=1_000,
                last_active=1_000,
            ),
        )

    async def test_the_newest_messages_come_in_order(self) -> None:
        for number in range(10):
            await self.store.append("s", turn(number))
        everything = [text for number in range(10) for text in (f"q{number}", f"a{number}")]
        for limit, expected in [
            (4, ["q8", "a8", "q9", "a9"]),
            (3, ["a8", "q9", "a9"]),
            (0, []),
            (-1, []),
            (1_000, everything),
            (10**25, everything),
        ]:
            session = await self.session(limit=limit)
            self.assertEqual(contents(session.messages), expected)
            self.assertEqual(session.message_count, 20)

    async def test_appends_that_do_not_wait_for_each_other_keep_their_order(self) -> None:
        await gatherResults([self.store.append("s", turn(number)) for number in range(50)])
        expected = [text for number in range(50) for text in (f"q{number}", f"a{number}")]
        self.assertEqual(contents((await self.session()).messages), expected)

    async def test_sessions_do_not_mix(self) -> None:
        await self.store.append("a", turn(1))
        await self.store.append("b", turn(2))
        self.assertEqual(contents((await self.session("a")).messages), ["q1", "a1"])
        self.assertEqual(contents((await self.session("b")).messages), ["q2", "a2"])

    async def test_times_say_when_it_began_and_was_last_used(self) -> None:
        await self.store.append("s", turn(1))
        self.clock.advance(5)
        await self.store.append("s", turn(2))
        session = await self.session()
        self.assertEqual((session.created_at, session.last_active), (1_000, 1_005))
        self.clock.advance(5)
        await self.store.save_settings("s", "m", {})
        self.assertEqual((await self.session()).last_active, 1_010)

    async def test_settings_alone_make_a_session(self) -> None:
        await self.store.save_settings("s", "m", {"a": 1})
        session = await self.session()
        self.assertEqual((session.model, session.settings, session.messages), ("m", {"a": 1}, ()))

    async def test_a_turn_keeps_the_settings_and_settings_keep_the_turns(self) -> None:
        await self.store.save_settings("s", "m", {"a": 1})
        await self.store.append("s", turn(1))
        await self.store.save_settings("s", "n", {"a": 2})
        session = await self.session()
        self.assertEqual((session.model, session.settings, session.message_count), ("n", {"a": 2}, 2))

    async def test_clear_forgets_messages_and_keeps_settings(self) -> None:
        await self.store.save_settings("s", "m", {"a": 1})
        await self.store.append("s", turn(1))
        self.assertEqual(await self.store.clear("s"), 2)
        self.assertEqual(await self.store.clear("s"), 0)
        self.assertEqual(await self.store.clear("nobody"), 0)
        session = await self.session()
        self.assertEqual((session.model, session.messages, session.message_count), ("m", (), 0))
        await self.store.append("s", turn(2))
        self.assertEqual(contents((await self.session()).messages), ["q2", "a2"])

    async def test_mark_of_a_message_comes_back(self) -> None:
        marked = Message(role="user", content="q", mark=Mark(before="a", after="b", linked=True))
        await self.store.append("s", [marked])
        self.assertEqual((await self.session()).messages, (marked,))

    async def test_delete_forgets_the_session(self) -> None:
        await self.store.append("s", turn(1))
        await self.store.append("t", turn(1))
        self.assertTrue(await self.store.delete("s"))
        self.assertFalse(await self.store.delete("s"))
        self.assertIsNone(await self.store.load("s", 10))
        await self.store.append("s", turn(2))
        self.assertEqual((await self.session()).message_count, 2)
        self.assertEqual((await self.session("t")).message_count, 2)

    async def test_any_text_survives_but_lone_surrogates_are_replaced(self) -> None:
        call = ToolCall(id="c", name="n", arguments="\0\ud83d\u2028")
        text = "a\0b \x85\u2028 é 漢 😀 \ud83d \ud83d\ude00"
        await self.store.append("s", [Message(role="assistant", content=text, tool_calls=(call,))])
        await self.store.save_settings("s", "m", {"x": "\0\ud83d"})
        (message,) = (await self.session()).messages
        self.assertEqual(message.content, "a\0b \x85\u2028 é 漢 😀 \ufffd 😀")
        self.assertEqual(message.tool_calls[0].arguments, "\0\ufffd\u2028")

    async def test_the_caller_may_reuse_what_it_passed(self) -> None:
        messages, settings = turn(1), {"a": 1}
        appended: Deferred[Any] = self.store.append("s", messages)
        saved: Deferred[Any] = self.store.save_settings("s", "m", settings)
        messages.clear()
        settings.clear()
        await gatherResults([appended, saved])
        session = await self.session()
        self.assertEqual((session.message_count, session.settings), (2, {"a": 1}))


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
        refusal = await self.refusal(store.open())
        self.assertIn(str(path), refusal)
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
