"""People who talk, each in a session of their own, to whichever node, and who send again what was not answered."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import treq
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from .fleet import Fleet, Node

reactor: Any = installed_reactor

# Turns after which a person begins another session.
CHAT = 30
# Seconds without an answer after which they send it again, and before that if it was refused.
PATIENCE = 8.0
AGAIN = 0.15


class Person:
    """Talks until `stop`. `confirmed` are the turns whose last frame came, by session.

    `waits_since` is when the turn under way was sent first, `at` the node that has it, and `story` says what became of
    each try; `again` is when turns were sent for the second time.
    """

    def __init__(self, number: int, fleet: Fleet, random: Random, heard: Callable[["Person"], None]) -> None:
        self.number = number
        self._fleet, self._random, self._heard = fleet, random, heard
        self._agent = Agent(reactor, connectTimeout=2, pool=HTTPConnectionPool(reactor, persistent=False))
        self.confirmed: dict[str, list[str]] = {}
        self._history: list[dict[str, str]] = []
        self._chat = self._turn = 0
        self.at: Node | None = None
        self.text = ""
        self.tries = self.refusals = 0
        self.waits_since = 0.0
        self.story: list[str] = []
        self.again: dict[str, float] = {}
        self.stopping = False

    @property
    def session(self) -> str:
        """What the person's app calls the chat."""
        return f"p{self.number}-{self._chat}"

    @property
    def turns(self) -> int:
        """How many were answered."""
        return sum(map(len, self.confirmed.values()))

    async def talk(self) -> None:
        """Sends message after message, each until it is answered."""
        while not self.stopping:
            self._turn += 1
            self.text = f"{self.session} t{self._turn}"
            self.waits_since, self.story = reactor.seconds(), []
            await self._until_answered()
            if self._turn % CHAT == 0:
                self._chat, self._history = self._chat + 1, []
            await deferLater(reactor, self._random.uniform(0.0, 0.3))

    async def _until_answered(self) -> None:
        tries = 0
        silent: Node | None = None
        while not self.stopping:
            # Like a balancer, nobody asks the node again that has just not answered.
            self.at = silent = self._random.choice([node for node in self._fleet.nodes if node is not silent])
            answer = await self._asked(silent, tries)
            self.at = None
            if answer is not None:
                self.confirmed.setdefault(self.session, []).append(self.text)
                self._history += [
                    {"role": "user", "content": self.text},
                    {"role": "assistant", "content": answer},
                ]
                self._heard(self)
                return
            tries += 1
            self.tries += 1
            await deferLater(reactor, AGAIN)
            self.again.setdefault(self.text, reactor.seconds())

    async def _asked(self, node: Node, tries: int) -> str | None:
        """The whole answer, None if its last frame did not come."""
        messages = [*self._history, {"role": "user", "content": self.text}]
        pieces: list[bytes] = []
        request: Deferred[Any] = treq.post(
            f"{node.url}/v1/chat/completions",
            json.dumps({"model": "m", "messages": messages, "stream": True}).encode(),
            headers=Headers(
                {
                    "content-type": ["application/json"],
                    "x-llamaproxy-chat": [self.session],
                    "x-stainless-retry-count": [str(tries)],
                }
            ),
            agent=self._agent,
        )
        try:
            response = await request.addTimeout(PATIENCE, reactor)
            if response.code != 200:
                self.refusals += 1
                refusal = await treq.content(response)
                self._tell(node, f"{response.code} {refusal.decode()}")
                return None
            await treq.collect(response, pieces.append).addTimeout(PATIENCE, reactor)
        except Exception as error:
            # It was not there, broke off in the middle, or took too long.
            self._tell(node, type(error).__name__)
            return None
        answer = _answer(b"".join(pieces))
        self._tell(node, "answered" if answer is not None else b"".join(pieces)[-200:].decode())
        return answer

    def _tell(self, node: Node, what: str) -> None:
        self.story.append(f"{reactor.seconds() - self.waits_since:.2f} s {node.name}: {what}")


def _answer(body: bytes) -> str | None:
    """The text of a stream that came to a good end."""
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    if not lines or lines[-1] != b"[DONE]":
        return None
    events = [json.loads(line) for line in lines[:-1]]
    if any("error" in event for event in events):
        return None
    deltas = [choice["delta"] for event in events for choice in event.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)
