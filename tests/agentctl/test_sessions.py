"""`agentctl sessions`: conversations at rest are listed, shown, exported and deleted."""

from contextlib import closing
from unittest import mock

from msgspec import json

from llamaproxy.config import Occupancy
from llamaproxy.seams.types import Message
from llamaproxy.store.database import Database

from .helpers import AgentctlCase


class SessionsTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        with closing(Database(self.home.sessions_db, lambda: 1_000_000.0)) as database:
            turn = (
                Message(role="user", content="What is 2+3?"),
                Message(role="assistant", content="5 \x9b2J"),
            )
            database.append("llama-10.0.0.5", turn, None)

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
