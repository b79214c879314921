"""The one connection that says that this node lives, and on which it hears what the others tell.

When it breaks, the node is dead for the others, and enters again under another number.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from twisted.logger import Logger

from .connection import Connection
from .trouble import reason
from .turns import enter

# Seconds between two looks whether it is to end, between two signs of life, and between two tries to connect.
LOOK = 0.25
SIGN = 1.0
FIRST_PAUSE, LAST_PAUSE = 0.2, 5.0

# Milliseconds until this node notices that it is cut off from the database: before that does, and so before another
# node may take its turns.
PATIENCE = 4000


class Pulse:
    """Runs in a thread of its own. `entered` is called there with the node's number, `heard` with what others tell."""

    log = Logger()

    def __init__(
        self,
        arguments: dict[str, Any],
        name: str,
        version: str,
        now: Callable[[], float],
        entered: Callable[[int | None], None],
        heard: Callable[[str], None],
    ) -> None:
        self._arguments = {**arguments, "tcp_user_timeout": PATIENCE}
        self._name = name
        self._version = version
        self._now = now
        self._entered = entered
        self._heard = heard
        self._ending = threading.Event()
        self._ending_life = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store pulse", daemon=True)

    def start(self) -> None:
        """Enters, and goes on to enter after every interruption."""
        self._thread.start()

    def renew(self) -> None:
        """Ends this life and begins another one, where nobody can say any more what the database has heard."""
        self._ending_life.set()

    def stop(self) -> None:
        """Ends it, and waits for that; blocks."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                connection = Connection(self._arguments)
            except psycopg.Error:
                pass
            else:
                try:
                    self._live(connection)
                except psycopg.Error as error:
                    if not self._ending.is_set():
                        self.log.error("the store is away ({error})", error=reason(error))
                finally:
                    self._entered(None)
                    connection.close()
                if time.monotonic() - began > LAST_PAUSE:
                    pause = FIRST_PAUSE
            self._ending.wait(pause)
            pause = min(pause * 2, LAST_PAUSE)

    def _live(self, connection: Connection) -> None:
        self._ending_life.clear()
        self._entered(enter(connection, self._name, self._version, self._now()))
        signs = 0.0
        while not (self._ending.is_set() or self._ending_life.is_set()):
            for notification in connection.raw.notifies(timeout=LOOK):
                self._heard(notification.payload)
            if time.monotonic() - signs >= SIGN:
                connection.execute("SELECT 1")
                signs = time.monotonic()
