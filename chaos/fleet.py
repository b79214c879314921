"""Several servers on one private PostgreSQL, each a process that can be hurt, and the model that they ask."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.server import Site

from benchmarks.servers import free_port, twistd
from llamaproxy.store.postgres.address import connect_arguments
from tests.tools.sql.servers import Postgres

from .model import Model

reactor: Any = installed_reactor
# Seconds for a server to take requests.
TIME_TO_START = 60.0


class Node:
    """One server; it listens on the same port after every start."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.port = free_port()
        self._home = folder / name
        self._home.mkdir()
        for file, content in config.items():
            (self._home / file).write_text(json.dumps(content))
        self._log = (self._home / "log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it; see `Fleet.ready`."""
        command = [twistd(), "-n", "--pidfile=", "llamaproxy", "--home", str(self._home)]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            cwd=self._home,
        )

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        if self.process is not None:
            self.process.send_signal(number)

    async def gone(self) -> int:
        """Returns its exit status once it has ended."""
        assert self.process is not None
        status: int = await deferToThread(self.process.wait)
        self.process = None
        return status

    def log(self) -> str:
        """What it wrote."""
        return (self._home / "log").read_text("utf-8", "replace")

    def end(self) -> None:
        """Ends it now."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self._log.close()


class Fleet:
    """`count` nodes, or with `postgres` None one server with a file of its own. `door` is more of its configuration.

    `stores` is by which address each node has the database, if that is not the same for all.
    """

    def __init__(
        self,
        count: int,
        postgres: Postgres | None,
        pause: float = 0.03,
        door: Mapping[str, Any] | None = None,
        stores: Sequence[str] = (),
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="llamaproxy-fleet-"))
        self.postgres = postgres
        self.model = Model(pause)
        self._site = Site(self.model)
        self._site.noisy = False
        self._port = reactor.listenTCP(0, self._site, interface="127.0.0.1", backlog=1024)
        self._door = door or {}
        self._stores = stores or [postgres.url if postgres else ""] * count
        self.nodes: list[Node] = []
        self._agent = Agent(reactor, connectTimeout=2, pool=HTTPConnectionPool(reactor, persistent=False))

    def arguments(self) -> dict[str, Any]:
        """What psycopg needs to connect."""
        assert self.postgres is not None
        return connect_arguments(self.postgres.url, "NOTHING", lambda _: None)

    async def start(self) -> None:
        """Returns once all nodes take requests."""
        entry = {
            "type": "OPENAI",
            "host": f"http://127.0.0.1:{self._port.getHost().port}/v1",
            "model_id": "m",
        }
        door: dict[str, Any] = {
            "enabled": True,
            "session_by": ["chat_header"],
            "shutdown_grace": 10,
            **self._door,
        }
        for number, store in enumerate(self._stores, 1):
            shared = {"store": store} if store else {}
            config = {
                "llm-models.json": {"default_model": "m", "models": {"m": entry}},
                "plugins-enabled.json": {
                    "enabled_plugins": ["plugin_proxy_llama"],
                    "plugin_config": {"plugin_proxy_llama": {**door, **shared}},
                    "max_users": 0,
                },
            }
            self.nodes.append(Node(self.folder, f"node{number}", config))
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            await self.ready(node)

    async def ready(self, node: Node) -> None:
        """Returns once a node says that it is ready."""
        until = reactor.seconds() + TIME_TO_START
        while True:
            try:
                response = await self._agent.request(b"GET", f"{node.url}/readyz".encode())
                await readBody(response)
                if response.code == 200:
                    return
            except Exception:
                if node.process is not None and node.process.poll() is not None:
                    raise RuntimeError(f"{node.name} ended:\n{node.log()[-3000:]}") from None
            if reactor.seconds() > until:
                raise RuntimeError(f"{node.name} is not ready:\n{node.log()[-3000:]}")
            await deferLater(reactor, 0.1)

    async def end(self) -> None:
        """Ends all of it."""
        for node in self.nodes:
            node.end()
        await maybeDeferred(self._port.stopListening)
        shutil.rmtree(self.folder, ignore_errors=True)


def new_postgres(fsync: bool = False) -> Postgres:
    """A private instance. Raises `Missing`."""
    return Postgres(fsync=fsync)
