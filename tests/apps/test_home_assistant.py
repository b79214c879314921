"""Home Assistant with its own Ollama integration: the model turns a lamp on with the house's tools, where it may."""

from typing import Any

from msgspec import json

from tests.acceptance.upstream import Call

from .app import FOLDER, App, missing
from .case import AppCase

SENTENCE = "Turn on the lamp"


class HomeAssistant(App):
    program = FOLDER / ".venv-home-assistant" / "bin" / "python"

    def configure(self) -> None:
        """Its files are made anew at each start."""

    def arguments(self, words: str, again: bool = False) -> list[str]:
        return [str(FOLDER / "house.py"), self.server, "on", words]


class HouseCase(AppCase):
    skip = missing(HomeAssistant)
    app_type = HomeAssistant
    timeout = 240
    app: HomeAssistant

    def answer(self, call: Call) -> None:
        """The model's side: it turns the lamp on if it can, and says what came of it."""
        self.calls.append(call)
        assert len(self.calls) < 12, "the house goes round in circles"
        if call.role == "tool":
            done = json.decode(call.question)
            call.answer("The lamp ", "is on." if done.get("data", {}).get("success") else "does not turn on.")
        elif "HassTurnOn" in call.tools and "Turn on" in call.question:
            call.call_tool("HassTurnOn", '{"name": "Lamp"}')
        else:
            call.answer("I cannot do that.")

    async def live(self, *sentences: str) -> list[dict[str, Any]]:
        """What the house says and does."""
        program = self.start(*self.app.arguments(sentences[0]), *sentences[1:])
        return [json.decode(line) for line in (await self.shown(program)).splitlines()]


class AllowedTests(HouseCase):
    door: dict[str, Any] = {"client_tools": "on", "client_system": "append"}

    async def test_lamp_is_turned_on_by_the_houses_own_tool_and_the_conversation_goes_on(self) -> None:
        again = "Turn on the lamp again"
        first, second, third = await self.live(SENTENCE, "Thanks", again)
        self.assertEqual(first, {"speech": "The lamp is on.", "kind": "action_done", "lamp": "on"})
        self.assertEqual([second["speech"], third["speech"]], ["I cannot do that.", "The lamp is on."])
        self.assertEqual([call.role for call in self.calls], ["user", "tool", "user", "user", "tool"])
        # Its devices stand behind the agent's own prompt.
        self.assertRegex(self.calls[0].system, r"(?s)^You are .*<material (\w+): .*Lamp.*</material \1>$")
        self.assertEqual(await self.said(), [SENTENCE, "Thanks", again])


class RefusedTests(HouseCase):
    async def test_house_is_answered_in_words_at_once(self) -> None:
        [said] = await self.live(SENTENCE)
        self.assertEqual(said, {"speech": "I cannot do that.", "kind": "action_done", "lamp": "off"})
        self.assertEqual(len(self.calls), 1)
        self.assertNotIn("Lamp", self.calls[0].system)
