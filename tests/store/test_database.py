"""What an operation costs, in steps of SQLite's virtual machine; and the schema's versions."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import StoreError
from llamaproxy.seams.types import Mark, Message, Spot
from llamaproxy.store.database import Database
from llamaproxy.store.schema import MIGRATIONS

TURN = (Message(role="user", content="hello"), Message(role="assistant", content="hi"))


class CostTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.database = Database(Path(self.mktemp()), lambda: 0.0)
        self.addCleanup(self.database.close)

    def steps(self, work: Callable[[], object]) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        self.database.connection.set_progress_handler(step, 1)
        work()
        self.database.connection.set_progress_handler(None, 0)
        return count

    def test_turn_10000_costs_what_turn_10_cost(self) -> None:
        self.database.append("s", TURN * 9)
        turn_10 = self.steps(lambda: self.database.append("s", TURN))
        load_10 = self.steps(lambda: self.database.load("s", 20))
        self.database.append("s", TURN * 9_989)
        turn_10_000 = self.steps(lambda: self.database.append("s", TURN))
        load_10_000 = self.steps(lambda: self.database.load("s", 20))
        self.assertEqual((turn_10_000, load_10_000), (turn_10, load_10))

    def test_branches_cost_what_is_read_of_them(self) -> None:
        self.database.append("s", TURN * 10_000)
        along = self.steps(lambda: self.database.load("s", 20))
        for _ in range(200):
            self.database.append("s", TURN[1:], Spot(1, 19_999))
        self.assertLess(self.steps(lambda: self.database.load("s", 20)), 2 * along)
        self.assertLess(self.steps(lambda: self.database.append("s", TURN, Spot(1, 7))), 1_000)

    def test_other_sessions_cost_nothing(self) -> None:
        self.database.append("b", TURN * 10)
        alone = self.steps(lambda: self.database.load("b", 10)), self.steps(lambda: self.database.clear("b"))
        self.database.append("b", TURN * 10)
        for other in ("a", "c"):
            self.database.append(other, TURN * 1_000)
        among = self.steps(lambda: self.database.load("b", 10)), self.steps(lambda: self.database.clear("b"))
        # Only the end of the other's range is seen.
        self.assertLess(sum(among) - sum(alone), 10)


class TogetherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.database = Database(Path(self.mktemp()), lambda: 0.0)
        self.addCleanup(self.database.close)

    def lengths(self) -> list[int]:
        loaded = [self.database.load(name, 10) for name in "abc"]
        return [0 if each is None else each.message_count for each in loaded]

    def test_what_is_written_of_several_sessions_is_one_commit(self) -> None:
        said: list[str] = []
        self.database.connection.set_trace_callback(said.append)
        with self.database.together():
            for name in "abc":
                self.database.append(name, TURN)
            self.database.clear("b")
        self.assertEqual(
            [each for each in said if each.startswith(("BEGIN", "COMMIT"))], ["BEGIN IMMEDIATE", "COMMIT"]
        )
        self.assertEqual(self.lengths(), [2, 0, 2])

    def test_nothing_of_it_stays_where_one_of_them_finds_no_room(self) -> None:
        self.database.connection.execute("PRAGMA max_page_count = 60")
        huge = (Message(role="user", content="x" * 1_000_000),)
        with self.assertRaises(sqlite3.OperationalError), self.database.together():
            self.database.append("a", TURN)
            self.database.append("b", huge)
        self.assertEqual(self.lengths(), [0, 0, 0])
        self.database.append("a", TURN)
        self.assertEqual(self.lengths(), [2, 0, 0])


class SchemaTests(SynchronousTestCase):
    def test_the_file_is_private_and_in_wal_mode(self) -> None:
        path = Path(self.mktemp())
        database = Database(path, lambda: 0.0)
        self.addCleanup(database.close)
        database.append("s", TURN)
        for file in (path, path.with_name(f"{path.name}-wal")):
            self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(database.connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    def test_opening_again_migrates_nothing(self) -> None:
        path = Path(self.mktemp())
        for _ in range(2):
            database = Database(path, lambda: 0.0)
            self.assertEqual(
                database.connection.execute("PRAGMA user_version").fetchone(), (len(MIGRATIONS),)
            )
            database.close()

    def test_sessions_of_the_first_schema_stay_what_they_are(self) -> None:
        path = Path(self.mktemp())
        with sqlite3.connect(path) as connection:
            for statement in MIGRATIONS[0]:
                connection.execute(statement)
            connection.execute("INSERT INTO sessions VALUES ('s', 'm', '{\"a\": 1}', 4, 1.0, 2.0)")
            connection.execute("INSERT INTO sessions VALUES ('empty', 'm', '{}', 0, 1.0, 2.0)")
            mark = '{"mark": {"before": "", "after": "b1", "linked": true}}'
            connection.executemany(
                "INSERT INTO messages VALUES ('s', ?, ?, ?, ?)",
                [
                    (0, "user", "q1", mark),
                    (1, "assistant", "a1", None),
                    (2, "user", "q2", None),
                    (3, "assistant", "a2", '{"interrupted": true}'),
                ],
            )
            connection.execute("PRAGMA user_version = 1")
        connection.close()
        database = Database(path, lambda: 3.0)
        self.addCleanup(database.close)
        session = database.load("s", 10)
        assert session is not None
        self.assertEqual([message.content for message in session.messages], ["q1", "a1", "q2", "a2"])
        self.assertEqual(session.messages[0].mark, Mark(before="", after="b1", linked=True))
        self.assertTrue(session.messages[3].interrupted)
        self.assertEqual(
            (session.model, session.settings, session.message_count, session.branch, session.created_at),
            ("m", {"a": 1}, 4, 1, 1.0),
        )
        empty = database.load("empty", 10)
        assert empty is not None
        self.assertEqual((empty.messages, empty.message_count), ((), 0))
        database.append("empty", TURN)
        self.assertEqual(database.append("s", TURN[1:], Spot(1, 3)), 2)
        session = database.load("s", 10)
        assert session is not None
        self.assertEqual([message.content for message in session.messages], ["q1", "a1", "q2", "hi"])
        self.assertEqual(database.clear("s"), 5)

    def test_a_newer_schema_is_left_alone(self) -> None:
        path = Path(self.mktemp())
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        error = self.assertRaises(StoreError, Database, path, lambda: 0.0)
        self.assertIn("schema 99", str(error))
        self.assertIn(str(path), error.told)

    def test_a_failure_in_the_middle_of_a_turn_leaves_nothing_of_it(self) -> None:
        database = Database(Path(self.mktemp()), lambda: 0.0)
        self.addCleanup(database.close)
        database.append("s", TURN)
        # Somebody else's row stands where the turn's second message would go.
        database.connection.execute("INSERT INTO messages VALUES ('s', 1, 3, 'user', 'x', NULL, NULL)")
        self.assertRaises(sqlite3.IntegrityError, database.append, "s", TURN)
        session = database.load("s", 10)
        assert session is not None
        self.assertEqual((session.message_count, len(session.messages)), (2, 2))
