"""The operator's key: made once, for its owner's eyes only."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home, new_operator_key, operator_key


class OperatorKeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        home = Home(Path(self.mktemp()))
        home.ensure()
        self.file = home.operator_key_file

    def mode(self) -> int:
        return self.file.stat().st_mode & 0o777

    def test_it_is_made_once_and_for_its_owner_only(self) -> None:
        key = operator_key(self.file)
        self.assertGreaterEqual(len(key), 32)
        self.assertEqual((operator_key(self.file), self.mode()), (key, 0o600))
        self.assertEqual(sorted(self.file.parent.glob("*operator*")), [self.file])

    def test_umask_of_whoever_starts_the_server_does_not_open_it(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        operator_key(self.file)
        self.assertEqual(self.mode(), 0o600)

    def test_file_that_others_could_read_is_closed_to_them(self) -> None:
        key = operator_key(self.file)
        self.file.chmod(0o644)
        self.assertEqual((operator_key(self.file), self.mode()), (key, 0o600))

    def test_new_one_replaces_it_even_if_it_cannot_be_used(self) -> None:
        key = operator_key(self.file)
        self.file.write_text("short")
        self.assertNotIn(new_operator_key(self.file), (key, "short"))

    def test_what_holds_no_key_is_told_without_showing_it(self) -> None:
        for content in (b"", b"short", b"a key with spaces that is long enough for all", b"\xff" * 40):
            self.file.write_bytes(content)
            problem = str(self.assertRaises(ConfigError, operator_key, self.file))
            self.assertIn("agentctl operator-key new", problem)
            self.assertNotIn("spaces", problem)

    def test_planted_link_is_not_followed(self) -> None:
        elsewhere = self.file.parent / "elsewhere"
        self.file.symlink_to(elsewhere)
        self.assertRaises(ConfigError, operator_key, self.file)
        self.assertFalse(elsewhere.exists())
        new_operator_key(self.file)
        self.assertFalse(elsewhere.exists() or self.file.is_symlink())
