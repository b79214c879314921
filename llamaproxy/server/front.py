"""What the web room goes by of the operator's files, at the start and whenever they are read again."""

import os
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime

from ..config import FrontDoor, Home, operator_key
from ..config.callers import with_keys
from ..recorder.recorder import Recorder
from ..seams.interfaces import IRecorder
from ..web.allowances import allowance_of
from ..web.cors import Cors, ollama_origins
from ..web.guard import Guard
from ..web.naming import Naming
from ..web.routes import Routes
from ..web.site import FrontSite
from .notifier import Notifier

# What is settled when the server starts, and waits for the next start.
AT_START = (
    "enabled",
    "llama_port",
    "llama_host",
    "listen",
    "workers",
    "shutdown_grace",
    "durability",
    "recorder",
    "console",
    "store",
    "store_password_env",
)


def new_guard(home: Home, door: FrontDoor, environ: Mapping[str, str], clock: IReactorTime) -> Guard:
    """The guard that the files ask for. Raises `ConfigError`."""
    return Guard(
        door.allow_from,
        door.api_keys,
        door.trusted_proxies,
        door.commands,
        door.key_commands,
        door.llama_hosts,
        Naming(door),
        operator_key(home.operator_key_file),
        allowance_of(door),
        with_keys(door.callers, environ.get, home.plugins_file),
        clock.seconds,
    )


def new_cors(door: FrontDoor, environ: Mapping[str, str] = os.environ) -> Cors:
    """The pages of others that may come in."""
    return Cors(ollama_origins(environ) if door.llama_origins is None else door.llama_origins)


class Front:
    """The parts that can go by other words while the server runs."""

    def __init__(
        self, home: Home, site: FrontSite, routes: Routes, recorder: IRecorder, notifier: Notifier
    ) -> None:
        self._home = home
        self._site = site
        self._routes = routes
        self._recorder = recorder
        self._notifier = notifier

    def prepare(self, door: FrontDoor, environ: Mapping[str, str], clock: IReactorTime) -> Callable[[], None]:
        """Reads all that may be wrong; gives what has it hold from the next request on. Raises `ConfigError`."""
        guard, cors = new_guard(self._home, door, environ, clock), new_cors(door, environ)

        def take_over() -> None:
            self._site.guard.adopt(guard)
            self._site.cors = cors
            self._site.max_body_bytes, self._site.timeOut = door.max_body_bytes, door.request_timeout
            for endpoints in self._routes.endpoints:
                endpoints.renew(door.stall_timeout, door.heartbeat, door.housekeeping)
            self._notifier.renew(door.notify_hosts, door.notify_link or "")
            if isinstance(self._recorder, Recorder):
                self._recorder.lines = door.turn_log

        return take_over
