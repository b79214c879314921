"""TLS that is loaded when somebody speaks it. Programs of their own, since trial has loaded it."""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.sockets import tls
from tests.acceptance.test_tls import write_certificate


class LateTLSTests(SynchronousTestCase):
    def run_program(self, *arguments: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.splitlines()

    def test_every_way_to_tls_works_after_it_was_put_off(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        key, certificate = write_certificate(folder)
        self.assertEqual(
            self.run_program("-m", "tests.sockets.late", str(key), str(certificate)),
            [
                "False False",
                "wrapped hello",
                "begun hello",
                "descriptions are not known",
                "descriptions are known",
                "plain hello",
            ],
        )

    def test_client_that_is_imported_later_speaks_it(self) -> None:
        program = (
            "from llamaproxy.sockets import tls; tls.put_off();"
            "from twisted.internet import endpoints; from twisted.web.client import BrowserLikePolicyForHTTPS;"
            "print(BrowserLikePolicyForHTTPS().creatorForNetloc(b'a', 1) is not None)"
        )
        self.assertEqual(self.run_program("-c", program), ["True"])

    def test_nothing_is_put_off_where_sockets_are_loaded_already(self) -> None:
        before = {name: module for name, module in sys.modules.items() if "twisted.internet" in name}
        tls.put_off()
        tls.load()
        after = {name: module for name, module in sys.modules.items() if "twisted.internet" in name}
        self.assertEqual(before, after)
