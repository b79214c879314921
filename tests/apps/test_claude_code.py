"""Claude Code, which speaks Anthropic's Messages."""

from uuid import uuid4

from msgspec import json

from . import scenes
from .app import NODE_BIN, App, missing

PROMPT = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}"


class ClaudeCode(App):
    program = NODE_BIN / "claude"

    def configure(self) -> None:
        self.chat = ""
        # What a person has answered before the first message.
        answered = {
            "hasCompletedOnboarding": True,
            "theme": "dark",
            "customApiKeyResponses": {"approved": ["any"], "rejected": []},
            "projects": {str(self.project): {"hasTrustDialogAccepted": True}},
        }
        folder = self.home / ".claude"
        folder.mkdir()
        (folder / ".claude.json").write_bytes(json.encode(answered))

    def environment(self) -> dict[str, str]:
        return {
            "ANTHROPIC_BASE_URL": self.server,
            "ANTHROPIC_API_KEY": "any",
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
        }

    def arguments(self, words: str, again: bool = False) -> list[str]:
        if again:
            return ["-p", words, "--resume", self.chat]
        self.chat = str(uuid4())
        return ["-p", words, "--session-id", self.chat]


class ClaudeCodeTests(scenes.FileScenes):
    skip = missing(ClaudeCode)
    app_type = ClaudeCode


class TrustingClaudeCode(ClaudeCode):
    def arguments(self, words: str, again: bool = False) -> list[str]:
        return [*super().arguments(words, again), "--allowedTools", "Bash"]


class ClaudeCodeToolTests(scenes.ToolScenes):
    skip = missing(ClaudeCode)
    app_type = TrustingClaudeCode
    call = ("Bash", {"command": "echo hello > made.txt", "description": "Makes it"})


class ClaudeCodeTerminalTests(scenes.TerminalScenes):
    skip = missing(ClaudeCode)
    app_type = ClaudeCode
    prompt = PROMPT


class ClaudeCodeChatTests(scenes.ChatScenes):
    skip = missing(ClaudeCode)
    app_type = ClaudeCode
