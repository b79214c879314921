"""What other programs do to the file while the server runs: hold it, delete it, put another in its place."""

import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from llamaproxy.seams.errors import NotYetStored, StoreError
from llamaproxy.seams.types import Message
from llamaproxy.store import writer
from llamaproxy.store.database import Database
from llamaproxy.store.sqlite import SqliteSessionStore

reactor: Any = installed_reactor


def turn(number: int) -> list[Message]:
    return [
        Message(role="user", content=f"question {number}"),
        Message(role="assistant", content=f"answer {number}"),
    ]


class TroubleCase(TestCase):
    timeout = 30

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.path = Path(self.mktemp()).absolute()
        self.store = await self.opened()

    async def opened(self) -> SqliteSessionStore:
        store = SqliteSessionStore(self.path, reactor)
        await store.open()
        self.addCleanup(lambda: store.close())
        return store

    async def said(self, store: SqliteSessionStore, session_id: str = "s") -> list[str]:
        session = await store.load(session_id, 1000)
        return [] if session is None else [m.content for m in session.messages if m.role == "assistant"]

    async def said_after_a_restart(self, session_id: str = "s") -> list[str]:
        """What whoever opens the file next finds in it."""
        await self.store.close()
        self.store = await self.opened()
        return await self.said(self.store, session_id)


class HeldTests(TroubleCase):
    async def setUp(self) -> None:  # type: ignore[override]
        self.patch(writer, "PATIENCE", 0.3)
        await super().setUp()
        await self.store.append("s", turn(0))
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")
        self.addCleanup(self.other.close)

    async def test_reads_go_on_and_what_is_said_is_kept_and_written_later(self) -> None:
        late: list[NotYetStored] = []
        for number in (1, 2):
            with self.assertRaises(NotYetStored) as caught:
                await self.store.append("s", turn(number))
            late.append(caught.exception)
        self.assertIn("another program holds it locked", str(late[0]))
        self.assertEqual(await self.said(self.store, "t"), [])
        self.other.rollback()
        self.assertEqual([await each.written for each in late], [1, 1])
        self.assertEqual(await self.said(self.store), ["answer 0", "answer 1", "answer 2"])
        self.assertEqual(await self.said_after_a_restart(), ["answer 0", "answer 1", "answer 2"])

    async def test_what_waits_for_its_session_is_part_of_what_is_read_of_it(self) -> None:
        appended = self.store.append("s", turn(1))
        loaded = self.store.load("s", 10)
        self.other.rollback()
        self.assertEqual(await appended, 1)
        session = await loaded
        assert session is not None
        self.assertEqual(session.message_count, 4)

    async def test_lock_that_is_short_costs_nobody_a_word(self) -> None:
        self.patch(writer, "PATIENCE", 20.0)
        appended = [self.store.append("s", turn(number)) for number in range(1, 100)]
        self.other.rollback()
        for each in appended:
            self.assertEqual(await each, 1)
        self.assertEqual(len(await self.said(self.store)), 100)

    async def test_server_that_ends_meanwhile_waits_for_the_file(self) -> None:
        appended = self.store.append("s", turn(1))
        appended.addErrback(lambda _: None)
        reactor.callLater(0.5, self.other.rollback)
        self.assertEqual(await self.said_after_a_restart(), ["answer 0", "answer 1"])


class TogetherTests(TroubleCase):
    async def test_turn_that_cannot_be_written_takes_none_of_those_along_that_wait_with_it(self) -> None:
        # No database takes half an emoji in a name.
        names = ["s", "t", "\ud83d", "u"]
        appended = [self.store.append(name, turn(1)) for name in names]
        outcomes = [await each.addErrback(lambda failure: failure.type) for each in appended]
        self.assertEqual(outcomes, [1, 1, StoreError, 1])
        for name in ("s", "t", "u"):
            self.assertEqual(await self.said_after_a_restart(name), ["answer 1"])


class MovedTests(TroubleCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        for session_id in ("s", "t"):
            await self.store.append(session_id, turn(0))
        await self.store.save_settings("s", "gpt", {"a": 1})

    async def test_file_that_was_deleted_is_written_anew_with_all_that_was_in_it(self) -> None:
        for leftovers in (True, False):
            for each in self.path.parent.glob(f"{self.path.name}*"):
                if each == self.path or not leftovers:
                    each.unlink()
            await self.store.append("s", turn(1))
            self.assertEqual(await self.said(self.store, "t"), ["answer 0"])
            self.assertEqual((await self.said_after_a_restart())[-1], "answer 1")
            self.assertEqual(await self.said(self.store, "t"), ["answer 0"])
        session = await self.store.load("s", 10)
        assert session is not None
        self.assertEqual((session.message_count, session.model, session.settings), (6, "gpt", {"a": 1}))
        self.assertEqual([each.name for each in self.path.parent.glob(f"{self.path.name}.*")], [])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    async def test_of_several_processes_one_writes_it_and_all_go_on_in_it(self) -> None:
        others = [await self.opened() for _ in range(3)]
        self.path.unlink()
        stores = [self.store, *others]
        appended: list[Deferred[int]] = [store.append("s", turn(n)) for n, store in enumerate(stores, 1)]
        for each in appended:
            await each
        for store in stores:
            self.assertEqual(sorted(await self.said(store)), [f"answer {number}" for number in range(5)])
        for store in others:
            await store.close()
        self.assertEqual(len(await self.said_after_a_restart()), 5)

    async def test_nothing_is_written_to_another_stores_file_in_its_place(self) -> None:
        other = SqliteSessionStore(elsewhere := Path(self.mktemp()).absolute(), reactor)
        await other.open()
        await other.append("s", turn(7))
        await other.close()
        elsewhere.replace(self.path)
        with self.assertRaises(StoreError) as caught:
            await self.store.append("s", turn(1))
        self.assertIn("replaced by another one", str(caught.exception))
        self.assertEqual(await self.said_after_a_restart(), ["answer 7"])
        self.path = self.path.with_name(f"{self.path.name}.lost")
        self.assertEqual(await self.said_after_a_restart(), ["answer 0"])

    async def test_copy_of_its_own_that_was_put_back_is_gone_on_with(self) -> None:
        copy = Path(self.mktemp()).absolute()
        connection, target = sqlite3.connect(self.path), sqlite3.connect(copy)
        connection.backup(target)
        for each in (connection, target):
            each.close()
        copy.replace(self.path)
        await self.store.append("s", turn(1))
        self.assertEqual(await self.said(self.store), ["answer 0", "answer 1"])


class DurabilityTests(SynchronousTestCase):
    def test_operator_may_want_turns_to_survive_a_power_cut(self) -> None:
        for power, synchronous in ((False, 1), (True, 2)):
            database = Database(Path(self.mktemp()), lambda: 0.0, power)
            self.assertEqual(database.connection.execute("PRAGMA synchronous").fetchone(), (synchronous,))
            database.close()
