"""What the operator reads about keys and commands is what there is: no more, no less, with the right defaults."""

import re
from pathlib import Path

from msgspec import NODEFAULT, Struct, json
from msgspec.structs import fields
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from llamaproxy.agent.commands import commands as _filled  # noqa: F401
from llamaproxy.agent.commands.table import TABLE
from llamaproxy.agentctl import cli  # noqa: F401, by being imported it fills the table
from llamaproxy.agentctl.command import COMMANDS
from llamaproxy.agentctl.manifest import Plugin, load_manifest
from llamaproxy.config import FrontDoor, GateDefaults, Home, ModelEntry, Profile, Settings
from llamaproxy.config.load import OF_PLUGINS
from llamaproxy.config.schema import DepthLimits, RateLimit
from llamaproxy.config.tools import PREFIX, DbQuery, Files, McpServer, Search, UrlExtract

_SECTIONS: dict[str, type[Struct]] = {
    "The server": FrontDoor,
    "Callers": Profile,
    "Limits": Settings,
    "Rate limits": RateLimit,
    "plugin_db_query": DbQuery,
    "plugin_search_ddgs and plugin_search_tavily": Search,
    "plugin_url_extract": UrlExtract,
    "plugin_files": Files,
    "plugin_mcp": McpServer,
    "Gates": GateDefaults,
    "Models": ModelEntry,
    "Depth limits": DepthLimits,
    "Other plugins": Plugin,
}
_ROW = re.compile(r"^\| `(\w+)` \|\s*(.*?)\s*\|", re.MULTILINE)


def read(name: str) -> str:
    """A file of the checkout."""
    path = Path(__file__).parent.parent / name
    if not path.exists():
        raise SkipTest("the documents are in a checkout only")
    return path.read_text("utf-8")


class KeyTests(SynchronousTestCase):
    def sections(self) -> dict[str, dict[str, str]]:
        """The cell with the default by key, for each heading of the configuration's document."""
        parts = re.split(r"^##+ (.+)\n", read("docs/configuration.md"), flags=re.MULTILINE)
        return {title: dict(_ROW.findall(text)) for title, text in zip(parts[1::2], parts[2::2], strict=True)}

    def test_every_key_is_documented_and_no_other(self) -> None:
        sections = self.sections()
        for title, struct in _SECTIONS.items():
            known = set(struct.__struct_encode_fields__) - set(OF_PLUGINS if struct is Settings else ())
            self.assertEqual(set(sections[title]), known, title)

    def test_defaults_are_those_of_the_schema(self) -> None:
        sections = self.sections()
        for title, struct in _SECTIONS.items():
            for field in fields(struct):
                cell = sections[title].get(field.encode_name)
                if cell is None:  # the test above sees to it
                    continue
                if field.required:
                    self.assertEqual(cell, "*required*", field.name)
                elif cell.startswith("`") and cell.endswith("`"):
                    self.assertEqual(
                        json.decode(cell.strip("`")), json.decode(json.encode(field.default)), field.name
                    )
                else:  # in words, what holds where nothing is set
                    self.assertIn(field.default, (None, "", (), NODEFAULT), field.name)

    def test_every_tool_that_comes_with_us_is_named(self) -> None:
        text = read("docs/configuration.md")
        for name in load_manifest(Home(Path(self.mktemp()))):
            self.assertIn(name.replace(PREFIX, "plugin_"), text)


class CommandTests(SynchronousTestCase):
    def documented(self) -> str:
        return read("docs/commands.md").replace("\\|", "|")

    def test_every_chat_command_is_documented_with_its_usage(self) -> None:
        text = self.documented()
        for entry in TABLE.values():
            self.assertIn(f"`!{entry.name}`" if entry.hidden else f"`{entry.line}`", text)

    def test_every_subcommand_is_documented_with_its_usage(self) -> None:
        text = self.documented()
        for entry in COMMANDS.values():
            self.assertIn(f"`{entry.usage}`", text)
            for alias in entry.aliases:
                self.assertIn(f"`{alias}`", text)
