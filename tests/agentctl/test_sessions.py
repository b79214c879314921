"""`agentctl sessions`: conversations at rest are listed, shown, exported and deleted."""

import contextlib
from contextlib import closing
from typing import Any
from unittest import mock

from msgspec import json

from llamaproxy.config import Occupancy
from llamaproxy.seams.types import Message
from llamaproxy.store.database import Database
from llamaproxy.store.postgres.address import connect_arguments
from tests.store.postgres import fresh_url

from .helpers import AgentctlCase

with contextlib.suppress(ImportError):
    from llamaproxy.store.postgres.database import Database as PostgresDatabase

TURN = (Message(role="user", content="What is 2+3?"), Message(role="assistant", content="5 \x9b2J"))


class SessionsTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def open(self) -> None:
        with closing(Database(self.home.sessions_db, lambda: 1_000_000.0)) as database:
            database.append("llama-10.0.0.5", TURN, None)

    def test_those_at_rest_are_listed(self) -> None:
        self.assertIn("llama-10.0.0.5", self.met("sessions", "list"))
        (listed,) = json.decode(self.met("sessions", "list", "--json"))
        self.assertEqual((listed["session"], listed["messages"]), ("llama-10.0.0.5", 2))

    def test_one_is_shown_as_a_document_that_acts_on_no_terminal(self) -> None:
        shown = self.met("sessions", "show", "llama-10.0.0.5")
        self.assertIn("## user\n\nWhat is 2+3?\n\n## assistant\n\n5", shown)
        self.assertNotIn("\x9b", shown)

    def test_export_writes_a_new_file_for_its_owner(self) -> None:
        target = self.home.path / "out.json"
        words = ("sessions", "export", "llama-10.0.0.5", "--format", "json", "--to", str(target))
        self.met(*words)
        self.assertEqual(len(json.decode(target.read_bytes())["messages"]), 2)
        self.assertEqual(target.stat().st_mode & 0o777, 0o600)
        self.refused(*words)

    def test_deleting_asks_and_leaves_a_running_server_to_do_it(self) -> None:
        self.assertIn("--yes", self.refused("sessions", "delete", "llama-10.0.0.5"))
        occupancy = Occupancy(self.home.lock_file)
        occupancy.take()
        self.assertIn("!session", self.refused("sessions", "delete", "llama-10.0.0.5", "--yes"))
        with mock.patch("llamaproxy.agentctl.sessions.holder_of", return_value=None):
            self.met("sessions", "delete", "llama-10.0.0.5", "--yes")
        self.assertEqual(json.decode(self.met("sessions", "list", "--json")), [])

    def test_unknown_ones_are_refused(self) -> None:
        self.refused("sessions", "show", "nobody")
        self.refused("sessions", "forget", "llama-10.0.0.5")


class SharedSessionsTests(SessionsTests):
    """The same with conversations that several nodes share; those of the home's own file are older."""

    def open(self) -> None:
        self.url = fresh_url()
        self.set_store(self.url)
        with closing(Database(self.home.sessions_db, lambda: 0.0)) as database:
            database.append("llama-10.0.0.9", TURN, None)
        self.database: Any = PostgresDatabase(
            connect_arguments(self.url, "P", lambda _: None), lambda: 1_000_000.0
        )
        self.addCleanup(self.database.connection.close)
        self.database.append("llama-10.0.0.5", TURN)

    def set_store(self, url: str) -> None:
        self.home.plugins_file.write_text(
            json.encode({"plugin_config": {"plugin_proxy_llama": {"store": url}}}).decode()
        )

    def test_deleting_asks_and_leaves_a_running_server_to_do_it(self) -> None:
        words = ("sessions", "delete", "llama-10.0.0.5")
        self.assertIn("--yes", self.refused(*words))
        connection = self.database.connection
        connection.execute("INSERT INTO turns VALUES (?, 1, 1)", ("llama-10.0.0.5",))
        self.assertIn("!session llama-10.0.0.5 delete", self.refused(*words, "--yes"))
        connection.execute("DELETE FROM turns")
        self.met(*words, "--yes")
        self.assertEqual(json.decode(self.met("sessions", "list", "--json")), [])

    def test_database_without_tables_has_no_conversations_and_gets_none(self) -> None:
        url = fresh_url()
        self.set_store(url)
        for _ in range(2):
            self.assertIn("there are no conversations yet", self.refused("sessions", "list"))

    def test_database_that_cannot_be_reached_is_refused_in_a_line(self) -> None:
        self.set_store("postgresql://nobody@127.0.0.1:1/x")
        text = self.refused("sessions", "list")
        self.assertIn("the store postgresql://127.0.0.1/x cannot be used", text)

    def test_backup_says_what_it_does_not_hold(self) -> None:
        target = self.home.path.parent / f"{self.home.path.name}.backup"
        text = self.refused("backup", str(target))
        self.assertIn("pg_dump", text)
        self.assertIn("store-copy", text)
        self.assertFalse(target.exists())
        self.assertIn("The conversations are not in it", self.met("backup", str(target), "--whole"))
