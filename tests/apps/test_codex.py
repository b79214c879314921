"""codex, which speaks OpenAI's Responses."""

from . import scenes
from .app import NODE_BIN, App, missing

CONFIG = """\
model = "agent"
model_provider = "llamaproxy"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.llamaproxy]
name = "llamaproxy"
base_url = "{server}/v1"
wire_api = "responses"

[projects."{project}"]
trust_level = "trusted"
"""


class Codex(App):
    program = NODE_BIN / "codex"

    def configure(self) -> None:
        folder = self.home / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(CONFIG.format(server=self.server, project=self.project))

    def arguments(self, words: str, again: bool = False) -> list[str]:
        return ["exec", "--skip-git-repo-check", *(["resume", "--last"] if again else []), words]


class CodexTests(scenes.Scenes):
    skip = missing(Codex)
    app_type = Codex


class TrustingCodex(Codex):
    def arguments(self, words: str, again: bool = False) -> list[str]:
        first, *others = super().arguments(words, again)
        return [first, "--dangerously-bypass-approvals-and-sandbox", *others]


class CodexToolTests(scenes.ToolScenes):
    skip = missing(Codex)
    app_type = TrustingCodex
    call = ("exec_command", {"cmd": "echo hello > made.txt"})


class CodexTerminalTests(scenes.TerminalScenes):
    skip = missing(Codex)
    app_type = Codex
    prompt = "Ask Codex"


class CodexChatTests(scenes.ChatScenes):
    skip = missing(Codex)
    app_type = Codex
