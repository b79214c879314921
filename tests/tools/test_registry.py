"""Which tools are loaded: those that are enabled, complete, and ours or dropped in."""

import os
import subprocess
import sys
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from llamaproxy.config.tools import ToolSettings
from llamaproxy.seams.interfaces import ITool
from llamaproxy.tools import registry
from llamaproxy.tools.manifest import BUILT_IN, Card
from llamaproxy.tools.registry import Theirs, Workshop, load_tools
from tests.support import ScriptedTool


class RegistryTests(SynchronousTestCase):
    def load(self, *enabled: str, **environ: str) -> list[str]:
        workshop = Workshop(reactor=Clock(), environ=environ.get, home=Path(self.mktemp()))
        tools = load_tools(ToolSettings(enabled=enabled), workshop).fixed
        for tool in tools:
            verifyObject(ITool, tool)
        return [tool.name for tool in tools]

    def test_enabled_ones_in_their_order(self) -> None:
        self.assertEqual(self.load("get_system_info", "db_query"), ["get_system_info", "db_query"])

    def test_one_without_its_package_is_left_out_with_a_warning(self) -> None:
        card = Card("", packages=("no-such-package",))
        self.patch(registry, "BUILT_IN", {**BUILT_IN, "db_query": card})
        with capturedLogs() as events:
            self.assertEqual(self.load("db_query", "get_system_info"), ["get_system_info"])
        self.assertEqual((events[0]["plugin"], events[0]["missing"]), ("plugin_db_query", "no-such-package"))

    def test_one_without_its_key_is_left_out(self) -> None:
        with capturedLogs() as events:
            self.assertEqual(self.load("search_tavily"), [])
        self.assertEqual(events[0]["missing"], "TAVILY_API_KEY")
        self.assertEqual(self.load("search_tavily", TAVILY_API_KEY="k"), ["search_tavily"])

    def test_plugins_of_others_are_found_by_their_tools_names(self) -> None:
        class Weather(ScriptedTool):
            pass

        self.patch(registry, "plugin_tools", lambda: Theirs({"weather": Weather("weather")}))
        workshop = Workshop(reactor=Clock(), environ=os.environ.get, home=Path(self.mktemp()))
        loaded = load_tools(ToolSettings(enabled=("proxy_llama", "weather", "nope")), workshop).fixed
        self.assertEqual([type(tool) for tool in loaded], [Weather])

    def test_nothing_heavy_is_loaded_with_the_server(self) -> None:
        program = (
            "import sys; from pathlib import Path; from twisted.internet.task import Clock;"
            "from llamaproxy.tools.manifest import BUILT_IN; from llamaproxy.config.tools import ToolSettings;"
            "from llamaproxy.tools.registry import Workshop, load_tools;"
            "load_tools(ToolSettings(enabled=tuple(BUILT_IN)),"
            " Workshop(reactor=Clock(), environ=lambda name: 'x', home=Path('/')));"
            "print(*{'sqlglot', 'trafilatura', 'mcp', 'ddgs', 'lxml', 'pg8000', 'pydantic'} & {*sys.modules})"
        )
        loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        self.assertEqual(loaded.stdout.strip(), "")
