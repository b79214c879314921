"""Links at files of the home: the operator's own are followed, planted ones are not."""

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, FrontDoor, Home, JsonFile
from llamaproxy.config.links import destination
from llamaproxy.server.storage import storage

SOMEBODY, ANOTHER = 4001, 4002


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.home, self.elsewhere = self.folder / "home", self.folder / "elsewhere"
        for each in (self.home, self.elsewhere):
            each.mkdir(parents=True)
        self.path, self.target = self.home / "file.json", self.elsewhere / "real.json"

    def refused(self, problem: str) -> None:
        error = self.assertRaises(ConfigError, JsonFile(self.path).write, {"a": 1})
        self.assertIn(problem, str(error))

    def seen_as(self, user: int) -> None:
        self.patch(os, "geteuid", lambda: user)

    def owned(self, **owners: int) -> None:
        """Has files of these names belong to others, for whoever asks; tests need not be root."""
        real = Path.lstat

        def lstat(path: Path) -> os.stat_result:
            found = list(real(path))
            found[4] = owners.get(path.stem, os.geteuid())
            return os.stat_result(found)

        self.patch(Path, "lstat", lstat)

    def test_links_of_ones_own_are_followed_to_the_last(self) -> None:
        (self.elsewhere / "next.json").symlink_to("real.json")
        self.path.symlink_to("../elsewhere/next.json")
        JsonFile(self.path).write({"a": 1})
        self.assertEqual(JsonFile(self.target).read(), {"a": 1})
        self.assertTrue(self.path.is_symlink())

    def test_a_link_of_another_user_is_not_followed(self) -> None:
        self.target.write_text("precious")
        self.path.symlink_to(self.target)
        self.seen_as(SOMEBODY)
        self.owned(file=ANOTHER)
        self.refused("belongs to another user")
        self.assertEqual(self.target.read_text(), "precious")

    def test_a_link_to_another_users_file_is_not_followed(self) -> None:
        self.target.write_text("precious")
        self.path.symlink_to(self.target)
        self.seen_as(SOMEBODY)
        self.owned(real=ANOTHER)
        self.refused("belongs to another user")

    def test_a_link_further_on_is_looked_at_too(self) -> None:
        (self.elsewhere / "next.json").symlink_to("real.json")
        self.path.symlink_to(self.elsewhere / "next.json")
        self.seen_as(SOMEBODY)
        self.owned(next=ANOTHER)
        self.refused("belongs to another user")

    def test_a_link_where_everybody_writes_is_not_followed(self) -> None:
        for mode in (0o777, 0o1777):
            self.path.unlink(missing_ok=True)
            self.path.symlink_to(self.target)
            self.home.chmod(mode)
            self.refused("everybody can write to")
            self.assertFalse(self.target.exists())

    def test_links_in_a_circle_are_told(self) -> None:
        self.path.symlink_to("file.json")
        self.refused("leads nowhere")

    def test_a_file_of_another_user_that_is_no_link_is_written_as_ever(self) -> None:
        self.path.write_text("{}")
        self.seen_as(0)
        self.owned(file=ANOTHER)
        self.assertEqual(destination(self.path), self.path)

    def test_conversations_are_not_written_through_a_planted_link(self) -> None:
        home = Home(self.home)
        home.sessions_db.symlink_to(self.target)
        self.home.chmod(0o777)
        self.assertRaises(ConfigError, storage, home, FrontDoor(), {}, None, Clock())
        self.assertFalse(self.target.exists())
