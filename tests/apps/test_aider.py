"""aider, which speaks OpenAI's chat completions, and begins every chat with a worked example of its own."""

import os
from shutil import which

from msgspec import json
from twisted.internet.utils import getProcessOutput

from tests.acceptance.upstream import Call

from . import scenes
from .app import FOLDER, App, missing
from .case import SLOWLY, AppCase, told

MODEL = {
    "openai/agent": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 32768,
        "max_output_tokens": 8192,
    }
}


class Aider(App):
    program = FOLDER / ".venv" / "bin" / "aider"

    def configure(self) -> None:
        # Without it aider would look for the model's sizes on the internet.
        self.sizes = self.home / "sizes.json"
        self.sizes.write_bytes(json.encode(MODEL))

    def environment(self) -> dict[str, str]:
        return {
            "OPENAI_API_BASE": f"{self.server}/v1",
            "OPENAI_API_KEY": "any",
            "AIDER_ANALYTICS": "false",
            "AIDER_CHECK_UPDATE": "false",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }

    def arguments(self, words: str, again: bool = False) -> list[str]:
        chat = ["--restore-chat-history"] if again else []
        return [*self.flags(), *chat, "--message", words]

    def flags(self) -> list[str]:
        """What every run of it is told."""
        return [
            *("--model", "openai/agent", "--model-metadata-file", str(self.sizes)),
            *("--no-git", "--no-pretty", "--yes-always"),
        ]


class AiderTests(scenes.FileScenes):
    skip = missing(Aider)
    app_type = Aider
    app: Aider

    def look_at(self, name: str) -> list[str]:
        return [*self.app.arguments("look at this"), "--read", name]

    async def test_command_is_answered_by_the_agent(self) -> None:
        # What begins with "!" aider itself runs, in a shell; a blank before it leaves the words alone.
        self.assertIn("!whoami", await self.say(" !help"))
        self.assertEqual(await self.said(), [])

    async def test_ctrl_c_in_a_chat_ends_the_reply_and_the_next_message_is_a_turn_of_its_own(self) -> None:
        terminal = self.sit_down(*self.app.flags(), "--no-fancy-input")
        await terminal.said("> ")
        await terminal.type(SLOWLY)
        call = await self.telling
        await terminal.said("upon")
        terminal.interrupt()
        await call.dropped
        await terminal.type("and then")
        await terminal.said("Answer")
        self.assertEqual(await self.said(), [SLOWLY, "and then"])


class CommitTests(AppCase):
    """What aider writes it also commits, with a message that it asks the model for."""

    skip = missing(Aider) or (None if which("git") else "git is not installed")
    app_type = Aider
    app: Aider

    def answer(self, call: Call) -> None:
        self.calls.append(call)
        call.answer("hello.txt\n```\nhello\n```\n" if told(call, "write a file") else "Answer.")

    async def test_message_of_a_commit_is_no_turn(self) -> None:
        await self.shown(self.start(*self.app.arguments("write a file"), "--git"))
        log = await getProcessOutput("git", ["log", "--oneline"], path=str(self.app.project), env=os.environ)
        self.assertIn(b"Answer.", log)
        self.assertEqual(await self.said(), ["write a file"])
