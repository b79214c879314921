"""The home folder: where it is found, what it holds on the first start, how `.env` is read."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home, find_home, load_registry, load_settings


class FindHomeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cwd = Path(self.mktemp()).absolute()
        self.cwd.mkdir(parents=True)

    def test_option_beats_environment(self) -> None:
        self.assertEqual(find_home("/a", {"LLAMAPROXY_HOME": "/b"}, self.cwd), Path("/a"))

    def test_environment_beats_a_working_folder_that_is_a_home(self) -> None:
        (self.cwd / "plugins-enabled.json").touch()
        self.assertEqual(find_home(None, {"LLAMAPROXY_HOME": "/b"}, self.cwd), Path("/b"))

    def test_working_folder_counts_only_with_its_plugins_file(self) -> None:
        self.assertEqual(find_home(None, {"HOME": "/u"}, self.cwd), Path("/u/.llamaproxy"))
        (self.cwd / "plugins-enabled.json").touch()
        self.assertEqual(find_home(None, {"HOME": "/u"}, self.cwd), self.cwd)

    def test_relative_option_counts_from_the_working_folder(self) -> None:
        self.assertEqual(find_home("mine", {}, self.cwd), self.cwd / "mine")

    def test_empty_option_and_variable_are_as_good_as_none(self) -> None:
        self.assertEqual(
            find_home("", {"LLAMAPROXY_HOME": "", "HOME": "/u"}, self.cwd), Path("/u/.llamaproxy")
        )


class EnsureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()) / "deep" / "home")

    def test_first_start_makes_a_home_that_the_server_can_load(self) -> None:
        self.home.ensure()
        door, registry = load_settings(self.home).front_door, load_registry(self.home)
        self.assertEqual((door.enabled, door.llama_port, door.llama_host), (True, 11434, "0.0.0.0"))
        self.assertEqual(registry.default_model, "smollm2")
        self.assertEqual(registry.models["smollm2"].type, "LOCAL")

    def test_folder_is_for_its_owner_only(self) -> None:
        self.home.ensure()
        self.assertEqual(self.home.path.stat().st_mode & 0o777, 0o700)

    def test_what_is_there_stays(self) -> None:
        self.home.path.mkdir(parents=True)
        self.home.plugins_file.write_text("mine")
        self.home.ensure()
        self.assertEqual(self.home.plugins_file.read_text(), "mine")
        self.assertTrue(self.home.models_file.exists())

    def test_a_place_where_no_folder_can_be_is_a_config_error(self) -> None:
        self.home.path.parent.mkdir(parents=True)
        self.home.path.touch()
        error = self.assertRaises(ConfigError, self.home.ensure)
        self.assertIn("--home", str(error))


class EnvTests(SynchronousTestCase):
    def read(self, text: str) -> dict[str, str]:
        home = Home(Path(self.mktemp()))
        home.path.mkdir(parents=True)
        home.env_file.write_text(text)
        return home.read_env()

    def test_no_file_is_an_empty_environment(self) -> None:
        self.assertEqual(Home(Path(self.mktemp())).read_env(), {})

    def test_assignments_exports_and_comments(self) -> None:
        text = (
            "# keys\nA=1\n  export B = two words  \n\nC=x#y # comment\nD=\nE= # nothing\nnot an assignment\n"
        )
        self.assertEqual(self.read(text), {"A": "1", "B": "two words", "C": "x#y", "D": "", "E": ""})

    def test_quotes_keep_spaces_and_hashes(self) -> None:
        self.assertEqual(self.read('A=\'a # \\n\'\nB="b \\" # \\n" # c'), {"A": "a # \\n", "B": 'b " # \n'})

    def test_a_value_may_hold_equal_signs(self) -> None:
        self.assertEqual(self.read("URL=postgres://h/d?a=b"), {"URL": "postgres://h/d?a=b"})

    def test_later_assignment_wins(self) -> None:
        self.assertEqual(self.read("A=1\nA=2"), {"A": "2"})

    def test_unreadable_file_is_a_config_error_that_names_it(self) -> None:
        home = Home(Path(self.mktemp()))
        os.makedirs(home.env_file)
        self.assertIn(str(home.env_file), str(self.assertRaises(ConfigError, home.read_env)))
