"""The JavaScript libraries under Node against a real server: ollama, openai, and the AI SDK in both dialects."""

import shutil
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred

from tests.acceptance.program import HOST, Program
from tests.machine import NO_WEIGHTS, WEIGHTS

from .live import ANSWER, LiveCase, reactor
from .test_libraries import LibraryCase

FOLDER = Path(__file__).parent / "node"
NODE = shutil.which("node")
NO_NODE = (
    None
    if NODE and (FOLDER / "node_modules").is_dir()
    else f"no Node.js, or nobody ran: npm ci --prefix {FOLDER}"
)
COMMAND = (NODE or "node", str(FOLDER / "app.mjs"))
# The libraries, and what each of them throws.
LIBRARIES = {
    "ollama": "ResponseError",
    "openai": "RateLimitError",
    "ai-sdk-ollama": "APICallError",
    "ai-sdk-openai": "APICallError",
}


class NodeTests(LiveCase):
    skip = NO_NODE

    async def reports(self, library: str, *scenes: str) -> list[Any]:
        status, out, err = await self.run_program(*COMMAND, self.url, library, *scenes)
        self.assertEqual((status, err), (0, ""), library)
        return list(json.decode(out))

    async def test_models_are_listed(self) -> None:
        for library, name in (("ollama", "main:latest"), ("openai", "main")):
            self.assertEqual(await self.reports(library, "list"), [{"names": [name]}])

    async def test_answers_come_whole_and_streamed(self) -> None:
        for library in LIBRARIES:
            whole, streamed = await self.reports(library, "whole=hello", "stream=hello")
            self.assertEqual(whole["text"], ANSWER, library)
            self.assertEqual((streamed["text"], streamed["pieces"]), (ANSWER, 2), library)

    async def test_failure_before_the_first_word_is_thrown_with_its_words_and_asked_for_once(self) -> None:
        # The AI SDK would ask again at a 429, and knows nothing of x-should-retry.
        for library, error in LIBRARIES.items():
            self.model.requests.clear()
            for seen in await self.reports(library, "whole=refuse", "stream=refuse"):
                self.assertEqual(seen["error"].lstrip("_"), error, library)
                self.assertIn("slow down", seen["message"], library)
            self.assertEqual(len(self.model.requests), 2, library)

    async def test_failure_in_the_middle_is_text_in_ollama_and_an_error_in_openai(self) -> None:
        for library in LIBRARIES:
            (seen,) = await self.reports(library, "stream=break")
            self.assertTrue(seen["text"].startswith("Hi"), library)
            told = seen["message"] if "openai" in library else seen["text"]
            self.assertIn("the model broke off", told, library)

    async def test_leaving_in_the_middle_stops_the_model(self) -> None:
        for library in LIBRARIES:
            self.model.cancelled = Deferred()
            (seen,) = await self.reports(library, "leave=linger")
            self.assertEqual(seen["text"], "Hi", library)
            await self.model.cancelled.addTimeout(5, reactor)

    async def test_retry_after_a_timeout_hears_the_turn_of_its_first_try(self) -> None:
        (seen,) = await self.reports("openai-impatient", "whole=hold")
        self.assertEqual((seen["text"], len(self.model.requests)), (ANSWER, 1))

    async def test_retry_of_a_stream_hears_the_turn_of_its_first_try(self) -> None:
        (seen,) = await self.reports("openai-impatient", "stream=hold")
        self.assertEqual((seen["text"], len(self.model.requests)), (ANSWER, 1))


class EmbeddedModelTests(LibraryCase):
    skip = NO_NODE or NO_WEIGHTS

    async def test_every_library_streams_from_the_embedded_model(self) -> None:
        self.home.models = {"m": {"type": "LOCAL", "model_id": str(WEIGHTS), "max_tokens": 12}}
        await self.serve()
        for library in LIBRARIES:
            url = f"http://{HOST}:{self.home.port}"
            (seen,) = await self.report(Program([*COMMAND, url, library, "stream=hello"], FOLDER))
            self.assertNotIn("error", seen, library)
            self.assertGreater(seen["pieces"], 2, library)
