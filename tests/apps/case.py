"""A server with a scripted model behind it and an app in front of it, and what each of them has heard."""

import signal
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.acceptance.case import AcceptanceCase
from tests.acceptance.phone import OLLAMA
from tests.acceptance.program import HOST, Program
from tests.acceptance.upstream import Call

from .app import App, end

# What a person says to hear half a tale, and to have the first answer break.
SLOWLY = "tell it slowly"
BREAK = "break once"
TALE = "Once upon a time"


class AppCase(AcceptanceCase):
    """Starts the server and makes the app; the model's n-th answer is `Answer n.`"""

    app_type: type[App]
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        self.calls: list[Call] = []
        self.upstream.script = self.answer
        self.telling: Deferred[Call] = Deferred()
        await self.serve()
        self.app = self.app_type(Path(self.mktemp()), f"http://{HOST}:{self.home.port}")

    def answer(self, call: Call) -> None:
        """The model's side."""
        self.calls.append(call)
        if SLOWLY in call.question and not self.telling.called:
            call.say(TALE)
            self.telling.callback(call)
        elif BREAK in call.question and len(self.calls) == 1:
            call.say("Half an answ")
            call.cut()
        else:
            call.answer(f"Answer {len(self.calls)}.")

    def start(self, words: str, again: bool = False) -> Program:
        """The app, once it was told `words`, in the last chat or in a new one."""
        program = self.app.start(words, again)
        self.addCleanup(lambda: Deferred.fromCoroutine(end(program)))
        return program

    async def say(self, words: str, again: bool = False) -> str:
        """What the app shows for `words`."""
        program = self.start(words, again)
        status = await program.ended()
        shown = program.output.decode()
        self.assertEqual(status, 0, shown + program.errors.decode())
        return shown

    async def interrupt(self, words: str) -> None:
        """Has the app told `words`, and ends it by Ctrl-C in the middle of the reply."""
        program = self.start(words)
        call = await self.telling
        program.signal(signal.SIGINT)
        await program.ended()
        await call.dropped

    async def held(self) -> list[tuple[str, str]]:
        """What the session holds: what its model is shown together with one more message from the same address."""
        phone = await self.ask(OLLAMA, "What do you remember?", stream=False)
        await phone.closed()
        return self.calls[-1].history

    async def said(self) -> list[str]:
        """The user's side of what the session holds."""
        return [text for role, text in await self.held() if role == "user"]
