"""What agentctl lists: lines for pipes, tables for people, JSON for programs, and words for a shell that completes."""

import os
import subprocess
import sys
from importlib.util import find_spec

from msgspec import json

from llamaproxy import __version__
from llamaproxy.agentctl import cli
from llamaproxy.agentctl.command import COMMANDS
from llamaproxy.agentctl.completion import ASKED
from llamaproxy.agentctl.printer import Printer
from llamaproxy.agentctl.values import SHELLS
from llamaproxy.config import PLUGIN

from .helpers import AgentctlCase, Terminal

LISTS = ("models", "list", "port-list", "ratelimit-list", "limit-list", "history-list", "gate-list")


class JsonTests(AgentctlCase):
    def test_whatever_lists_something_lists_it_for_programs_too(self) -> None:
        for name in (*LISTS, "model-info smollm2", f"info {PLUGIN}"):
            self.assertTrue(json.decode(self.met(*name.split(), "--json")), name)

    def test_every_list_has_it(self) -> None:
        for name, entry in COMMANDS.items():
            if name.endswith("list") or name == "models":
                self.assertIn("--json", [one.flag for one in entry.parser.options], name)

    def test_models_are_told_with_state_and_cure(self) -> None:
        self.met("model-add", "x", "OPENAI", "m", "--host", "http://h/v1", "--env-key", "NO_KEY")
        default, added = json.decode(self.met("models", "--json"))
        self.assertEqual((default["key"], default["default"]), ("smollm2", True))
        self.assertEqual((added["key"], added["state"]), ("x", "key missing"))
        self.assertIn("NO_KEY", added["cure"])

    def test_nothing_in_it_acts_on_a_terminal(self) -> None:
        entry = {"type": "OPENAI", "model_id": "a\x9b2J\u202e", "host": "http://anna:s3cret@h/v1"}
        content = {"default_model": "smollm2", "models": {**self.registry()["models"], "x": entry}}
        self.home.models_file.write_bytes(json.encode(content))
        for words in (("models", "--json"), ("model-info", "x", "--json")):
            shown = self.met(*words)
            self.assertNotRegex(shown, "[\x9b\u202e]|s3cret")
            json.decode(shown)


class TableTests(AgentctlCase):
    def shown(self, name: str) -> str:
        terminal = Terminal()
        self.assertEqual(cli.run(self.home, [name], Printer(terminal, terminal)), 0)
        return terminal.getvalue()

    def test_person_at_a_terminal_sees_heads_and_colours(self) -> None:
        shown = self.shown("models")
        self.assertIn("smollm2 (default)", shown)
        self.assertIn("name there", shown)
        self.assertIn("\x1b[33m⚠\x1b[0m", shown)

    def test_pipe_gets_the_lines_alone(self) -> None:
        self.assertTrue(self.met("models").startswith("⚠ smollm2 (default)  LOCAL smollm2\n"))

    if find_spec("rich") is None:
        test_person_at_a_terminal_sees_heads_and_colours.skip = "rich is not installed"  # type: ignore[attr-defined]


class PortTests(AgentctlCase):
    def test_endpoint_that_beats_the_port_is_shown_for_it(self) -> None:
        content = self.plugins()
        content["plugin_config"][PLUGIN]["listen"] = "ssl:443:privateKey=k.pem"
        self.home.plugins_file.write_bytes(json.encode(content))
        self.assertIn("ssl:443:privateKey=k.pem  (listen)", self.met("port-list"))


class HelpTests(AgentctlCase):
    def test_help_is_in_groups(self) -> None:
        lines = self.met("help").splitlines()
        for title in ("The server", "Plugins", "Models", "Gates and limits of tools"):
            self.assertIn(title, lines)
        self.assertLess(lines.index("Models"), lines.index("  model <key>"))

    def test_version_is_told(self) -> None:
        for word in ("--version", "-V", "version"):
            self.assertEqual(self.met(word), f"agentctl {__version__}\n")

    def test_options_are_explained(self) -> None:
        self.assertIn("--anywhere", self.met("model-add", "--help"))
        self.assertIn("with or without /v1", self.met("doctor", "--help"))

    def test_optional_word_before_others_is_told_from_them(self) -> None:
        self.met("gate-set", "db", "customers", "read", "true")
        self.met("gate-set", "search", "read", "true")
        written = json.decode(self.home.gate_defaults_file.read_bytes())
        del written["$schema"]
        self.assertEqual(written, {"db": {"customers": {"read": True}}, "tools": {"search": {"read": True}}})

    def test_number_below_nought_is_no_option(self) -> None:
        self.assertIn("expected 0 or more", self.refused("max-users", "-1"))

    def test_mistyped_option_is_refused_with_the_nearest(self) -> None:
        self.assertIn("--host", self.refused("model-add", "x", "OPENAI", "m", "--hots", "http://h/v1"))


class CompletionTests(AgentctlCase):
    def completed(self, line: str) -> list[str]:
        """What bash would offer behind `line`."""
        words = line.split(" ")
        asking = {ASKED: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        done = subprocess.run(
            [sys.executable, "-m", "llamaproxy.agentctl"],
            env={**os.environ, **asking, "LLAMAPROXY_HOME": str(self.home.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return [offered.partition(",")[2] for offered in done.stdout.split()]

    def test_each_shell_gets_a_script(self) -> None:
        for shell in SHELLS:
            self.assertIn(ASKED, self.met("completion", shell))
        self.assertIn("bash, zsh, fish", self.refused("completion", "tcsh"))

    def test_words_and_profiles_are_offered(self) -> None:
        self.met("caller-add", "anna")
        self.assertEqual(self.completed("agentctl sessions "), ["list", "show", "export", "delete"])
        self.assertEqual(self.completed("agentctl caller-remove a"), ["anna"])
        self.assertEqual(self.completed("agentctl caller-set anna mod"), ["model", "models"])

    def test_subcommands_options_and_names_are_offered(self) -> None:
        self.met("model-add", "house", "OPENAI", "m", "--host", "http://h/v1")
        for line, offered in (
            ("agentctl model-en", ["model-enable"]),
            ("agentctl model-enable h", ["house"]),
            ("agentctl model-llmcall house ", ["true", "false"]),
            ("agentctl disable plugin_pro", [PLUGIN]),
            ("agentctl models --j", ["--json"]),
            ("agentctl limit-set max_tool", ["max_tool_iterations"]),
            ("agentctl gate-set d", ["db"]),
        ):
            self.assertEqual(self.completed(line), offered, line)

    def test_broken_file_offers_nothing(self) -> None:
        self.home.models_file.write_text("{")
        self.assertEqual(self.completed("agentctl model-info s"), [])


class WithoutHomeTests(AgentctlCase):
    def test_account_without_a_home_is_told_to_name_one(self) -> None:
        probe = (
            "import os; os.environ.pop('HOME', None)\n"
            "import pwd; pwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid))\n"
            "import sys; from llamaproxy.agentctl.cli import main; sys.exit(main(['models']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", probe],
            cwd=self.home.path.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))
        self.assertIn("--home", done.stderr)
