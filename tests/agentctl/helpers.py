"""What the tests of agentctl share: a fresh home, and a terminal made of strings."""

import io
import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agentctl import cli
from llamaproxy.agentctl.printer import Printer
from llamaproxy.config import Home


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class AgentctlCase(SynchronousTestCase):
    """Runs subcommands as the shell would, in this process."""

    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        # Not `self.patch`: child processes must see the change too.
        environ = mock.patch.dict(os.environ, {"PATH": os.environ["PATH"]}, clear=True)
        environ.start()
        self.addCleanup(environ.stop)

    def run_words(self, *words: str) -> tuple[int, str]:
        """The exit status, and everything that was printed."""
        out = io.StringIO()
        return cli.run(self.home, words, Printer(out, out)), out.getvalue()

    def met(self, *words: str) -> str:
        status, output = self.run_words(*words)
        self.assertEqual(status, 0, output)
        return output

    def refused(self, *words: str) -> str:
        """The refusal's text; the files must be as they were."""
        before = self.files()
        status, output = self.run_words(*words)
        self.assertEqual(status, 1, output)
        self.assertIn("✗", output)
        self.assertEqual(self.files(), before)
        return output

    def files(self) -> list[str]:
        files = (self.home.plugins_file, self.home.models_file, self.home.gate_defaults_file)
        return [file.read_text() for file in files if file.exists()]

    def plugins(self) -> Any:
        return json.loads(self.home.plugins_file.read_text())

    def registry(self) -> Any:
        return json.loads(self.home.models_file.read_text())
