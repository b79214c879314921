"""A coding app as a person runs it: its own program, with a home and a project folder that one test has made."""

import os
import signal
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from tests.acceptance.program import HOST, Program

from .terminal import Terminal

FOLDER = Path(__file__).parent
NODE_BIN = FOLDER / "node_modules" / ".bin"
# Begins a process group, which ends with all that the app has started.
_GROUP = (sys.executable, "-c", "import os, sys; os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])")
# Whatever an app wants of the internet, it asks a port of this machine where nobody listens.
_NOBODY = "http://127.0.0.1:9"
_AT_HOME = {"HTTP_PROXY": _NOBODY, "HTTPS_PROXY": _NOBODY, "NO_PROXY": "127.0.0.1"}


class App(ABC):
    """What is the same for all of them: each has a `program`, and its own ways in the three methods below."""

    program: Path

    def __init__(self, folder: Path, port: int) -> None:
        self.home = folder / "home"
        self.project = folder / "project"
        self.server = f"http://{HOST}:{port}"
        for each in (self.home, self.project):
            each.mkdir(parents=True)
        self.configure()

    @abstractmethod
    def configure(self) -> None:
        """Writes the app's own files."""

    def environment(self) -> dict[str, str]:
        """How the app finds the server."""
        return {}

    @abstractmethod
    def arguments(self, words: str, again: bool = False) -> list[str]:
        """To say `words`, in the last chat or in a new one."""

    def start(self, *arguments: str) -> Program:
        """The app with nobody at its terminal."""
        command = [*_GROUP, str(self.program), *arguments]
        program = Program(command, self.project, self._environment("dumb"))
        program.close_input()
        return program

    def sit_down(self, *arguments: str) -> Terminal:
        """The app with somebody before it; a terminal's program is a group of its own."""
        command = [str(self.program), *arguments]
        return Terminal(command, self.project, self._environment("xterm-256color"))

    def _environment(self, terminal: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": terminal,
            **_AT_HOME,
            **self.environment(),
        }


async def end(program: Program) -> None:
    """Ends an app and its children by force, if it still runs."""
    if program.status is None:
        os.killpg(program.pid, signal.SIGKILL)
    await program.ended()


def missing(app: type[App]) -> str | None:
    """Why the tests of an app are skipped, if they are."""
    return None if app.program.exists() else f"{app.program.name} is not installed; run: make test-apps"
