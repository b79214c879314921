"""The `llm` command with its llm-ollama plugin against a real server."""

import sys
from pathlib import Path

from .live import ANSWER, LiveCase

MODEL = "ollama/main:latest"


class LlmTests(LiveCase):
    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.environment = {"OLLAMA_HOST": self.url, "LLM_USER_PATH": str(folder)}

    async def llm(self, *words: str) -> tuple[int, str, str]:
        return await self.run_program(sys.executable, "-m", "llm", *words, **self.environment)

    async def test_models_are_listed(self) -> None:
        status, out, err = await self.llm("models", "list")
        self.assertEqual((status, err), (0, ""))
        self.assertIn(f"Ollama: {MODEL}", out)

    async def test_answers_come_streamed_and_whole(self) -> None:
        for words in ((), ("--no-stream",)):
            status, out, err = await self.llm("-m", MODEL, *words, "hello")
            self.assertEqual((status, out.rstrip("\n")), (0, ANSWER), err)

    async def test_a_conversation_goes_on(self) -> None:
        await self.llm("-m", MODEL, "hello")
        status, out, _ = await self.llm("-c", "and again")
        self.assertEqual((status, out.rstrip("\n")), (0, ANSWER))

    async def test_failure_is_one_line(self) -> None:
        status, _, err = await self.llm("-m", MODEL, "refuse")
        self.assertEqual(status, 1)
        self.assertIn("Error: slow down", err)

    async def test_failure_in_the_middle_is_text(self) -> None:
        _, out, _ = await self.llm("-m", MODEL, "break")
        self.assertTrue(out.startswith("Hi"))
        self.assertIn("the model broke off", out)
