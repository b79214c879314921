"""The server as an operator runs it: `twistd llamaproxy` in a child process, on a home folder of its own."""

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from msgspec import json
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.machine import free_port

reactor: Any = installed_reactor

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
HOST = "127.0.0.1"


class Program(ProcessProtocol):
    """A child process with its output; `status` is its exit status, negative for the signal that ended it."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        terminal: bool = False,
    ) -> None:
        self.output = b""
        self.errors = b""
        self.status: int | None = None
        self._expected: list[tuple[bytes, Deferred[None]]] = []
        self._ended: list[Deferred[int]] = []
        reactor.spawnProcess(self, arguments[0], arguments, environment, str(folder), usePTY=terminal)

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def said(self, text: str) -> Deferred[None]:
        """Fires once the program has written `text` to its standard output; fails if it ends before that."""
        said: Deferred[None] = Deferred()
        self._expected.append((text.encode(), said))
        self._look()
        return said

    def ended(self) -> Deferred[int]:
        """Fires with the exit status."""
        ended: Deferred[int] = Deferred()
        self._ended.append(ended)
        self._look()
        return ended

    def signal(self, number: signal.Signals) -> None:
        self._process.signalProcess(number.name.removeprefix("SIG"))

    def enter(self, text: str) -> None:
        """Types something at its terminal."""
        self._process.write(text.encode())

    def close_input(self) -> None:
        """Tells it that nobody will type anything."""
        self._process.closeStdin()

    async def put_down(self) -> None:
        """Ends it by force, if it still runs."""
        if self.status is None:
            self.signal(signal.SIGKILL)
        await self.ended()

    def outReceived(self, data: bytes) -> None:
        self.output += data
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        ended = cast(ProcessDone, reason.value)
        self.status = ended.exitCode if ended.signal is None else -ended.signal
        self._look()

    def _look(self) -> None:
        waiting, self._expected = self._expected, []
        for text, said in waiting:
            if text in self.output:
                said.callback(None)
            elif self.status is not None:
                said.errback(AssertionError(f"the program ended with {self.status}: {self.errors.decode()}"))
            else:
                self._expected.append((text, said))
        if self.status is not None:
            ended, self._ended = self._ended, []
            for each in ended:
                each.callback(self.status)

    @property
    def _process(self) -> IProcessTransport:
        return cast(IProcessTransport, self.transport)


class ServerHome:
    """A home folder, and the port that servers on it listen on."""

    def __init__(self, folder: Path) -> None:
        self.path = folder.absolute()
        self.path.mkdir(parents=True, exist_ok=True)
        self.port = free_port(HOST)
        self.door: dict[str, Any] = {}
        # Enabled beside the front door.
        self.plugins: tuple[str, ...] = ()
        self.models: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        """Puts `door` and `models`, whose first one is the default, into the operator's files."""
        plugins = {
            "enabled_plugins": ["plugin_proxy_llama", *self.plugins],
            "plugin_config": {"plugin_proxy_llama": self.door},
        }
        models = {"default_model": next(iter(self.models)), "models": self.models}
        (self.path / "plugins-enabled.json").write_bytes(json.encode(plugins))
        (self.path / "llm-models.json").write_bytes(json.encode(models))

    def arguments(self, *flags: str) -> list[str]:
        """The flags of `twistd llamaproxy` for this home."""
        where = [] if "--listen" in flags else ["--host", HOST, "--port", str(self.port)]
        return ["llamaproxy", "--home", str(self.path), *where, *flags]

    def launch(self, *flags: str) -> Program:
        """`twistd -n llamaproxy`, which may or may not come up."""
        return Program([*TWISTD, "-n", "--pidfile=", *self.arguments(*flags)], self.path)

    async def serve(self, *flags: str) -> Program:
        """A server that is ready."""
        program = self.launch(*flags)
        await program.said("Ready at")
        return program
