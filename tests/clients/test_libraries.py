"""What a program on an official library gets: what it asks for, and failures as the library's own exceptions."""

import sys
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred

from tests.acceptance.case import AcceptanceCase
from tests.acceptance.program import HOST, Program
from tests.machine import NO_WEIGHTS, WEIGHTS

CHECKOUT = Path(__file__).parents[2]
WAYS = ("blocking", "async")


class LibraryCase(AcceptanceCase):
    """Runs the apps of this folder against a server."""

    timeout = 120

    def launch(self, library: str, way: str, scene: str) -> Program:
        url = f"http://{HOST}:{self.home.port}"
        app = Program([sys.executable, "-m", f"tests.clients.{library}_app", url, way, scene], CHECKOUT)
        self.addCleanup(lambda: Deferred.fromCoroutine(app.put_down()))
        return app

    async def report(self, app: Program) -> Any:
        self.assertEqual((await app.ended(), app.errors), (0, b""))
        return json.decode(app.output)


class EmbeddedModelTests(LibraryCase):
    skip = NO_WEIGHTS

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        self.home.models = {"m": {"type": "LOCAL", "model_id": str(WEIGHTS), "max_tokens": 12}}
        await self.serve()

    async def test_ollama_gets_everything_it_asks_for(self) -> None:
        for way in WAYS:
            seen = await self.report(self.launch("ollama", way, "tour"))
            chat, streamed = seen["chat"], seen["streamed"]
            self.assertTrue(chat["message"]["content"])
            self.assertEqual((chat["model"], chat["done"]), ("m", True))
            self.assertGreater(streamed["pieces"], 2)
            self.assertTrue(streamed["text"])
            self.assertTrue(seen["generate"]["response"])
            self.assertGreater(seen["generate streamed"]["pieces"], 2)
            for end in (chat, streamed["last"], seen["generate"], seen["generate streamed"]["last"]):
                self.assertIn(end["done_reason"], ("stop", "length"))
                self.assertTrue(0 < end["eval_count"] <= 12)
                self.assertGreater(end["prompt_eval_count"], 5)
                parts = end["load_duration"] + end["prompt_eval_duration"] + end["eval_duration"]
                self.assertTrue(0 < parts <= end["total_duration"])
            self.assertEqual((seen["list"], seen["ps"]), (["m:latest"], ["m:latest"]))
            self.assertIn("completion", seen["show"]["capabilities"])
            self.assertIn("m", seen["command"])
            self.assertEqual((seen["unknown"]["error"], seen["unknown"]["status"]), ("ResponseError", 404))
            self.assertEqual((seen["empty"]["error"], seen["empty"]["status"]), ("ResponseError", 400))

    async def test_openai_gets_everything_it_asks_for(self) -> None:
        for way in WAYS:
            seen = await self.report(self.launch("openai", way, "tour"))
            chat, streamed = seen["chat"], seen["streamed"]
            self.assertTrue(chat["choices"][0]["message"]["content"])
            self.assertIn(chat["choices"][0]["finish_reason"], ("stop", "length"))
            self.assertGreater(streamed["pieces"], 3)
            self.assertTrue(streamed["text"])
            for usage in (chat["usage"], streamed["last"]["usage"]):
                self.assertTrue(0 < usage["completion_tokens"] <= 12)
                self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
            self.assertEqual((seen["list"], seen["retrieve"]["id"]), (["m"], "m"))
            self.assertIn("m", seen["command"])
            self.assertEqual((seen["unknown"]["error"], seen["unknown"]["status"]), ("NotFoundError", 404))
            self.assertEqual((seen["empty"]["error"], seen["empty"]["status"]), ("BadRequestError", 400))


class FailureTests(LibraryCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        await self.serve()

    async def test_failure_before_the_first_word_is_the_librarys_own_exception(self) -> None:
        self.upstream.script = lambda call: call.refuse(500, b'{"error":{"message":"no such luck"}}')
        for library, error in (("ollama", "ResponseError"), ("openai", "InternalServerError")):
            for way in WAYS:
                for seen in (await self.report(self.launch(library, way, "both"))).values():
                    self.assertEqual((seen["error"], seen["status"]), (error, 502))
                    self.assertIn("no such luck", seen["message"])

    async def test_failure_in_the_middle_is_text_in_ollama_and_an_exception_in_openai(self) -> None:
        for way in WAYS:
            app = self.launch("ollama", way, "stream")
            call = await self.upstream.call()
            call.say("Good ", "mor")
            call.cut()
            seen = await self.report(app)
            self.assertTrue(seen["text"].startswith("Good mor"))
            self.assertIn("broke off", seen["text"])
            self.assertTrue(seen["last"]["done"])

            app = self.launch("openai", way, "stream")
            call = await self.upstream.call()
            call.say("Good ", "mor")
            call.cut()
            seen = await self.report(app)
            self.assertEqual((seen["text"], seen["error"]), ("Good mor", "APIError"))
            self.assertIn("broke off", seen["message"])

    async def test_leaving_in_the_middle_hangs_up_on_the_model(self) -> None:
        for library in ("ollama", "openai"):
            for way in WAYS:
                app = self.launch(library, way, "leave")
                call = await self.upstream.call()
                call.say("Good ")
                await call.dropped
                self.assertEqual((await self.report(app))["text"], "Good ")
