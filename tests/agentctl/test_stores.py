"""Copying conversations from a file to PostgreSQL and back, and who shares a store."""

import json
from pathlib import Path

from llamaproxy.seams.types import Message
from llamaproxy.store.database import Database
from tests.store.postgres import fresh_url
from tests.store.suite import contents, turn

from .helpers import AgentctlCase


class CopyTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.url = fresh_url()
        self.file = str(self.home.path / "sessions.db")

    def write(self, session_id: str, *messages: Message) -> None:
        database = Database(Path(self.file), lambda: 1_000.5)
        database.append(session_id, list(messages))
        database.close()

    def test_conversations_go_to_postgresql_and_back(self) -> None:
        self.write("s", *turn(1), *turn(2))
        self.write("é", *turn(3))
        self.assertIn("2 copied", self.met("store-copy", self.file, self.url))
        back = str(self.home.path / "back.db")
        self.assertIn("2 copied", self.met("store-copy", self.url, back))
        stored = Database(Path(back), lambda: 0.0).load("s", 10)
        assert stored is not None
        self.assertEqual(contents(stored.messages), ["q1", "a1", "q2", "a2"])
        self.assertEqual(stored.last_active, 1_000.5)

    def test_what_was_copied_is_left_out_and_what_has_grown_is_copied_again(self) -> None:
        self.write("s", *turn(1))
        self.write("t", *turn(1))
        self.met("store-copy", self.file, self.url)
        self.assertIn("0 copied, 2 were there", self.met("store-copy", self.file, self.url))
        self.write("s", *turn(2))
        self.assertIn("1 copied, 1 were there", self.met("store-copy", self.file, self.url))

    def test_store_that_cannot_be_reached_is_refused_in_a_line(self) -> None:
        self.write("s", *turn(1))
        text = self.refused("store-copy", self.file, "postgresql://nobody@127.0.0.1:1/x")
        self.assertIn("the store postgresql://127.0.0.1/x cannot be used", text)

    def test_nodes_are_those_of_a_shared_store(self) -> None:
        self.refused("nodes")
        door = {"plugin_config": {"plugin_proxy_llama": {"store": self.url}}}
        self.home.plugins_file.write_text(json.dumps(door))
        self.assertEqual(json.loads(self.met("nodes", "--json")), [])
