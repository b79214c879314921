"""A server with a scripted model behind it and an app in front of it, and what each of them has heard."""

import signal
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from twisted.internet.defer import Deferred

from tests.acceptance.case import AcceptanceCase
from tests.acceptance.phone import OLLAMA
from tests.acceptance.program import Program
from tests.acceptance.upstream import Call
from tests.support import Response

from .app import App, end
from .cable import Cable
from .terminal import Terminal

# What a person says for an answer that begins and does not end, and for one that breaks.
SLOWLY = "tell it slowly"
BREAK = "break once"
# Some apps show a line once it is complete.
TALE = "Once upon a time\n\nthere was"


class AppCase(AcceptanceCase):
    """Starts the server and makes the app; the model's n-th answer is `Answer n.`"""

    app_type: type[App]
    # Of the operator's settings for the server.
    door: dict[str, Any] = {}
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        self.calls: list[Call] = []
        self.telling: Deferred[Call] = Deferred()
        self.broken = False
        self.upstream.script = self.answer
        self.home.door = self.door
        await self.serve()
        self.cable = Cable(self.home.port)
        port = await self.cable.lay()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.cable.take_away()))
        # Outside the checkout, whose repository and instructions an app would take for the project's.
        folder = mkdtemp(prefix="llamaproxy-apps-")
        self.addCleanup(rmtree, folder, ignore_errors=True)
        self.app = self.app_type(Path(folder), port)

    def answer(self, call: Call) -> None:
        """The model's side. What is not the person's turn, a title say, is answered in full."""
        self.calls.append(call)
        if told(call, SLOWLY) and not self.telling.called:
            call.say(TALE)
            self.telling.callback(call)
        elif told(call, BREAK) and not self.broken:
            self.broken = True
            call.say(TALE)
            call.cut()
        else:
            call.answer(f"Answer {len(self.calls)}.")

    def start(self, *arguments: str) -> Program:
        """The app, with nobody at its terminal."""
        program = self.app.start(*arguments)
        self.addCleanup(lambda: Deferred.fromCoroutine(end(program)))
        return program

    def sit_down(self, *arguments: str) -> Terminal:
        """The app with somebody before it."""
        terminal = self.app.sit_down(*arguments)
        self.addCleanup(lambda: Deferred.fromCoroutine(end(terminal)))
        return terminal

    async def shown(self, program: Program) -> str:
        """What an app has shown once it ended well."""
        status = await program.ended()
        shown = program.output.decode()
        self.assertEqual(status, 0, shown + program.errors.decode())
        return shown

    async def say(self, words: str, again: bool = False) -> str:
        """What the app shows for `words`, in the last chat or in a new one."""
        return await self.shown(self.start(*self.app.arguments(words, again)))

    async def interrupt(self, words: str) -> None:
        """Has the app told `words`, and ends it by Ctrl-C in the middle of the reply."""
        program = self.start(*self.app.arguments(words))
        call = await self.telling
        program.signal(signal.SIGINT)
        await program.ended()
        await call.dropped

    def asked(self, words: str) -> Call:
        """What the model was asked when the person said `words`."""
        (call,) = [call for call in self.calls if told(call, words)]
        return call

    async def ask_agent(self, text: str) -> str:
        """What the agent says to one more message from the same address."""
        phone = await self.ask(OLLAMA, text)
        return OLLAMA.text(Response(await phone.closed()))

    async def held(self) -> list[tuple[str, str]]:
        """What the session holds: what its model is shown with one more message."""
        await self.ask_agent("What do you remember?")
        return self.calls[-1].history

    async def said(self) -> list[str]:
        """The user's side of what the session holds."""
        return [text for role, text in await self.held() if role == "user"]


def told(call: Call, words: str) -> bool:
    """Whether a model was asked `words` by the person, whatever material stands before or behind them."""
    return call.question.startswith(words) or call.question.endswith(words)
