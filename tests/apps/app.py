"""A coding app as a person runs it: its own program, with a home and a project folder that one test has made."""

import os
import signal
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from tests.acceptance.program import Program

FOLDER = Path(__file__).parent
NODE_BIN = FOLDER / "node_modules" / ".bin"
# Begins a process group, which ends with all that the app has started.
_GROUP = (sys.executable, "-c", "import os, sys; os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])")


class App(ABC):
    """What is the same for all of them: each has a `program`, and its own ways in the three methods below."""

    program: Path

    def __init__(self, folder: Path, server: str) -> None:
        self.home = folder.absolute() / "home"
        self.project = folder.absolute() / "project"
        self.server = server
        for each in (self.home, self.project):
            each.mkdir(parents=True)
        self.configure()

    @abstractmethod
    def configure(self) -> None:
        """Writes the app's own files."""

    def environment(self) -> dict[str, str]:
        """How the app finds the server; and what keeps it from calling home."""
        return {}

    @abstractmethod
    def arguments(self, words: str, again: bool) -> list[str]:
        """To say `words`, in the last chat or in a new one."""

    def run(self, *arguments: str) -> Program:
        """The app, with nobody at its terminal."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "GIT_CEILING_DIRECTORIES": str(self.home.parent),
            **self.environment(),
        }
        return Program([*_GROUP, str(self.program), *arguments], self.project, environment)

    def start(self, words: str, again: bool = False) -> Program:
        """The app, once it was told `words`."""
        program = self.run(*self.arguments(words, again))
        program.close_input()
        return program


async def end(program: Program) -> None:
    """Ends an app and its children by force, if it still runs."""
    if program.status is None:
        os.killpg(program.pid, signal.SIGKILL)
    await program.ended()


def missing(app: type[App]) -> str | None:
    """Why the tests of an app are skipped, if they are."""
    return None if app.program.exists() else f"{app.program.name} is not installed; run: make test-apps"
