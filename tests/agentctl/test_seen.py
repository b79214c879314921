"""What `agentctl log` shows of the running server's log."""

from typing import Any

from llamaproxy.agentctl import seen
from llamaproxy.agentctl.command import Refused
from llamaproxy.config import PLUGIN, Home, Occupancy

from .helpers import AgentctlCase
from .test_setup import Stub, StubCase


class LogTests(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        self.lines: list[int] = []
        self.asked: list[str] = []
        # What comes while somebody waits, and then the server's end.
        self.coming: list[list[int]] = []
        self.patch(seen, "ask", self.ask)

    def ask(self, home: Home, method: str, path: str) -> Any:
        self.asked.append(path)
        if "wait" in path:
            if not self.coming:
                raise Refused("no server answers")
            self.lines += self.coming.pop(0)
        after = int(path.partition("after=")[2].partition("&")[0])
        return {
            "lines": [
                {"number": number, "at": 0.0, "level": "info", "text": f"line {number}"}
                for number in self.lines
                if number > after
            ]
        }

    def shown(self, output: str) -> list[str]:
        return [line.partition("line ")[2] for line in output.splitlines() if "line " in line]

    def test_the_last_ones_are_shown_as_many_as_are_wanted(self) -> None:
        self.lines = [1, 2, 3]
        for words, shown in (
            ((), ["1", "2", "3"]),
            (("-n", "2"), ["2", "3"]),
            (("-n2",), ["2", "3"]),
            (("-n", "0"), []),
            (("-n", "99"), ["1", "2", "3"]),
        ):
            self.assertEqual(self.shown(self.met("log", *words)), shown, words)

    def test_those_that_come_are_all_shown(self) -> None:
        for last, shown in (("1", ["3", "4", "5"]), ("0", ["4", "5"])):
            self.lines, self.coming = [1, 2, 3], [[4], [], [5]]
            self.assertEqual(self.shown(self.refused("log", "-n", last, "-f")), shown)

    def test_an_empty_log_is_waited_for_and_not_asked_again_and_again(self) -> None:
        self.coming = [[1]]
        self.assertEqual(self.shown(self.refused("log", "-f")), ["1"])
        self.assertEqual(self.asked, ["log?after=0", "log?after=0&wait=1", "log?after=1&wait=1"])

    def test_what_is_no_number_of_lines_is_refused(self) -> None:
        for words in (("-n", "-1"), ("-n", "x"), ("-n",), ("-n", "1.5")):
            self.assertIn("-n", self.refused("log", *words), words)
        self.assertEqual(self.asked, [])


class StrangerTests(StubCase):
    """Another program has the port at which this home's server would be."""

    def test_operators_key_is_shown_to_nobody_where_no_server_of_the_home_runs(self) -> None:
        heard: list[str | None] = []

        class Listening(Stub):
            def do_GET(self) -> None:
                heard.append(self.headers["Authorization"])
                super().do_GET()

            do_POST = do_GET

        port = self.serve(Listening).rpartition(":")[2]
        self.met("port-set", PLUGIN, port)
        # One that has ended leaves its file behind.
        server = Occupancy(self.home.lock_file)
        server.take()
        server.release()
        for words in (("trace",), ("log",), ("log", "-f"), ("console",)):
            self.assertIn("no server runs in", self.refused(*words))
        self.assertEqual(heard, [])
