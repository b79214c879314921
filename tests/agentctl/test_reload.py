"""`agentctl reload`, and how other subcommands tell a running server of their changes."""

import os
import signal
from unittest import mock

from llamaproxy.config import PLUGIN, Occupancy

from .helpers import AgentctlCase


class ReloadTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.occupancy = Occupancy(self.home.lock_file)
        self.kill = self.enterContext(mock.patch("os.kill"))

    def test_server_of_this_home_is_told(self) -> None:
        self.occupancy.take()
        self.assertIn(f"process {os.getpid()}", self.met("reload"))
        self.kill.assert_called_once_with(os.getpid(), signal.SIGHUP)

    def test_without_a_server_nobody_is(self) -> None:
        self.assertIn("no server runs", self.refused("reload"))
        self.home.lock_file.write_text("1234\n")
        self.refused("reload")
        self.kill.assert_not_called()

    def test_mistake_is_refused_before_the_server_hears_of_it(self) -> None:
        self.occupancy.take()
        self.home.models_file.write_text("{")
        self.assertIn("llm-models.json", self.refused("reload"))
        self.kill.assert_not_called()

    def test_change_is_told_and_one_that_needs_a_restart_says_so(self) -> None:
        self.occupancy.take()
        self.assertIn("reads its files again", self.met("max-users", "7"))
        self.assertEqual(self.kill.call_count, 1)
        self.assertIn("needs a restart", self.met("port-set", PLUGIN, "12345"))
        self.assertEqual(self.kill.call_count, 1)

    def test_server_that_answers_its_operator_says_what_came_of_it(self) -> None:
        self.occupancy.take()
        rows: list[tuple[bool, list[str], str]] = [
            (True, ["read again", "waits for the next start: workers"], "waits for the next"),
            (True, ["read again"], "goes by it now"),
            (False, ["llm-models.json: no"], "stays as it was: llm-models.json: no"),
        ]
        for users, (taken, lines, words) in enumerate(rows, 7):
            outcome = {"taken": taken, "lines": lines}
            with mock.patch("llamaproxy.agentctl.reload.ask", return_value=outcome) as asked:
                self.assertIn(words, self.met("max-users", str(users)))
                asked.assert_called_once_with(self.home, "POST", "reload", {})
                self.assertIn(words, self.met("reload") if taken else self.refused("reload"))
        self.kill.assert_not_called()

    def test_profiles_and_the_operators_key_are_told_too(self) -> None:
        self.occupancy.take()
        with mock.patch(
            "llamaproxy.agentctl.reload.ask", return_value={"taken": True, "lines": ["read"]}
        ) as asked:
            self.assertIn("goes by it now", self.met("caller-add", "anna"))
            self.met("caller-remove", "anna")
            self.assertEqual(asked.call_count, 2)
