"""JSON files: written whole, keeping what they do not know, one writer at a time."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, JsonFile

# Adds twenty keys that begin with a name to a file, one at a time.
WRITER = """
import sys
from pathlib import Path
from llamaproxy.config import JsonFile
for number in range(20):
    with JsonFile(Path(sys.argv[1])).update() as content:
        content[f"{sys.argv[2]}{number}"] = number
"""


class JsonFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "file.json"
        self.file = JsonFile(self.path)

    def test_update_keeps_unknown_keys_and_their_order(self) -> None:
        self.path.write_text('{"z": 1, "known": 2, "a": {"ü": [1.5, null]}}')
        with self.file.update() as content:
            content["known"] = 3
        expected = (
            '{\n  "z": 1,\n  "known": 3,\n  "a": {\n    "ü": [\n      1.5,\n      null\n    ]\n  }\n}\n'
        )
        self.assertEqual(self.path.read_text("utf-8"), expected)

    def test_update_without_a_change_leaves_the_text_alone(self) -> None:
        self.path.write_text('{"a":   1}')
        with self.file.update() as content:
            content["a"] = 1
        self.assertEqual(self.path.read_text(), '{"a":   1}')

    def test_update_that_raises_writes_nothing(self) -> None:
        self.path.write_text("{}")
        with self.assertRaises(KeyError), self.file.update() as content:
            content["a"] = content["b"]
        self.assertEqual(self.path.read_text(), "{}")

    def test_mode_stays_and_a_new_file_is_private(self) -> None:
        self.file.write({})
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.path.chmod(0o640)
        self.file.write({"a": 1})
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)

    def test_a_link_stays_a_link(self) -> None:
        self.path.symlink_to("real.json")
        (self.folder / "real.json").write_text("{}")
        self.file.write({"a": 1})
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(JsonFile(self.folder / "real.json").read(), {"a": 1})

    def test_a_full_disk_leaves_the_old_file_and_nothing_else(self) -> None:
        self.file.write({"a": 1})
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")):
            error = self.assertRaises(ConfigError, self.file.write, {"a": 2})
        self.assertIn("No space left", str(error))
        self.assertEqual(self.file.read(), {"a": 1})
        self.assertEqual(os.listdir(self.folder), ["file.json"])

    def test_two_processes_lose_no_change_of_each_other(self) -> None:
        self.file.write({})
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, os.fspath(self.path), name]) for name in "ab"
        ]
        self.assertEqual([writer.wait() for writer in writers], [0, 0])
        self.assertEqual(len(self.file.read()), 40)

    def test_byte_order_mark_is_forgiven(self) -> None:
        self.path.write_text('{"a": 1}', "utf-8-sig")
        self.assertEqual(self.file.read(), {"a": 1})

    def check_refused(self, text: bytes, *words: str) -> None:
        self.path.write_bytes(text)
        message = str(self.assertRaises(ConfigError, self.file.read))
        for word in (str(self.path), *words):
            self.assertIn(word, message)
        self.assertNotIn("\n", message)

    def test_syntax_error_names_line_and_column(self) -> None:
        self.check_refused(b'{\n  "a": 1,\n  b\n}', "line 3, column 3", "not JSON")

    def test_other_things_than_an_object_are_refused(self) -> None:
        self.check_refused(b"[]", "expected an object")

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        self.check_refused(b'{"\xff": 1}', "not JSON")

    def test_bottomless_nesting_is_refused(self) -> None:
        self.check_refused(b'{"a":' + b"[" * 100_000, "not JSON")

    def test_missing_file_is_named(self) -> None:
        self.assertIn("no such file", str(self.assertRaises(ConfigError, self.file.read)))
