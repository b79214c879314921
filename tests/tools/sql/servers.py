"""Private database servers for the tests: a folder in /tmp, a Unix socket, a user other than root."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PATIENCE = 60.0


class Missing(Exception):
    """The machine has no such server."""


class _Server:
    """One server process; its folder goes with it."""

    end_now = signal.SIGKILL

    def __init__(self, user: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lp-", dir="/tmp"))
        self._prefix = _as(user, self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)

    def run(self, *command: str | Path) -> None:
        done = subprocess.run(
            [*self._prefix, *map(str, command)], capture_output=True, cwd=self.folder, check=False
        )
        if done.returncode:
            raise AssertionError(f"{command[0]}: {done.stderr.decode()[-2000:]}")

    def start(self, *command: str | Path) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *map(str, command)], stdout=log, stderr=log, cwd=self.folder
            )

    def wait(self, ready: Callable[[], object]) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                ready()
                return
            except Exception:
                if time.monotonic() > until or self._ends_within(0.1):
                    raise

    def _ends_within(self, seconds: float) -> bool:
        """Gives the server a moment; one that ends in it will never be ready."""
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def pid(self) -> int:
        """Its process; of a server with several, their parent."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Ends the server from one moment to the next."""
        if self._process is not None:
            self._process.send_signal(self.end_now)
            self._process.wait()
            self._process = None

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _as(user: str, folder: Path) -> list[str]:
    """What to put before a command to run it as `user`, who then owns the folder; nothing unless we are root."""
    if os.getuid():
        return []
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


class Postgres(_Server):
    end_now = signal.SIGQUIT  # takes its children along

    def __init__(self, fsync: bool = False, listen: Sequence[str] = ()) -> None:
        self._fsync, self._listen = fsync, listen
        if not self.is_installed():
            raise Missing("postgresql is not installed")
        self._bin = self._programs()
        super().__init__("postgres")
        self.data = self.folder / "data"
        self.run(
            self._bin / "initdb",
            "--auth=trust",
            "--username=tester",
            "--no-sync",
            "-E",
            "UTF8",
            "-D",
            self.data,
        )
        self.boot()

    @classmethod
    def is_installed(cls) -> bool:
        """Whether this machine has it."""
        return (cls._programs() / "postgres").exists()

    @staticmethod
    def _programs() -> Path:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        return found[-1] if found else Path(shutil.which("initdb") or "").parent

    def tcp_url(self, address: str) -> str:
        """How it is reached at one of the addresses at which it listens, at PostgreSQL's own port."""
        return f"postgresql://tester@{address}/postgres"

    @property
    def url(self) -> str:
        return f"postgresql://tester@localhost/postgres?socket={self.folder}/.s.PGSQL.5432"

    def boot(self) -> None:
        self.start(
            self._bin / "postgres",
            "-D",
            self.data,
            "-k",
            self.folder,
            "-c",
            f"listen_addresses={','.join(self._listen)}",
            "-c",
            f"fsync={'on' if self._fsync else 'off'}",
            "-c",
            "max_connections=100",
        )
        self.wait(lambda: self.execute("SELECT 1"))

    def restart(self, ending: signal.Signals) -> None:
        """Ends it by SIGINT (fast) or SIGQUIT (immediate), and starts it again."""
        assert self._process is not None
        self._process.send_signal(ending)
        self._process.wait()
        self.boot()

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.query(statement)

    def query(self, statement: str) -> list[list[Any]]:
        from pg8000.native import Connection

        connection = Connection(
            "tester", database="postgres", unix_sock=f"{self.folder}/.s.PGSQL.5432", ssl_context=False
        )
        try:
            return connection.run(statement)
        finally:
            connection.close()


class MariaDb(_Server):
    def __init__(self) -> None:
        self._binary = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
        installer = shutil.which("mariadb-install-db")
        if not self._binary or not installer:
            raise Missing("mariadb-server is not installed")
        super().__init__("mysql")
        self.data = self.folder / "data"
        self.run(
            installer, "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )  # fmt: skip
        self.boot()
        self.execute("CREATE DATABASE shop", database="")

    @property
    def url(self) -> str:
        return f"mariadb://root@localhost/shop?socket={self.folder}/socket"

    def boot(self) -> None:
        self.start(
            self._binary or "", "--no-defaults", f"--datadir={self.data}", f"--socket={self.folder}/socket",
            "--skip-networking", f"--pid-file={self.folder}/pid", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M",
        )  # fmt: skip
        self.wait(lambda: self.execute("SELECT 1", database=""))

    def execute(self, *statements: str, database: str = "shop") -> None:
        from pymysql.connections import Connection

        with Connection(
            unix_socket=f"{self.folder}/socket",
            user="root",
            database=database or None,
            autocommit=True,
            ssl_disabled=True,
        ) as connection:
            for statement in statements:
                connection.query(statement)

    def query(self, statement: str) -> Any:
        from pymysql.connections import Connection

        with (
            Connection(
                unix_socket=f"{self.folder}/socket", user="root", database="shop", ssl_disabled=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall()


@cache
def postgres() -> Postgres:
    """The one of this test run, started when first asked for. Raises `Missing`."""
    return Postgres()


@cache
def mariadb() -> MariaDb:
    """The one of this test run, started when first asked for. Raises `Missing`."""
    return MariaDb()
