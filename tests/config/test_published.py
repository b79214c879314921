"""The schemas for editors say of the operator's files what the loader says."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from llamaproxy.config import (
    ConfigError,
    FrontDoor,
    GateDefaults,
    Home,
    ModelEntry,
    Profile,
    Settings,
    load_gates,
    load_registry,
    load_settings,
)
from llamaproxy.config.home import schema_file
from llamaproxy.config.load import OF_PLUGINS
from llamaproxy.config.published import schemas
from llamaproxy.config.schema import Budget, DepthLimits, RateLimit, SessionsKeep, TurnRate
from llamaproxy.config.tools import DbQuery, Files, Mcp, McpServer, Search, UrlExtract, load_tool_settings

PLUGINS, MODELS, GATES = "plugins-enabled.json", "llm-models.json", "gate-defaults.json"
DOOR = "plugin_proxy_llama"
ENTRY = {"type": "LOCAL", "model_id": "m"}
# One of each kind, and some that are nearly right.
PROBES: tuple[Any, ...] = (
    "text", "", 5, 0, -1, 0.5, True, None, [], ["text"], [5], [None], {}, {"a": "text"}, {"a": 5}, {"a": True},
    {"a": {"read": True}}, {"a": {"read": 1}}, {"a": {"reed": True}}, {"read": True}, {"a": {}},
)  # fmt: skip


def in_tool(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The file with that block."""
    return lambda block: {"enabled_plugins": [name], "plugin_config": {name: block}}


# Where a struct's keys stand: the file, what they stand in there, and what has to stand beside them.
PLACES: tuple[tuple[Any, str, Callable[[dict[str, Any]], dict[str, Any]], dict[str, Any]], ...] = (
    (FrontDoor, PLUGINS, in_tool(DOOR), {}),
    (FrontDoor, PLUGINS, lambda block: {"enabled_plugins": [DOOR], DOOR: block}, {}),
    (SessionsKeep, PLUGINS, lambda block: in_tool(DOOR)({"sessions_keep": block}), {}),
    (Profile, PLUGINS, lambda block: {"callers": {"c": block}}, {"key": "k", "from": ["10.0.0.0/8"]}),
    (
        TurnRate,
        PLUGINS,
        lambda block: {"callers": {"c": {"key": "k", "rate": block}}},
        {"turns": 1, "seconds": 1},
    ),
    (Budget, PLUGINS, lambda block: {"callers": {"c": {"key": "k", "budget": block}}}, {}),
    (Settings, PLUGINS, lambda block: block, {}),
    (
        RateLimit,
        PLUGINS,
        lambda block: {"rate_limits": {"search": block}},
        {"calls": 1, "window_seconds": 1},
    ),
    (DbQuery, PLUGINS, in_tool("plugin_db_query"), {}),
    (Search, PLUGINS, in_tool("plugin_search_ddgs"), {}),
    (UrlExtract, PLUGINS, in_tool("plugin_url_extract"), {}),
    (Files, PLUGINS, in_tool("plugin_files"), {}),
    (Mcp, PLUGINS, in_tool("plugin_mcp"), {}),
    (McpServer, PLUGINS, lambda block: in_tool("plugin_mcp")({"servers": {"s": block}}), {"command": "x"}),
    (ModelEntry, MODELS, lambda block: {"default_model": "m", "models": {"m": block}}, ENTRY),
    (DepthLimits, MODELS, lambda block: {"default_model": "m", "models": {"m": ENTRY}, "limits": block}, {}),
    (GateDefaults, GATES, lambda block: block, {}),
)


class PublishedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        self.first = {file.name: file.read_text() for file in self.home.path.glob("*.json")}
        self.published = {name: json.loads(schema_file(name).read_text()) for name in schemas()}
        self.validators = {name: Draft202012Validator(schema) for name, schema in self.published.items()}

    def loads(self, name: str, content: Any) -> str:
        """What the loader says of a file; "" if it takes it."""
        (self.home.path / name).write_text(json.dumps(content))
        try:
            load_settings(self.home)
            load_tool_settings(self.home)
            load_registry(self.home)
            load_gates(self.home)
        except ConfigError as error:
            return str(error)
        finally:
            (self.home.path / name).write_text(self.first.get(name, "{}"))
        return ""

    def holds(self, name: str, content: Any) -> bool:
        """Whether a file is as its schema says."""
        return self.validators[name].is_valid(content)


class PublishedTests(PublishedCase):
    def test_what_lies_in_the_package_is_made_of_the_structs_of_today(self) -> None:
        for name, schema in schemas().items():
            Draft202012Validator.check_schema(schema)
            # As values: in which order msgspec gives the words of a schema depends on its version.
            made = json.loads(json.dumps(schema))
            self.assertEqual(
                json.loads(schema_file(name).read_text("utf-8")),
                made,
                "python -m llamaproxy.config.published",
            )

    def test_every_key_of_the_loader_is_in_the_schema_and_no_other(self) -> None:
        for struct, name, place, beside in PLACES:
            known = set(struct.__struct_encode_fields__) - set(OF_PLUGINS if struct is Settings else ())
            at = self.place_of(self.published[name], place({**beside, "probe": 1}))
            more = {"$schema", "enabled_plugins", "plugin_config", "callers", "enabled", *self.blocks()}
            self.assertEqual(set(at) - more, known - more, struct.__name__)

    def blocks(self) -> set[str]:
        properties = self.published[PLUGINS]["properties"]
        return set(properties["plugin_config"]["properties"])

    def place_of(self, schema: Any, content: Any) -> dict[str, Any]:
        """The properties where the key `probe` stands in `content`."""
        root = schema
        while "probe" not in content:
            (key,) = [k for k, v in content.items() if isinstance(v, dict) and '"probe"' in json.dumps(v)]
            schema, content = (
                schema.get("properties", {}).get(key) or schema["additionalProperties"],
                content[key],
            )
            while "$ref" in schema or "anyOf" in schema:
                schema = (
                    schema["anyOf"][0] if "anyOf" in schema else root["$defs"][schema["$ref"].split("/")[-1]]
                )
        return dict(schema["properties"])

    def test_what_the_loader_refuses_by_its_type_the_schema_refuses_and_takes_what_it_takes(self) -> None:
        tried = 0
        for struct, name, place, beside in PLACES:
            known = set(struct.__struct_encode_fields__) - set(OF_PLUGINS if struct is Settings else ())
            for key in sorted(known - {"callers"}):
                for probe in PROBES:
                    content = place({**beside, key: probe})
                    said, told = self.loads(name, content), f"{struct.__name__}.{key} = {probe!r}"
                    tried += 1
                    if self.holds(name, content):
                        # What else there is to say is about words, not about their type.
                        self.assertTrue(not said or self.is_about_words(said, probe), f"{told}: {said}")
                    else:
                        self.assertNotEqual(said, "", f"{told}: only the schema refuses it")
        self.assertGreater(tried, 2000)

    @staticmethod
    def is_about_words(said: str, probe: Any) -> bool:
        """Whether a complaint is one about the words of a text, or about what goes together."""
        return (
            isinstance(probe, str | list)
            or probe is None
            or re.search(r"either a command or a url|makes embeddings|is disabled|expected a key", said)
            is not None
        )

    def test_files_that_are_not_what_they_should_be_are_refused(self) -> None:
        for name, content in (
            (PLUGINS, {"enabled_plugins": {}}),
            (PLUGINS, {"enabled_plugins": "plugin_proxy_llama"}),
            (PLUGINS, {"enabled_plugins": [], "plugin_config": []}),
            (PLUGINS, {"enabled_plugins": [], "plugin_config": {DOOR: 5}}),
            (PLUGINS, {"callers": []}),
            (PLUGINS, {"callers": {"c": {"key": "k", "no_such": 1}}}),
            (PLUGINS, {"callers": {"c": {"key": "k", "rate": {"turns": 1}}}}),
            (MODELS, {"models": {"m": ENTRY}}),
            (MODELS, {"default_model": "m", "models": []}),
            (MODELS, {"default_model": "m", "models": {"m": []}}),
            (MODELS, {"default_model": "m", "models": {"m": {"type": "LOCAL"}}}),
            (MODELS, {"default_model": 1, "models": {"m": ENTRY}}),
            (GATES, {"db": {"t": {"reed": True}}}),
            (GATES, {"tools": {"t": True}}),
            (GATES, []),
        ):
            self.assertFalse(self.holds(name, content), content)
            self.assertNotEqual(self.loads(name, content), "", content)

    def test_new_files_name_their_schema(self) -> None:
        for file in (self.home.plugins_file, self.home.models_file):
            content = json.loads(file.read_text())
            self.assertEqual(next(iter(content)), "$schema")
            named = Path(unquote(urlsplit(content["$schema"]).path))
            self.assertEqual(json.loads(named.read_text()), self.published[file.name])
            self.assertEqual(self.loads(file.name, content), "")
            self.assertTrue(self.holds(file.name, content))


class ExampleTests(PublishedCase):
    def examples(self) -> Iterator[tuple[str, Any]]:
        """Each file of which a page shows a part, as it would be."""
        docs = Path(__file__).parent.parent.parent / "docs"
        if not docs.exists():
            raise SkipTest("the documents are in a checkout only")
        for page in ("configuration.md", "many-machines.md", "plugins.md"):
            for text in re.findall(
                r"^```json\n(.*?)^```", (docs / page).read_text(), re.DOTALL | re.MULTILINE
            ):
                whole = text if text.startswith("{") else f"{{{text}}}"
                content = json.loads(whole.replace("sha256:...", f"sha256:{'0' * 64}"))
                if "models" in content:
                    yield MODELS, {"default_model": next(iter(content["models"])), **content}
                else:
                    yield GATES if {"db", "tools"} & set(content) else PLUGINS, content

    def test_examples_of_the_pages_hold(self) -> None:
        found = list(self.examples())
        self.assertGreaterEqual(len(found), 4)
        for name, content in found:
            problems = [
                each.message for each in Draft202012Validator(self.published[name]).iter_errors(content)
            ]
            self.assertEqual(problems, [], content)
            self.assertEqual(self.loads(name, content), "", content)
