"""A phone that leaves in the middle of a long turn: nothing is done twice, and the answer is not lost."""

from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred

from .case import AcceptanceCase
from .phone import OLLAMA
from .program import ServerHome
from .upstream import Call

reactor: Any = installed_reactor

STEPS = 3
# Seconds that the model takes for each of its answers.
THINKING = 0.02


class WorkshopHome(ServerHome):
    """A home with a folder that tools may write into."""

    def write(self) -> None:
        super().write()
        file = self.path / "plugins-enabled.json"
        content = json.decode(file.read_bytes())
        content["enabled_plugins"].append("plugin_files")
        content["plugin_config"]["plugin_files"] = {"folder": "shared"}
        file.write_bytes(json.encode(content))
        (self.path / "gate-defaults.json").write_bytes(
            json.encode({"tools": {"*": {"write": True, "read": True}}})
        )
        (self.path / "shared").mkdir(exist_ok=True)

    def lines(self) -> list[str]:
        """What the tool has written."""
        file = self.path / "shared" / "log.txt"
        return file.read_text().splitlines() if file.exists() else []


class DetachedTests(AcceptanceCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        self.home: WorkshopHome = WorkshopHome(Path(self.mktemp()))
        self.home.models = {"m": self.upstream.entry()}
        self.home.door = {"on_disconnect": "detach"}
        self.asked: Deferred[None] = Deferred()
        self.upstream.script = self.work

    def work(self, call: Call) -> None:
        """The model's side: three rounds of a tool that leaves a line each, and an answer."""
        reactor.callLater(THINKING, self.answer, call)
        if not self.asked.called:
            self.asked.callback(None)

    def answer(self, call: Call) -> None:
        if call.dropped.called:
            return
        said = [(role, content) for role, content in [*call.history, (call.role, call.question)]]
        start = max(index for index, (role, _) in enumerate(said) if role == "user")
        words = said[start][1]
        done = sum(role == "tool" for role, _ in said[start:])
        if not words.startswith("work"):
            call.answer("Very well.")
        elif done < STEPS:
            arguments = {
                "operation": "write",
                "path": "log.txt",
                "append": True,
                "content": f"{words} step {done + 1}\n",
            }
            call.call_tool("files", json.encode(arguments).decode())
        else:
            call.answer(f"Done with {words}.")

    async def told(self, address: str) -> str:
        """What the phone's next message is answered."""
        phone = await self.ask(OLLAMA, "and what came of it?", address)
        return OLLAMA.text(await phone.response())

    async def leave(self, number: int) -> str:
        """A phone says its message and leaves once the model is at work; its address."""
        self.asked = Deferred()
        address = f"127.0.3.{number + 1}"
        phone = await self.ask(OLLAMA, f"work {number}", address)
        await self.asked
        phone.hang_up()
        return address

    async def test_work_is_done_once_and_the_answer_told_with_the_next_message(self) -> None:
        await self.serve()
        address = await self.leave(0)
        self.assertIn("Done with work 0.", await self.told(address))
        self.assertEqual(self.home.lines(), [f"work 0 step {step}" for step in (1, 2, 3)])
