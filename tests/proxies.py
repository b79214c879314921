"""Real proxies in front of servers of a test's own, for as long as the test runs."""

import shutil
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

# Around one server or more; everything that has to do with proxying is left at its default.
AROUND = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""


class Proxy(ProcessProtocol):
    """The running program; `ended` fires when it is gone."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)

    def stop(self) -> Deferred[None]:
        assert self.transport is not None
        self.transport.signalProcess("KILL")
        return self.ended


def folder_of(case: TestCase) -> Path:
    """A folder that goes with the test. Its path is short, as that of a Unix socket has to be."""
    folder = Path(tempfile.mkdtemp())
    case.addCleanup(shutil.rmtree, folder)
    return folder


def start_nginx(case: TestCase, folder: Path, servers: str) -> None:
    """Starts nginx with these server blocks. Raises `SkipTest` where there is none."""
    config = folder / "conf"
    config.write_text(AROUND.format(folder=folder, servers=servers))
    _start(case, "nginx", "nginx-light", "-e", str(folder / "log"), "-c", str(config))


def start_haproxy(case: TestCase, folder: Path, config: str) -> None:
    """Starts HAProxy. Raises `SkipTest` where there is none."""
    (folder / "conf").write_text(config)
    _start(case, "haproxy", "haproxy", "-db", "-q", "-f", str(folder / "conf"))


def _start(case: TestCase, program: str, package: str, *arguments: str) -> None:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        raise SkipTest(f"{program} is not installed; with Debian: apt-get install {package}")
    proxy = Proxy()
    reactor.spawnProcess(proxy, path, [program, *arguments])
    case.addCleanup(proxy.stop)
