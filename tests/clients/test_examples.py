"""The agents of `examples/`, as their README puts them behind the door, on real client libraries."""

import re
import shutil
from pathlib import Path
from typing import Any

from msgspec import json

from tests.acceptance.phone import OLLAMA

from .test_libraries import CHECKOUT, LibraryCase

EXAMPLES = CHECKOUT / "examples"
DICE = "The dice show six and six."


def entries() -> dict[str, Any]:
    """What the README says to paste."""
    (pasted,) = re.findall(r"```json\n(.*?)```", (EXAMPLES / "README.md").read_text(), re.DOTALL)
    return json.decode(f"{{{pasted}}}")


class ExampleTests(LibraryCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        listed = entries()
        self.home.models = {"m": listed.pop("dice"), **listed}
        for file in EXAMPLES.glob("*.py"):
            shutil.copy(file, Path(self.home.path) / file.name)
        await self.serve()

    async def test_agent_of_a_framework_answers_on_both_libraries(self) -> None:
        for library in ("ollama", "openai"):
            for way in ("blocking", "async"):
                seen = await self.report(self.launch(library, way, "stream"))
                self.assertEqual(seen["text"], DICE)

    async def test_model_command_switches_between_agents_of_every_make(self) -> None:
        answers = {
            "words": "1. how\n2. now\n",
            "graph": "It all depends on how you see it.",
            "m": DICE,
        }
        for key, answer in answers.items():
            await self.said(f"!model {key}")
            self.assertEqual(await self.said("how now"), answer)

    async def said(self, text: str) -> str:
        phone = await self.ask(OLLAMA, text)
        return OLLAMA.text(await phone.response())
