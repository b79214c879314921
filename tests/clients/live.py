"""A real server on a loopback port, with an agent whose model does as the message says, for real client libraries."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from llamaproxy.agent.agent import Agent
from llamaproxy.agent.prompts import PromptFiles
from llamaproxy.seams.apps import USUAL
from llamaproxy.seams.errors import ModelError, ModelRateLimited
from llamaproxy.seams.interfaces import IDeltaReceiver, IModel, IReply
from llamaproxy.seams.types import (
    Caller,
    ChatTurn,
    ModelInfo,
    ModelRequest,
    ModelResult,
    Reasoning,
    Text,
    Usage,
)
from llamaproxy.web.guard import Guard
from llamaproxy.web.routes import Routes
from llamaproxy.web.site import FrontSite
from tests.stores import MemoryStore
from tests.support import CountingEmbedder

reactor: Any = installed_reactor
CHECKOUT = Path(__file__).parents[2]

# What the model says, with what strict readers of lines could trip over.
ANSWER = "Hi \u2028there 😀"


@implementer(IModel)
class ObedientModel:
    """Thinks and answers; says 'Hi' and fails at 'break', refuses at 'refuse', says 'Hi' and no more at 'linger'.

    At 'hold' it waits for `release`, which comes with the second message of a test.
    """

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []
        self.cancelled: Deferred[None] = Deferred()
        self.release: Deferred[None] = Deferred()

    def info(self) -> ModelInfo:
        return ModelInfo(key="main", model_id="main-id", kind="OPENAI")

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        self.requests.append(request)
        return Deferred.fromCoroutine(self._chat(request.messages[-1].content, receiver))

    async def _chat(self, text: str, receiver: IDeltaReceiver) -> ModelResult:
        if text == "refuse":
            raise ModelRateLimited("slow down")
        if text == "hold":
            await self.release
        receiver.deltasReceived([Reasoning("hm"), Text("Hi")])
        if text == "linger":
            await Deferred(lambda _: self.cancelled.callback(None))
        await deferLater(reactor, 0)
        if text == "break":
            raise ModelError("the model broke off")
        receiver.deltasReceived([Text(ANSWER.removeprefix("Hi"))])
        return ModelResult(usage=Usage(3, 5))

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)


class WatchedSite(FrontSite):
    """Knows its connections."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.channels: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.channels.append(super().buildProtocol(addr))
        return self.channels[-1]


class WatchedAgent(Agent):
    """Releases its model when a message comes that is not the first."""

    def __init__(self, model: ObedientModel, *more: Any, **named: Any) -> None:
        super().__init__({"main": model}, "main", *more, **named)
        self._model = model
        self._asked = 0

    def turn(self, caller: Caller, turn: ChatTurn) -> Deferred[IReply]:
        """See `IAgent`."""
        reply = super().turn(caller, turn)
        self._asked += 1
        if self._asked == 2:
            self._model.release.callback(None)
        return reply


class LiveCase(TestCase):
    """One server for each test; `url` is its base without a path. Its apps may do what `allowance` says."""

    timeout = 60
    allowance = USUAL

    def make_model(self) -> ObedientModel:
        """The agent's model."""
        return ObedientModel()

    def setUp(self) -> None:
        self.model = self.make_model()
        agent = WatchedAgent(
            self.model,
            MemoryStore(),
            PromptFiles(Path(self.mktemp())),
            reactor,
            embedders={"vectors": CountingEmbedder()},
        )
        guard = Guard(allowance=self.allowance)
        self._site = WatchedSite(Routes(agent, guard, reactor), guard, reactor)
        port = reactor.listenTCP(0, self._site, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{port.getHost().port}"
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(self._hang_up()))
        self.addCleanup(lambda: Deferred.fromCoroutine(agent.stop()))

    async def run_program(self, *command: str, **environment: str) -> tuple[int, str, str]:
        """Runs a client in a process of its own; its exit status, what it printed, and its complaints."""
        settings: dict[str, Any] = {
            "env": {**os.environ, **environment},
            "cwd": CHECKOUT,
            "stdin": subprocess.DEVNULL,
            "capture_output": True,
            "timeout": self.timeout,
        }
        ended = await self.run_client(lambda: subprocess.run(command, check=False, **settings))
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    async def _hang_up(self) -> None:
        """Closes what the clients left open: many keep their connections for later."""
        for channel in self._site.channels:
            channel.transport.abortConnection()
        await deferLater(reactor, 0)

    def run_client(self, work: Callable[..., Any], **asked: Any) -> "Deferred[Any]":
        """Runs a blocking client in a thread, where it does not hold the server up."""
        return deferToThread(work, **asked)
