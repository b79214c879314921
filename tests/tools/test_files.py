"""`files` in a real folder: what it does there, and that nothing leads out."""

import os
import threading
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from llamaproxy.config.tools import Files
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.interfaces import ITool
from llamaproxy.tools.files import FilesTool
from llamaproxy.tools.folder import Folder
from llamaproxy.tools.threads import Workers

from .support import call


class FilesTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.root = self.home / "files"
        self.root.mkdir(parents=True)
        self.tool = FilesTool(Files(max_read_bytes=20, max_write_bytes=30), self.home, Workers(reactor))
        self.addCleanup(self.tool.stop)
        verifyObject(ITool, self.tool)

    async def do(self, operation: str, path: str = "", **arguments: Any) -> str:
        return await call(self.tool, reactor, operation=operation, path=path, **arguments)

    async def refused(self, operation: str, path: str = "", **arguments: Any) -> str:
        try:
            text = await self.do(operation, path, **arguments)
        except ToolError as error:
            return str(error)
        raise AssertionError(f"{operation} {path} gave {text}")

    async def test_what_is_written_can_be_listed_read_and_found(self) -> None:
        await self.do("write", "notes/today.txt", content="Buy milk")
        self.assertEqual(await self.do("list"), "notes/")
        self.assertEqual(await self.do("list", "notes"), "today.txt  8 bytes")
        self.assertEqual(await self.do("read", "notes/today.txt"), "Buy milk")
        self.assertEqual(await self.do("search", query="MILK"), "notes/today.txt:1: Buy milk")

    async def test_folder_that_is_not_there_yet_is_an_empty_one(self) -> None:
        self.root.rmdir()
        self.assertEqual(await self.do("list"), "(empty)")
        self.root.rmdir()
        self.assertEqual(await self.do("search", query="milk"), "(nothing found)")
        self.root.rmdir()
        self.assertIn("there is no f", await self.refused("read", "f"))

    async def test_folder_that_cannot_be_made_is_an_error(self) -> None:
        self.root.rmdir()
        self.root.write_text("a file")
        self.assertIn("the folder cannot be opened", await self.refused("list"))

    async def test_write_replaces_and_append_adds(self) -> None:
        for content, append in (("one", False), ("two", False), ("three", True)):
            await self.do("write", "f", content=content, append=append)
        self.assertEqual((self.root / "f").read_text(), "twothree")

    async def test_a_long_file_comes_in_pieces(self) -> None:
        (self.root / "f").write_text("x" * 20 + "y" * 5)
        self.assertEqual(await self.do("read", "f"), "x" * 20 + "\n[bytes 0 to 20 of 25]")
        self.assertEqual(await self.do("read", "f", offset=20), "yyyyy\n[bytes 20 to 25 of 25]")

    async def test_a_file_does_not_grow_over_the_limit(self) -> None:
        self.assertIn("at most 30", await self.refused("write", "f", content="x" * 31))
        await self.do("write", "f", content="x" * 20)
        self.assertIn("larger than", await self.refused("write", "f", content="x" * 20, append=True))
        self.assertEqual((self.root / "f").stat().st_size, 20)

    async def test_writing_nothing_has_to_be_said(self) -> None:
        (self.root / "f").write_text("kept")
        self.assertIn("content", await self.refused("write", "f"))
        self.assertIn("content", await self.refused("write", "f", append=True))
        self.assertEqual((self.root / "f").read_text(), "kept")
        await self.do("write", "f", content="", append=True)
        self.assertEqual((self.root / "f").read_text(), "kept")
        await self.do("write", "f", content="")
        self.assertEqual((self.root / "f").read_text(), "")

    async def test_an_offset_beyond_the_end_is_told(self) -> None:
        (self.root / "f").write_text("four")
        for offset in (5, 2**63 - 1):
            self.assertEqual(
                await self.refused("read", "f", offset=offset), f"f has 4 bytes, and none at {offset}"
            )
        self.assertEqual(await self.do("read", "f", offset=4), "\n[bytes 4 to 4 of 4]")

    async def test_files_in_odd_charsets_are_read(self) -> None:
        for charset, note in (
            ("utf-8", ""),
            ("utf-8-sig", ""),
            ("utf-16", ""),
            ("cp1252", "\n[it is not UTF-8; read as cp1252]"),
        ):
            (self.root / "f").write_bytes("Köln".encode(charset))
            self.assertEqual(await self.do("read", "f"), f"Köln{note}", charset)
            self.assertEqual(await self.do("search", query="kö"), "f:1: Köln", charset)

    async def test_a_piece_may_end_inside_a_character(self) -> None:
        (self.root / "f").write_text("xx" + "é" * 20)
        for offset, text in ((0, "xx" + "é" * 9), (3, "\ufffd" + "é" * 9 + "\ufffd")):
            self.assertEqual((await self.do("read", "f", offset=offset)).split("\n")[0], text)

    async def test_names_that_are_no_plain_text_are_shown_and_taken_with_escapes(self) -> None:
        for name, shown in (
            (b"caf\xe9", "caf\\xe9"),
            (b"two\nlines", "two\\nlines"),
            (b"back\\slash", "back\\\\slash"),
            ("abc\u202etxt.exe".encode(), "abc\\u202etxt.exe"),
            ("übel".encode(), "übel"),
        ):
            path = os.path.join(os.fsencode(self.root), name)
            os.mkdir(path)
            Path(os.fsdecode(path), "in").write_text("milk")
            self.assertEqual(await self.do("list"), f"{shown}/")
            self.assertEqual(await self.do("search", query="milk"), f"{shown}/in:1: milk")
            for given in (shown, os.fsdecode(name)):
                self.assertEqual(await self.do("read", f"{given}/in"), "milk")
            await self.do("write", f"{shown}/in", content="more", append=True)
            self.assertEqual(await self.do("read", f"{shown}/in"), "milkmore")
            os.unlink(os.path.join(path, b"in"))
            os.rmdir(path)

    async def test_an_escape_leads_nowhere_else(self) -> None:
        (self.home / "secret").write_text("s3cret")
        for path in ("\\x2e\\x2e/secret", "a\\x2fb", "\\x00", "\\ud800", "\ud800"):
            await self.refused("read", path)

    async def test_names_that_the_system_does_not_take_are_told(self) -> None:
        for operation in ("read", "write"):
            self.assertIn("too long", await self.refused(operation, "x" * 300, content="x"))
            self.assertIn("too long", await self.refused(operation, "x" * 300 + "/f", content="x"))

    async def test_a_binary_file_is_not_shown(self) -> None:
        (self.root / "f").write_bytes(b"\0\1\2")
        self.assertIn("no text file", await self.do("read", "f"))

    async def test_no_path_leads_out(self) -> None:
        (self.home / "secret").write_text("s3cret")
        (self.root / "out").symlink_to(self.home)
        (self.root / "link").symlink_to(self.home / "secret")
        for path in ("../secret", "out/secret", "link", "a/../../secret", str(self.home / "secret"), "x\0y"):
            await self.refused("read", path)
        for path in ("../new", "out/new", str(self.home / "new"), "", ".", ".."):
            await self.refused("write", path, content="x")
        for path in ("..", "out", "/"):
            await self.refused("list", path)
            await self.refused("search", path, query="s3cret")
        self.assertEqual(await self.do("search", query="s3cret"), "(nothing found)")
        self.assertFalse((self.home / "new").exists())

    async def test_writing_over_a_link_replaces_the_link(self) -> None:
        outside = self.home / "secret"
        outside.write_text("s3cret")
        (self.root / "link").symlink_to(outside)
        os.link(outside, self.root / "hard")
        for name in ("link", "hard"):
            await self.do("write", name, content="mine")
        self.assertEqual(outside.read_text(), "s3cret")

    async def test_pipes_and_folders_are_no_files(self) -> None:
        os.mkfifo(self.root / "pipe")
        (self.root / "folder").mkdir()
        for path in ("pipe", "folder"):
            await self.refused("read", path)
        self.assertEqual(await self.do("list"), "folder/")

    async def test_a_missing_file_is_told(self) -> None:
        self.assertIn("there is no nope", await self.refused("read", "nope"))
        self.assertIn("there is no nope", await self.refused("read", "nope/f"))

    def test_only_writing_needs_the_write_gate(self) -> None:
        sides = [
            self.tool.access({"operation": one}).operation for one in ("list", "read", "search", "write")
        ]
        self.assertEqual(sides, ["read", "read", "read", "write"])


class RaceTests(SynchronousTestCase):
    def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(self) -> None:
        home = Path(self.mktemp()).absolute()
        inside, outside = home / "files" / "a", home / "outside"
        inside.mkdir(parents=True)
        outside.mkdir()
        (inside / "f").write_text("inside")
        (outside / "f").write_text("outside")
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                inside.rename(home / "files" / "b")
                inside.symlink_to(outside)
                inside.unlink()
                (home / "files" / "b").rename(inside)

        thread = threading.Thread(target=swap)
        thread.start()
        folder, seen = Folder(home / "files"), {b"": 0, b"inside": 0, b"outside": 0}
        while not (seen[b""] > 500 and seen[b"inside"] > 500):
            try:
                seen[folder.read("a/f", 0, 100)[0]] += 1
            except ToolError:
                seen[b""] += 1
        stop.set()
        thread.join()
        self.assertEqual(seen[b"outside"], 0)
