"""Copies of the sessions' file: one that lacks what stood beside it says so when a server begins with it."""

import shutil
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agentctl.archive import copy_database
from llamaproxy.seams.types import Message
from llamaproxy.store.database import Database

TURN = (Message(role="user", content="hello"), Message(role="assistant", content="hi"))


class CopyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path, self.copy = self.folder / "sessions.db", self.folder / "copy.db"
        self.database = self.opened(self.path)
        self.database.append("s", TURN)

    def opened(self, path: Path) -> Database:
        database = Database(path, lambda: 0.0)
        self.addCleanup(database.close)
        return database

    def begun_with(self, path: Path) -> tuple[int, bool]:
        """How many messages are found, and whether there is a word that some may be missing."""
        with capturedLogs() as events:
            stored = self.opened(path).load("s", 10)
        told = any("may be missing" in event["log_format"] for event in events)
        return len(stored.messages) if stored else 0, told

    def copied(self, *endings: str) -> Path:
        for ending in endings:
            shutil.copy(f"{self.path}{ending}", f"{self.copy}{ending}")
        return self.copy

    def test_copy_without_what_stood_beside_it_is_told(self) -> None:
        self.assertEqual(self.begun_with(self.copied("")), (0, True))

    def test_that_is_told_once(self) -> None:
        self.begun_with(self.copied(""))
        self.doCleanups()
        self.assertEqual(self.begun_with(self.copy), (0, False))

    def test_what_a_killed_server_left_behind_is_whole(self) -> None:
        self.assertEqual(self.begun_with(self.copied("", "-wal")), (2, False))

    def test_file_of_a_server_that_has_ended_is_whole(self) -> None:
        self.database.close()
        self.assertEqual(self.begun_with(self.copied("")), (2, False))

    def test_copies_that_the_program_makes_are_whole(self) -> None:
        self.database.copy_to(self.copy)
        self.assertEqual(self.begun_with(self.copy), (2, False))
        other = self.folder / "other.db"
        copy_database(self.path, other)
        self.assertEqual(self.begun_with(other), (2, False))

    def test_another_process_that_begins_or_ends_says_nothing(self) -> None:
        self.assertEqual(self.begun_with(self.path), (2, False))
        self.opened(self.path).close()
        self.assertEqual(self.begun_with(self.path), (2, False))
