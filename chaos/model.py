"""The model of the fleet: answers slowly, and sees whether two turns of one session are with it at the same time."""

import json
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

reactor: Any = installed_reactor
PIECES = 6


class Model(Resource):
    """Speaks OpenAI's dialect. The newest message is `<session> <turn>`, and the answer is `<session> <turn> answered`.

    `begun` has when each turn came here last, by the message, and `heard` what it was told with that; `overlaps` are
    those during which another one of the session was here. `pause` are the seconds between two pieces of an answer.
    """

    isLeaf = True

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause
        self._here: dict[str, Request] = {}
        self.begun: dict[str, float] = {}
        self.heard: dict[str, list[str]] = {}
        self._hurried: set[str] = set()
        self.turns = 0
        self.overlaps: list[str] = []

    def render_GET(self, request: Request) -> bytes:
        """Is there."""
        return b'{"data": []}'

    def render_POST(self, request: Request) -> int:
        """Begins an answer."""
        assert request.content is not None
        asked = json.loads(request.content.read())
        text = next(each["content"] for each in reversed(asked["messages"]) if each["role"] == "user")
        session = text.split()[0]
        if session in self._here:
            self.overlaps.append(text)
        self._here[session] = request
        self.begun[text] = reactor.seconds()
        self.heard[text] = [each["content"] for each in asked["messages"] if each["role"] != "system"]
        self.turns += 1
        gone = request.notifyFinish().addErrback(lambda _: None)
        gone.addCallback(lambda _: self._left(session, request))
        Deferred.fromCoroutine(self._answer(request, f"{text} answered")).addErrback(lambda _: None)
        return NOT_DONE_YET

    def hurry(self, session: str) -> None:
        """Pauses no more in a session."""
        self._hurried.add(session)

    async def _moment(self, session: str) -> None:
        await deferLater(reactor, 0.0 if session in self._hurried else self.pause)

    async def _answer(self, request: Request, text: str) -> None:
        request.setHeader(b"content-type", b"text/event-stream")
        size = -(-len(text) // PIECES)
        for start in range(0, len(text), size):
            await self._moment(text.split()[0])
            if request.channel is None:
                return
            request.write(_event({"content": text[start : start + size]}, None))
        request.write(_event({}, "stop") + b"data: [DONE]\n\n")
        request.finish()

    def _left(self, session: str, request: Request) -> None:
        if self._here.get(session) is request:
            del self._here[session]


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return (
        b"data: "
        + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode()
        + b"\n\n"
    )
