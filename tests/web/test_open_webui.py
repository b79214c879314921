"""Open WebUI's calls in the order in which version 0.12 was seen to make them, for each kind of connection."""

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.doctor.ollama import check as check_ollama
from llamaproxy.doctor.openai import check as check_openai
from tests.dialects.test_housekeeping import FOLLOW_UPS, TAGS, TITLE
from tests.support import Front, House, Response, ScriptedModel

AGENT = "Python/3.11 aiohttp/3.14.5"


class OpenWebUITests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(ScriptedModel("main"), folder=Path(self.mktemp()))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        return self.front.ask(method, path, body or b"", user_agent=AGENT)

    def say(self, path: str, text: str) -> str:
        """A message without a stream: a command, or an errand of the app."""
        asked = {"model": "main", "messages": [{"role": "user", "content": text}], "stream": False}
        body = self.ask("POST", path, asked).json()
        message = body["choices"][0]["message"] if "choices" in body else body["message"]
        return str(message["content"])

    def converse(self, path: str) -> None:
        """A first message and what goes with it: the title's request comes before the message, and beside it."""
        asked = {"model": "main", "messages": [{"role": "user", "content": "hello"}], "stream": True}
        self.assertIn("title", json.loads(self.say(path, TITLE)))
        self.assertIn("0 messages", self.say(path, "!session"))
        chat = self.front.connect().send("POST", path, asked, user_agent=AGENT)
        self.house.calls[-1].say("Hi")
        self.house.calls[-1].finish()
        self.assertIn(b"Hi", chat.response().body)
        for task, key in ((FOLLOW_UPS, "follow_ups"), (TAGS, "tags"), (TITLE, "title")):
            self.assertIn(key, json.loads(self.say(path, task)))
        self.assertIn("2 messages", self.say(path, "!session"))
        self.assertEqual(len(self.house.calls), 1)

    def test_as_an_openai_connection(self) -> None:
        path = "/v1/chat/completions"
        check_openai("open-webui", "models", self.ask("GET", "/v1/models").body)
        self.converse(path)

    def test_as_an_ollama_connection(self) -> None:
        path = "/api/chat"
        for endpoint in ("version", "tags", "ps"):
            check_ollama("open-webui", endpoint, self.ask("GET", f"/api/{endpoint}").body)
        self.converse(path)
