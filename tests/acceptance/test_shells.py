"""Shells complete agentctl's words for somebody who types: each in a terminal of its own."""

import os
import shutil
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from llamaproxy.config import Home

from .program import Program

PREPARED = "read''y"


class ShellCase(TestCase):
    """`words` start the shell without anybody's settings, `setup` is what its user has in their own."""

    timeout = 60
    words: tuple[str, ...] = ("bash", "--norc")
    setup = 'eval "$(agentctl completion bash)"'

    async def test_key_of_a_model_is_completed_and_the_line_runs(self) -> None:
        path = shutil.which(self.words[0])
        if path is None:
            self.skipTest(f"there is no {self.words[0]} on this machine")
        home = Home(Path(self.mktemp()).absolute())
        home.ensure()
        environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home.path),
            "LLAMAPROXY_HOME": str(home.path),
            "TERM": "dumb",
        }
        shell = Program((path, *self.words[1:]), home.path, environ, terminal=True)
        self.addCleanup(lambda: Deferred.fromCoroutine(shell.put_down()))
        for line, answer in (
            (f"{self.setup}; echo {PREPARED}\n", "ready"),
            # Of both words only the beginnings are typed.
            ("agentctl model-inf\tsmoll\t\n", "SmolLM2 135M Instruct"),
        ):
            shell.enter(line)
            await shell.said(answer)


class ZshTests(ShellCase):
    words = ("zsh", "-f")
    setup = 'autoload -U compinit; compinit -u -D; eval "$(agentctl completion zsh)"'


class FishTests(ShellCase):
    words = ("fish", "--no-config")
    setup = "agentctl completion fish | source"
