"""`agentctl doctor`: against a server that works, one that does not, and none."""

import http.server
import io
import json
import threading
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.threads import deferToThread

from llamaproxy.agentctl import cli
from llamaproxy.agentctl.command import Refused
from llamaproxy.agentctl.printer import Printer
from llamaproxy.agentctl.running import address_of
from llamaproxy.config import PLUGIN, FrontDoor, Home
from tests.clients.live import LiveCase
from tests.machine import free_port

from .helpers import AgentctlCase, Terminal


class LiveServerTests(LiveCase):
    async def doctor(self, *words: str, terminal: type[io.StringIO] = io.StringIO) -> tuple[int, str]:
        home, out = Home(Path(self.mktemp())), terminal()
        status = await deferToThread(cli.run, home, ["doctor", *words], Printer(out, out))
        return status, out.getvalue()

    async def test_every_client_works_with_a_real_server(self) -> None:
        status, said = await self.doctor(self.url)
        self.assertEqual(status, 0, said)
        self.assertIn("✓ Enchanted  (enchanted)", said)
        self.assertIn("✓ all 21 work", said)
        self.assertNotIn("\x1b", said)
        self.assertEqual(self.model.requests, [])

    async def test_one_client_can_be_chosen_and_v1_left_on_the_address(self) -> None:
        status, said = await self.doctor("--client", "enchanted", f"{self.url}/v1")
        self.assertEqual((status, said.count("✓")), (0, 2), said)

    async def test_terminal_sees_colours(self) -> None:
        _, said = await self.doctor("--client", "reins", self.url, terminal=Terminal)
        self.assertIn("\x1b[32m✓\x1b[0m", said)


class Broken(http.server.BaseHTTPRequestHandler):
    """A server that knows nothing but its home page."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Keeps quiet."""


class OtherServerTests(AgentctlCase):
    def test_failing_clients_are_named_with_call_and_field(self) -> None:
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                said = self.refused("doctor", f"http://127.0.0.1:{server.server_port}")
            finally:
                server.shutdown()
                thread.join()
        self.assertIn("✗ Enchanted  (enchanted)\n    GET /api/tags: status: 501 instead of 200", said)
        self.assertIn("✗ 21 of 21 clients would fail", said)

    def test_nobody_there_is_said_in_one_line(self) -> None:
        port = free_port("127.0.0.1")
        said = self.refused("doctor", f"http://127.0.0.1:{port}")
        self.assertEqual(said.count("\n"), 1)
        self.assertIn(f"nothing to talk to at http://127.0.0.1:{port}: Connection refused", said)

    def test_without_an_address_it_is_the_homes_own(self) -> None:
        port = free_port("127.0.0.1")
        self.met("port-set", PLUGIN, str(port))
        self.assertIn(f"http://127.0.0.1:{port}", self.refused("doctor"))

    def test_what_is_odd_about_the_home_is_told_whether_its_server_runs_or_not(self) -> None:
        self.met("port-set", PLUGIN, str(free_port("127.0.0.1")))
        content = self.plugins()
        content["enabled_plugins"] += ["plugin_fils", "plugin_search_tavily"]
        content["max_usrs"] = 3
        self.home.plugins_file.write_text(json.dumps(content))
        self.home.gate_defaults_file.write_text('{"tools": {"serach": {"read": true}}}')
        said = self.refused("doctor")
        for expected in (
            "did you mean plugin_files?",
            "plugin_search_tavily is left out: it needs TAVILY_API_KEY",
            "did you mean max_users?",
            "did you mean search?",
        ):
            self.assertEqual(said.count(expected), 1, said)
        self.assertNotIn("fils", self.refused("doctor", "http://127.0.0.1:1"))

    def test_address_follows_what_the_server_listens_on(self) -> None:
        for door, url in (
            (FrontDoor(llama_host="192.168.1.5", llama_port=80), "http://192.168.1.5:80"),
            (FrontDoor(llama_host="::"), "http://[::1]:11434"),
            (FrontDoor(listen="ssl:443:privateKey=k.pem"), "https://127.0.0.1:443"),
            (FrontDoor(listen="tcp6:port=8080"), "http://[::1]:8080"),
        ):
            self.assertEqual(address_of(door), url)
        self.assertRaises(Refused, address_of, FrontDoor(listen="unix:/tmp/x"))

    def test_unknown_clients_and_no_addresses_are_refused(self) -> None:
        self.assertIn("there is open-webui-openai, ", self.refused("doctor", "--client", "nobody"))
        for url in ("ftp://host", "http://host:port", "http://"):
            self.assertIn(url, self.refused("doctor", url))

    def test_silent_server_is_a_fault_of_the_call(self) -> None:
        with (
            mock.patch("llamaproxy.doctor.visit.PATIENCE", 0.2),
            http.server.HTTPServer(("127.0.0.1", 0), Broken) as server,
        ):
            # It listens, and nobody accepts.
            said = self.refused("doctor", "--client", "reins", f"127.0.0.1:{server.server_port}")
        self.assertIn("GET /api/tags: nothing came for 0 seconds", said)
