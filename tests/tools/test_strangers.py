import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import Home, load_configuration
from llamaproxy.tools.strangers import strangers
from tests.support import ScriptedTool


class StrangerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()))
        self.home.ensure()

    def told(self, **files: object) -> list[str]:
        for name, content in files.items():
            (self.home.path / f"{name.replace('_', '-')}.json").write_text(json.dumps(content))
        return list(strangers(load_configuration(self.home), self.home, [ScriptedTool("weather", "sky")]))

    def test_names_that_nothing_answers_to_are_told_with_the_one_that_was_meant(self) -> None:
        lines = self.told(
            gate_defaults={
                "tools": {"serach": {"read": True}, "fles": {"read": True}, "quux": {"read": True}}
            },
            plugins_enabled={
                "rate_limits": {"extrct": {"calls": 1, "window_seconds": 1}},
                "callers": {
                    "c": {"key": "k", "tools": ["weathr"], "gates": {"tools": {"driv": {"read": True}}}}
                },
            },
            llm_models={
                "default_model": "m",
                "models": {"m": {"type": "LOCAL", "model_id": "m", "llm_tools": ["db_qery"]}},
            },
        )
        meant = ("search", "files", "a plugin", "extract", "weather", "drive", "db_query")
        places = (
            "gate-defaults.json: tools.serach", "gate-defaults.json: tools.fles", "gate-defaults.json: tools.quux",
            "plugins-enabled.json: rate_limits.extrct", "plugins-enabled.json: callers.c.tools.weathr",
            "plugins-enabled.json: callers.c.gates.tools.driv", "llm-models.json: models.m.llm_tools.db_qery",
        )  # fmt: skip
        self.assertEqual(len(lines), len(places), lines)
        for line, place, word in zip(lines, places, meant, strict=True):
            self.assertIn(place, line)
            self.assertIn(word, line.partition("; ")[2])

    def test_what_there_is_is_not_told(self) -> None:
        names = ["*", "search", "drive", "files", "db", "system_prompt", "read_system_prompt", "llm_call", "weather",
                 "sky", "mcp_wiki", "mcp_wiki_look"]  # fmt: skip
        servers = {"servers": {"wiki": {"command": "wiki"}}}
        self.assertEqual(
            self.told(
                gate_defaults={"tools": {name: {"read": True} for name in names}},
                plugins_enabled={"enabled_plugins": ["plugin_mcp"], "plugin_config": {"plugin_mcp": servers}},
            ),
            [],
        )
