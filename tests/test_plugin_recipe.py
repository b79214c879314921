"""The examples of `docs/plugins.md`, as somebody would have them who follows the page."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from llamaproxy import plugins
from llamaproxy.agentctl.manifest import dropped_in
from llamaproxy.config import Home, load_registry
from llamaproxy.config.tools import load_tool_settings
from llamaproxy.models.python.model import PythonModel
from llamaproxy.models.registry import build_models, model_context
from llamaproxy.seams.interfaces import IModel, ITool
from llamaproxy.seams.types import Message, ModelRequest, ToolContext
from llamaproxy.tools.registry import Tools, Workshop, load_tools, troubles
from tests.models.fakes import Listener

CONTEXT = ToolContext(session_id="s", address="a", reactor=None)
CHECKOUT = Path(__file__).parent.parent


def page() -> str:
    path = CHECKOUT / "docs" / "plugins.md"
    if not path.exists():
        raise SkipTest("the documents are in a checkout only")
    return path.read_text("utf-8")


def examples() -> dict[str, str]:
    """The Python files of the page."""
    return dict(re.findall(r"^```python (\w+\.py)\n(.*?)^```", page(), re.DOTALL | re.MULTILINE))


class RecipeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        plugins.__path__.append(str(self.folder))
        self.addCleanup(plugins.__path__.remove, str(self.folder))
        self.clock = Clock()

    def drop_in(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text or examples()[name])
        module = f"llamaproxy.plugins.{Path(name).stem}"
        self.addCleanup(sys.modules.pop, module, None)
        self.addCleanup(vars(plugins).pop, Path(name).stem, None)

    def enable(self, name: str, **settings: Any) -> None:
        content = {"enabled_plugins": ["plugin_proxy_llama", name], "plugin_config": {name: settings}}
        self.home.plugins_file.write_text(json.dumps(content))

    def workshop(self, **environ: str) -> Workshop:
        return Workshop(reactor=self.clock, environ=environ.get, home=self.home.path)

    def load(self, **environ: str) -> Tools:
        return load_tools(load_tool_settings(self.home), self.workshop(**environ))


class Shelf:
    def __init__(self) -> None:
        self.removed: list[str] = []

    def add(self, tool: ITool) -> None:
        raise AssertionError("nothing new came")

    def remove(self, name: str) -> None:
        self.removed.append(name)


class ToolTests(RecipeCase):
    def test_the_smallest_tool(self) -> None:
        self.drop_in("dice.py")
        self.enable("plugin_dice")
        (dice,) = self.load().fixed
        self.assertTrue(verifyObject(ITool, dice))
        self.assertIn("in all", self.successResultOf(dice.run({"count": 3}, CONTEXT)))

    def test_a_tool_has_settings_variables_a_folder_and_a_life(self) -> None:
        self.drop_in("weather.py")
        self.enable("plugin_weather", town="Rome", enabled=True)
        tools = self.load(WEATHER_KEY="k")
        (weather,) = tools.fixed
        tools.start(Shelf())
        self.assertEqual(self.successResultOf(weather.run({}, CONTEXT)), "sunny in Rome")
        folder = self.home.path / "plugin-data" / "weather"
        self.assertEqual(((folder / "last.txt").is_file(), folder.stat().st_mode & 0o777), (True, 0o700))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.successResultOf(tools.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_without_a_description_is_listed(self) -> None:
        text = re.sub(r"    description = .*\n", "", examples()["dice.py"])
        self.drop_in("dice.py", text)
        self.assertEqual(dropped_in()["plugin_dice"].description, "")

    def test_what_is_wrong_with_one_is_told_in_a_line(self) -> None:
        self.drop_in("weather.py")
        self.drop_in("broken.py", "import no_such_module\n")
        self.drop_in("leaving.py", "raise SystemExit(3)\n")
        self.drop_in("nameless.py", examples()["dice.py"].replace('    name = "dice"\n', ""))
        half = examples()["dice.py"].replace("    timeout = 5.0\n", "").replace('"dice"', '"half"')
        self.drop_in("half.py", half)
        for name, settings, environ, expected in (
            (
                "plugin_weather",
                {"town": "Rome"},
                {},
                "plugin_weather is left out: ValueError: WEATHER_KEY is not set",
            ),
            ("plugin_weather", {}, {"WEATHER_KEY": "k"}, "missing required field `town`"),
            ("plugin_weather", {"town": "Rome", "twon": 1}, {"WEATHER_KEY": "k"}, "unknown field `twon`"),
            (
                "plugin_broken",
                {},
                {},
                "broken.py cannot be imported: ModuleNotFoundError: No module named 'no_such",
            ),
            ("plugin_leaving", {}, {}, "leaving.py cannot be imported: SystemExit: 3"),
            ("plugin_nameless", {}, {}, "nameless has a tool without a name"),
            ("plugin_half", {}, {}, "plugin_half is left out: .*timeout"),
            ("plugin_gone", {}, {}, "plugin_gone is enabled, and no plugin of that name"),
            ("plugin_wether", {}, {}, "did you mean plugin_weather"),
        ):
            self.enable(name, **settings)
            with capturedLogs() as events:
                self.assertEqual(self.load(**environ).fixed, [], name)
            (line,) = (formatEvent(event) for event in events)
            self.assertRegex(line, expected)
            self.assertNotIn("\n", line)
            # The doctor says the same.
            self.assertEqual(troubles(load_tool_settings(self.home), self.workshop(**environ)), [line])

    def test_one_that_cannot_start_is_taken_away_and_one_that_cannot_stop_holds_nobody_up(self) -> None:
        text = examples()["weather.py"].replace("self._looking.start(", "raise OSError('no net'); (")
        text = text.replace(
            "        if self._looking.running:",
            "        from twisted.internet.defer import Deferred\n        return Deferred()\n        if True:",
        )
        self.drop_in("weather.py", text)
        self.enable("plugin_weather", town="Rome")
        tools, shelf = self.load(WEATHER_KEY="k"), Shelf()
        with capturedLogs() as events:
            tools.start(shelf)
        self.assertEqual(
            formatEvent(events[0]), "plugin_weather cannot start and is left out: OSError: no net"
        )
        self.assertEqual(shelf.removed, ["weather"])
        ended = tools.stop()
        self.assertNoResult(ended)
        self.clock.advance(5)
        self.successResultOf(ended)


class ModelTests(RecipeCase, TestCase):
    def models(self, text: str) -> dict[str, IModel]:
        """The models of the entry on the page."""
        (entry,) = (
            each
            for each in re.findall(r"^```json\n(\"models\".*?)^```", page(), re.DOTALL | re.MULTILINE)
            if text in each
        )
        content = json.loads(f"{{{entry}}}")
        self.home.models_file.write_text(
            json.dumps({"default_model": next(iter(content["models"])), **content})
        )
        from twisted.internet import reactor

        return build_models(load_registry(self.home), model_context(reactor, lambda name: None, self.home))

    async def answer(self, model: IModel) -> str:
        listener = Listener()
        await model.start()
        await model.chat(ModelRequest(messages=[Message(role="user", content="one two")]), listener)
        await model.stop()
        return listener.text

    async def test_a_type_of_models(self) -> None:
        self.drop_in("echo.py")
        self.assertEqual(await self.answer(self.models("ECHO")["parrot"]), "You said: one two")

    async def test_an_agent(self) -> None:
        (self.home.path / "counting.py").write_text(examples()["counting.py"])
        self.addCleanup(sys.modules.pop, "counting", None)
        model = self.models("PYTHON")["counting"]
        self.assertIsInstance(model, PythonModel)
        self.assertEqual(await self.answer(model), "2 words, and 1 messages so far. Bye!")


class PackageTests(SynchronousTestCase):
    def test_the_package_of_the_page_is_found_where_it_is_installed(self) -> None:
        source, target = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        (source / "llamaproxy" / "plugins").mkdir(parents=True)
        (toml,) = re.findall(r"^```toml\n(.*?)^```", page(), re.DOTALL | re.MULTILINE)
        # What is there need not be asked for.
        (source / "pyproject.toml").write_text(toml.replace('dependencies = ["llamaproxy"]\n', ""))
        (source / "llamaproxy" / "plugins" / "weather.py").write_text(examples()["weather.py"])
        installed = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--disable-pip-version-check",
             "--target", str(target), str(source)],
            capture_output=True, text=True,
        )  # fmt: skip
        if "No matching distribution" in installed.stderr or "onnection" in installed.stderr:
            raise SkipTest("pip cannot fetch here what packages are built with")
        self.assertEqual(installed.returncode, 0, installed.stderr)
        found = subprocess.run(
            [sys.executable, "-c", "from llamaproxy.tools.registry import plugin_tools; print(*plugin_tools().tools)"],
            env={"PYTHONPATH": f"{target}:{CHECKOUT}"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.assertIn("weather", found.stdout.split())
