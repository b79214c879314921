"""opencode, which speaks OpenAI's chat completions through the AI SDK, and asks for a title with each new chat."""

from typing import Any

from msgspec import json

from . import scenes
from .app import NODE_BIN, App, missing


class OpenCode(App):
    program = NODE_BIN / "opencode"

    def configure(self) -> None:
        folder = self.home / ".config" / "opencode"
        folder.mkdir(parents=True)
        (folder / "opencode.json").write_bytes(json.encode(self.settings()))

    def settings(self) -> dict[str, Any]:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "name": "llamaproxy",
            "options": {"baseURL": f"{self.server}/v1", "apiKey": "any"},
            "models": {"agent": {"name": "agent"}},
        }
        return {
            "autoupdate": False,
            "share": "disabled",
            "enabled_providers": ["llamaproxy"],
            "model": "llamaproxy/agent",
            "provider": {"llamaproxy": provider},
        }

    def environment(self) -> dict[str, str]:
        return {"OPENCODE_DISABLE_MODELS_FETCH": "1"}

    def arguments(self, words: str, again: bool = False) -> list[str]:
        return ["run", *(["--continue"] if again else []), words]


class OpenCodeTests(scenes.FileScenes):
    skip = missing(OpenCode)
    app_type = OpenCode

    def look_at(self, name: str) -> list[str]:
        return ["run", "--file", name, "--", "look at this"]


class OpenCodeChatTests(scenes.ChatScenes):
    skip = missing(OpenCode)
    app_type = OpenCode
