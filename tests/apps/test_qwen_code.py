"""Qwen Code, which speaks OpenAI's chat completions, and looks for things to remember after each turn."""

from msgspec import json

from . import scenes
from .app import NODE_BIN, App, missing

SETTINGS = {
    "general": {"enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "security": {"auth": {"selectedType": "openai"}},
}


class QwenCode(App):
    program = NODE_BIN / "qwen"

    def configure(self) -> None:
        folder = self.home / ".qwen"
        folder.mkdir()
        (folder / "settings.json").write_bytes(json.encode(SETTINGS))

    def environment(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": f"{self.server}/v1", "OPENAI_API_KEY": "any", "OPENAI_MODEL": "agent"}

    def arguments(self, words: str, again: bool = False) -> list[str]:
        return ["-p", words, *(["--continue"] if again else [])]


class QwenCodeTests(scenes.FileScenes):
    skip = missing(QwenCode)
    app_type = QwenCode
