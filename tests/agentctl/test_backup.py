"""A copy of the conversations, as they are while a server writes."""

import sqlite3
from contextlib import closing
from pathlib import Path

from .helpers import AgentctlCase


class BackupTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = sqlite3.connect(self.home.sessions_db)
        self.addCleanup(self.server.close)
        self.server.execute("PRAGMA journal_mode=WAL")
        self.server.execute("CREATE TABLE said (words)")
        self.server.execute("INSERT INTO said VALUES ('hello')")
        self.server.commit()
        self.target = self.home.path / "copy.db"

    def test_copy_holds_what_a_running_server_has_committed(self) -> None:
        self.server.execute("INSERT INTO said VALUES ('not yet')")
        self.met("backup", str(self.target))
        with closing(sqlite3.connect(self.target)) as copy:
            self.assertEqual(copy.execute("SELECT words FROM said").fetchall(), [("hello",)])
        self.assertEqual(self.target.stat().st_mode & 0o777, 0o600)
        self.assertEqual([file.name for file in self.home.path.glob("*copy.db*")], ["copy.db"])
        self.server.commit()

    def test_nothing_is_written_over_and_no_link_is_followed(self) -> None:
        elsewhere = self.home.path / "elsewhere"
        for plant in (lambda: self.target.write_text("mine"), lambda: self.target.symlink_to(elsewhere)):
            plant()
            self.assertIn("there already", self.refused("backup", str(self.target)))
            self.target.unlink()
        self.assertFalse(elsewhere.exists())

    def test_what_cannot_be_is_told(self) -> None:
        self.refused("backup", str(self.home.path / "nowhere" / "copy.db"))
        self.server.close()
        self.home.sessions_db.write_text("no database, but long enough to be looked at" * 50)
        self.refused("backup", str(self.target))
        self.home.sessions_db.unlink()
        self.assertIn("no conversations", self.refused("backup", str(self.target)))
        self.assertEqual(list(Path(self.home.path).glob("*copy.db*")), [])
