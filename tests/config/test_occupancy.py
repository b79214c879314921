"""One server to a home."""

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home, Occupancy
from llamaproxy.config.occupancy import holder_of

_HOLD = (
    "import sys; from pathlib import Path; from llamaproxy.config import Occupancy;"
    "Occupancy(Path(sys.argv[1])).take(); print('ready', flush=True); sys.stdin.read()"
)


class OccupancyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()

    def test_second_server_is_refused_and_told_of_the_first(self) -> None:
        Occupancy(self.home.lock_file).take()
        refusal = str(self.assertRaises(ConfigError, Occupancy(self.home.lock_file).take))
        for part in (str(self.home.path), str(os.getpid()), "--home"):
            self.assertIn(part, refusal)

    def test_lock_ends_with_its_process_however_that_ends(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(self.home.lock_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            refusal = str(self.assertRaises(ConfigError, Occupancy(self.home.lock_file).take))
            self.assertIn(str(holder.pid), refusal)
            holder.kill()
        Occupancy(self.home.lock_file).take()

    def test_holder_says_which_process_it_is_and_where_it_is_reached(self) -> None:
        self.assertIsNone(holder_of(self.home.lock_file))
        occupancy = Occupancy(self.home.lock_file)
        occupancy.take()
        self.assertEqual(holder_of(self.home.lock_file), (os.getpid(), ""))
        occupancy.sign("http://127.0.0.1:4711")
        self.assertEqual(holder_of(self.home.lock_file), (os.getpid(), "http://127.0.0.1:4711"))
        for text, holder in (
            ("", (None, "")),
            ("1\nx\n", (None, "x")),
            ("²\n", (None, "")),
            ("9" * 50, (None, "")),
        ):
            self.home.lock_file.write_text(text)
            self.assertEqual(holder_of(self.home.lock_file), holder)

    def test_homes_do_not_stand_in_each_others_way(self) -> None:
        other = Home(Path(self.mktemp()).absolute())
        other.ensure()
        for home in (self.home, other):
            Occupancy(home.lock_file).take()

    def test_planted_link_is_not_followed(self) -> None:
        elsewhere = self.home.path / "elsewhere"
        self.home.lock_file.symlink_to(elsewhere)
        self.assertRaises(ConfigError, Occupancy(self.home.lock_file).take)
        self.assertFalse(elsewhere.exists())
