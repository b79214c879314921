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

    def test_several_workers_need_a_restart(self) -> None:
        self.occupancy.take()
        self.met("workers", "4")
        self.assertIn("needs a restart", self.met("max-users", "7"))
        self.kill.assert_not_called()
