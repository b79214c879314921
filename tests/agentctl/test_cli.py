"""The shell around the subcommands: status, colours, the prompt, and how fast it starts."""

import io
import os
import subprocess
import sys

from llamaproxy.agentctl import cli
from llamaproxy.agentctl.command import COMMANDS
from llamaproxy.agentctl.printer import Printer
from llamaproxy.config import PLUGIN

from .helpers import AgentctlCase, Terminal


class DispatchTests(AgentctlCase):
    def test_unknown_subcommand_is_refused_with_the_nearest(self) -> None:
        self.assertIn("did you mean port-set?", self.refused("prot-set"))

    def test_missing_and_surplus_arguments_are_refused_with_the_usage(self) -> None:
        usage = "usage: agentctl port-set <plugin> <port>"
        self.assertIn(usage, self.refused("port-set", PLUGIN))
        self.assertIn(usage, self.refused("port-set", PLUGIN, "1", "2"))

    def test_help_names_every_subcommand(self) -> None:
        output = self.met("help")
        for name in COMMANDS:
            self.assertRegex(output, rf"[ (]{name}\b")

    def test_help_of_one_subcommand_runs_nothing(self) -> None:
        self.assertIn("usage: agentctl disable <plugin>", self.met("disable", PLUGIN, "--help"))
        self.assertTrue(self.plugins()["plugin_config"][PLUGIN]["enabled"])

    def test_unreadable_file_is_refused(self) -> None:
        self.home.plugins_file.write_text("{")
        self.assertIn("plugins-enabled.json: line 1", self.refused("list"))


class ColourTests(AgentctlCase):
    def disable(self) -> str:
        terminal = Terminal()
        cli.run(self.home, ["disable", PLUGIN], Printer(terminal, terminal))
        return terminal.getvalue()

    def test_terminal_gets_green_for_done_and_cyan_for_restart(self) -> None:
        output = self.disable()
        self.assertIn("\x1b[32m✓", output)
        self.assertIn("\x1b[36m", output)

    def test_terminal_gets_yellow_for_nothing_to_do_and_red_for_refused(self) -> None:
        self.disable()
        self.assertTrue(self.disable().startswith("\x1b[33m"))
        terminal = Terminal()
        cli.run(self.home, ["nope"], Printer(io.StringIO(), terminal))
        self.assertTrue(terminal.getvalue().startswith("\x1b[31m✗"))

    def test_what_is_told_brings_no_colours_of_its_own(self) -> None:
        terminal = Terminal()
        printer = Printer(terminal, terminal)
        for tell in (printer.line, printer.done, printer.refused, printer.heading, printer.note):
            tell("a\x1b[8mhidden\x1b[0m")
        self.assertEqual(terminal.getvalue().count("a\\x1b[8mhidden\\x1b[0m"), 5)
        self.assertNotIn("\x1b[8m", terminal.getvalue())

    def test_no_color_and_pipes_are_plain(self) -> None:
        os.environ["NO_COLOR"] = "1"
        self.assertNotIn("\x1b", self.disable())
        self.assertNotIn("\x1b", self.met("list"))


class PromptTests(AgentctlCase):
    def prompt(self, text: str) -> tuple[int, str]:
        self.patch(sys, "stdin", io.StringIO(text))
        out = io.StringIO()
        return cli.prompt(self.home, Printer(out, out)), out.getvalue()

    def test_runs_lines_until_quit(self) -> None:
        status, output = self.prompt(f"\ndisable {PLUGIN} # for now\nquit\nenable {PLUGIN}\n")
        self.assertEqual((status, output.count("✓")), (0, 1))

    def test_goes_on_after_a_refusal_and_remembers_it(self) -> None:
        status, output = self.prompt(f"nope\nmodel 'x\ndisable {PLUGIN}\n")
        self.assertEqual(status, 1)
        self.assertIn(f"{PLUGIN} disabled", output)


class ProcessTests(AgentctlCase):
    def start(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "llamaproxy.agentctl", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_home_may_stand_before_or_after(self) -> None:
        for words in (
            ["--home", str(self.home.path), "port-list"],
            ["port-list", "--home", str(self.home.path)],
        ):
            self.assertIn("11434", self.start(*words).stdout)

    def test_refusal_goes_to_the_error_stream_with_status_1(self) -> None:
        done = self.start("--home", str(self.home.path), "model", "nope")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no model nope", done.stderr)

    def test_reader_that_has_seen_enough_is_no_failure(self) -> None:
        reads, writes = os.pipe()
        os.close(reads)
        command = [sys.executable, "-m", "llamaproxy.agentctl", "--home", str(self.home.path), "list"]
        done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, check=False)
        os.close(writes)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_home_without_a_value_is_refused(self) -> None:
        self.assertEqual(self.start("--home").returncode, 1)

    def test_heavy_modules_are_left_alone(self) -> None:
        heavy = "{'twisted', 'klein', 'treq', 'xllamacpp', 'urllib.request', 'subprocess'}"
        probe = (
            "import sys; from llamaproxy.agentctl.cli import main; "
            f"main(['--home', {str(self.home.path)!r}, 'models']); print(sorted({heavy} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.splitlines()[-1], "[]")
