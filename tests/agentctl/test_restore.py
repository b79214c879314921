"""A home, or its conversations, brought back from a copy."""

import gzip
import io
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import randbytes
from time import time

from llamaproxy.agentctl import archive as archive_module
from llamaproxy.config import Home, Occupancy
from llamaproxy.store.database import Database
from llamaproxy.store.schema import MIGRATIONS

from .helpers import AgentctlCase


class Zeros(io.RawIOBase):
    """As many as somebody reads."""

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


class RestoreTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.say("hello")
        self.copy = self.home.path.parent / f"{self.home.path.name}.copy"
        self.made = self.home
        self.other = Home(self.home.path.parent / "other")

    def say(self, words: str) -> None:
        """A conversation, as the server's own store writes it."""
        with (
            closing(Database(self.home.sessions_db, time)) as database,
            database.transaction("s") as connection,
        ):
            connection.execute("DELETE FROM messages")
            connection.execute(
                "INSERT INTO sessions (session_id, created_at, last_active) VALUES ('s', 1, 1) ON CONFLICT DO NOTHING"
            )
            connection.execute(
                "INSERT INTO messages (session_id, branch, seq, role, content) VALUES ('s', 1, 0, 'user', ?)",
                (words,),
            )

    def said(self) -> list[str]:
        with closing(sqlite3.connect(self.home.sessions_db)) as database:
            return [words for (words,) in database.execute("SELECT content FROM messages")]

    def tree(self) -> dict[str, bytes]:
        """What is in the home but for its lock."""
        found = (path for path in self.home.path.rglob("*") if path.is_file() and path.name != "server.lock")
        return {str(path.relative_to(self.home.path)): path.read_bytes() for path in found}

    def packed(self, *entries: tuple[tarfile.TarInfo, bytes]) -> None:
        with tarfile.open(self.copy, "w:gz") as archive:
            for entry, content in entries:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))

    def test_conversations_come_back_as_they_were(self) -> None:
        self.met("backup", str(self.copy))
        self.home = self.other
        self.assertIn("is back", self.met("restore", str(self.copy)))
        self.assertEqual(self.said(), ["hello"])
        self.assertEqual(self.home.sessions_db.stat().st_mode & 0o777, 0o600)
        # The server's own store opens it.
        Database(self.home.sessions_db, time).close()

    def test_a_whole_home_comes_back_as_it_was(self) -> None:
        with self.home.env_file.open("w") as file:
            file.write("KEY=secret\n")
        (self.home.path / "files" / "models").mkdir(parents=True)
        (self.home.path / "files" / "models" / "note.txt").write_text("mine")
        (self.home.path / "run.sh").write_text("#!/bin/sh\n")
        (self.home.path / "run.sh").chmod(0o755)
        self.home.weights.mkdir()
        (self.home.weights / "m.gguf").write_bytes(b"GGUF")
        self.home.plugins_file.write_text('{"enabled_plugins": []}')
        self.met("backup", str(self.copy), "--whole")
        self.assertEqual(self.copy.stat().st_mode & 0o777, 0o600)
        before = self.tree()
        self.home = self.other
        self.met("restore", str(self.copy))
        after = self.tree()
        gone = {name for name in before if name not in after}
        self.assertEqual(
            gone, {"models/m.gguf", *(name for name in before if name.endswith((".lock", "-wal", "-shm")))}
        )
        self.assertEqual(
            {name: text for name, text in after.items() if not name.endswith(".db")},
            {name: before[name] for name in after if not name.endswith(".db")},
        )
        self.assertEqual(self.said(), ["hello"])
        modes = {
            path.name: path.stat().st_mode & 0o777 for path in self.home.path.rglob("*") if path.is_file()
        }
        self.assertEqual((modes.pop("run.sh"), {*modes.values()}), (0o700, {0o600}))

    def test_what_a_running_server_writes_is_in_a_whole_copy(self) -> None:
        with closing(sqlite3.connect(self.home.sessions_db)) as server:
            server.execute("UPDATE messages SET content = 'in the log only'")
            server.commit()
            self.met("backup", str(self.copy), "--whole")
        self.home = self.other
        self.met("restore", str(self.copy))
        self.assertEqual(self.said(), ["in the log only"])

    def test_nothing_is_put_over_what_is_there_unless_that_is_said(self) -> None:
        self.met("backup", str(self.copy))
        self.say("newer")
        self.assertIn("--replace", self.refused("restore", str(self.copy)))
        self.assertEqual(self.said(), ["newer"])
        told = self.met("restore", str(self.copy), "--replace")
        self.assertEqual(self.said(), ["hello"])
        (aside,) = self.home.path.glob("replaced-*")
        self.assertIn(str(aside), told)
        with closing(sqlite3.connect(aside / "sessions.db")) as database:
            self.assertEqual(database.execute("SELECT content FROM messages").fetchall(), [("newer",)])
        # And a log that is left over is not taken for the new file's.
        self.assertEqual(list(self.home.path.glob("sessions.db-*")), [])

    def test_what_was_put_aside_is_in_no_further_copy(self) -> None:
        self.met("backup", str(self.copy))
        self.met("restore", str(self.copy), "--replace")
        self.copy.unlink()
        self.met("backup", str(self.copy), "--whole")
        with tarfile.open(self.copy) as archive:
            self.assertFalse([name for name in archive.getnames() if "replaced" in name])

    def test_a_home_in_use_is_left_alone(self) -> None:
        self.met("backup", str(self.copy))
        server = Occupancy(self.home.lock_file)
        server.take()
        self.assertIn("in use", self.refused("restore", str(self.copy), "--replace"))
        server.release()
        self.met("restore", str(self.copy), "--replace")

    def test_an_archive_reaches_nothing_outside_the_home(self) -> None:
        outside = self.home.path.parent / "outside"
        link, hard, device = tarfile.TarInfo("x"), tarfile.TarInfo("x"), tarfile.TarInfo("x")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        hard.type, hard.linkname = tarfile.LNKTYPE, "/etc/passwd"
        device.type = tarfile.FIFOTYPE
        never = tarfile.TarInfo("a")
        never.pax_headers = {"mtime": "inf"}
        for entries in (
            [tarfile.TarInfo("../outside")],
            [tarfile.TarInfo("files/../../outside")],
            [tarfile.TarInfo(str(outside))],
            [link, tarfile.TarInfo("x/outside")],
            [link],
            [hard],
            [device],
            [tarfile.TarInfo("a"), tarfile.TarInfo("a/b")],
            [tarfile.TarInfo("a"), tarfile.TarInfo("a")],
            [never],
            [tarfile.TarInfo("server.lock")],
            [tarfile.TarInfo("sessions.db-wal")],
            [tarfile.TarInfo("./models/m.gguf")],
            [tarfile.TarInfo(".restore-1/x")],
            [tarfile.TarInfo("sessions.db/x")],
            [tarfile.TarInfo("llm-models.json/x")],
        ):
            before = self.tree()
            self.packed(*((entry, b"" if entry.type != tarfile.REGTYPE else b"evil") for entry in entries))
            self.refused("restore", str(self.copy), "--replace")
            self.assertFalse(outside.exists())
            self.assertEqual(self.tree(), before, entries)

    def bombs(self) -> Iterator[tuple[str, str]]:
        """Archives that were made to fill a disk or a memory, packed; what each does, and what is said of it."""
        zeros = tarfile.TarInfo("a")
        zeros.size = 200 << 20
        with tarfile.open(self.copy, "w:gz") as archive:
            archive.addfile(zeros, Zeros())
        yield "one file", "unpacks to more than"
        with gzip.open(self.copy, "wb") as packed:
            packed.write(tarfile.TarInfo("a").tobuf() + bytes(200 << 20))
        yield "nothing but an end", "unpacks to more than"
        huge = tarfile.TarInfo("a")
        huge.type, huge.size = tarfile.XHDTYPE, 1 << 40
        with gzip.open(self.copy, "wb") as packed:
            packed.write(huge.tobuf(tarfile.GNU_FORMAT) + bytes(50 << 20))
        yield "a head", "longer than any backup has it"
        huge.type = tarfile.GNUTYPE_LONGNAME
        with gzip.open(self.copy, "wb") as packed:
            packed.write(huge.tobuf(tarfile.GNU_FORMAT) + bytes(50 << 20))
        yield "a name", "longer than any backup has it"
        nested = tarfile.TarInfo("a")
        nested.type = tarfile.XHDTYPE
        with gzip.open(self.copy, "wb") as packed:
            packed.write(nested.tobuf(tarfile.GNU_FORMAT) * 20_000)
        yield "heads of heads", "neither"
        with tarfile.open(self.copy, "w:gz") as archive:
            for number in range(300):
                archive.addfile(tarfile.TarInfo(f"{number}"))
        yield "many files", "more than 200 files"
        self.packed((tarfile.TarInfo("/".join("a" * 900)), b""))
        yield "many folders", "no backup of a home holds"
        holes = tarfile.TarInfo("a")
        holes.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.map": f"{1 << 40},0",
            "GNU.sparse.size": f"{1 << 40}",
        }
        self.packed((holes, b""))
        yield "holes", "no backup of a home holds"
        self.packed((tarfile.TarInfo("llm-models.json"), b"[" + b" " * (17 << 20) + b"]"))
        yield "settings", "larger than 16 MiB"

    def test_an_archive_that_was_made_to_fill_disk_or_memory_is_refused(self) -> None:
        self.patch(archive_module, "MOST_BYTES", 100 << 20)
        self.patch(archive_module, "MOST_FILES", 200)
        before = self.tree()
        for what, told in self.bombs():
            self.assertIn(told, self.refused("restore", str(self.copy), "--replace"), what)
            self.assertEqual(self.tree(), before, what)

    def test_a_large_home_comes_back_where_that_is_meant_and_there_is_room(self) -> None:
        self.patch(archive_module, "MOST_BYTES", 1 << 20)
        (self.home.path / "files").mkdir()
        (self.home.path / "files" / "log.txt").write_text("a" * (60 << 20))
        self.met("backup", str(self.copy), "--whole")
        self.home = self.other
        self.assertIn("--most", self.refused("restore", str(self.copy)))
        self.assertIn("no size", self.refused("restore", str(self.copy), "--most", "-1"))
        self.assertIn("--most", self.refused("restore", str(self.copy), "--most", "0.01"))
        self.patch(archive_module, "SPARE", 1 << 60)
        self.assertIn("0 MiB", self.refused("restore", str(self.copy), "--most", "1"))
        self.patch(archive_module, "SPARE", 1 << 20)
        self.met("restore", str(self.copy), "--most", "1")
        self.assertEqual((self.home.path / "files" / "log.txt").stat().st_size, 60 << 20)

    def test_conversations_that_would_do_something_are_refused(self) -> None:
        for what in (
            "CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM sessions; END",
            "CREATE VIEW v AS SELECT 1",
            "CREATE VIRTUAL TABLE v USING fts5(x)",
        ):
            self.copy.unlink(missing_ok=True)
            self.met("backup", str(self.copy))
            with closing(sqlite3.connect(self.copy)) as copy:
                copy.execute(what)
            self.assertIn("none of ours", self.refused("restore", str(self.copy), "--replace"), what)

    def test_an_archive_damaged_inside_is_refused_whatever_packed_it(self) -> None:
        for packer in ("gz", "bz2", "xz"):
            with tarfile.open(self.copy, f"w:{packer}") as archive:  # type: ignore[call-overload]  # a mode is a literal
                for name in ("a", "b"):
                    entry = tarfile.TarInfo(name)
                    entry.size = 200_000
                    archive.addfile(entry, io.BytesIO(randbytes(entry.size)))
            damaged = bytearray(self.copy.read_bytes())
            damaged[200_000:200_200] = bytes(200)
            self.copy.write_bytes(damaged)
            self.assertIn("neither", self.refused("restore", str(self.copy)), packer)
            self.copy.unlink()

    def test_files_of_people_are_copied_whatever_their_names(self) -> None:
        self.copy.unlink(missing_ok=True)
        kept = [self.home.path / "files" / name for name in ("poetry.lock", "my.pid", "notes-wal")]
        kept[0].parent.mkdir(exist_ok=True)
        for path in kept:
            path.write_text("mine")
        self.met("backup", str(self.copy), "--whole")
        self.home = self.other
        self.met("restore", str(self.copy))
        for path in kept:
            self.assertEqual((self.home.path / "files" / path.name).read_text(), "mine")

    def test_what_is_no_whole_backup_is_refused_and_changes_nothing(self) -> None:
        self.met("backup", str(self.copy), "--whole")
        whole = self.copy.read_bytes()
        damaged = bytearray(self.home.sessions_db.read_bytes())
        damaged[4096:8192] = b"\xff" * 4096
        with closing(sqlite3.connect(self.home.path.parent / "newer.db")) as newer:
            newer.execute("CREATE TABLE sessions (x)")
            newer.execute("CREATE TABLE messages (x)")
            newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        with closing(sqlite3.connect(self.home.path.parent / "else.db")) as other:
            other.execute("CREATE TABLE other (x)")
        parent: Path = self.home.path.parent
        for content, why in (
            (b"", "neither"),
            (b"no archive", "neither"),
            (whole[: len(whole) // 2], "neither"),
            (bytes(damaged), "conversations"),
            ((parent / "newer.db").read_bytes(), "newer version"),
            ((parent / "else.db").read_bytes(), "no conversations of ours"),
        ):
            self.copy.write_bytes(content)
            before = self.tree()
            self.assertIn(why, self.refused("restore", str(self.copy), "--replace"))
            self.assertEqual(self.tree(), before)
        self.packed((tarfile.TarInfo("llm-models.json"), b"{"))
        self.assertIn("not JSON", self.refused("restore", str(self.copy), "--replace"))
        self.refused("restore", str(parent / "nowhere"))

    def test_a_new_place_has_only_what_was_copied(self) -> None:
        self.packed((tarfile.TarInfo("plugins-enabled.json"), json.dumps({"enabled_plugins": []}).encode()))
        self.home = self.other
        self.met("restore", str(self.copy))
        self.assertEqual(list(self.tree()), ["plugins-enabled.json"])
