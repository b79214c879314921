"""The `PYTHON` type: an agent of the operator's own, any callable that `llamaproxy.agents` describes.

It runs in a thread of the entry's own, beside an asyncio event loop, so that whatever it does never holds the reactor.
"""

import asyncio
import inspect
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ...agents import Context
from ...config import Home, ModelEntry
from ...config.modules import find_agent
from ...seams.errors import AgentError, ModelError, ModelTimeout
from ...seams.interfaces import IDeltaReceiver, IModel
from ...seams.telling import about
from ...seams.types import ModelInfo, ModelRequest, ModelResult
from ...sockets import tls
from ..card import card
from ..upstream.refusals import first_line
from ..upstream.streaming import Watch
from .flow import Flow, Loop

# Seconds that the thread gets to end; it is left behind then, and ends with the process.
GRACE = 5.0


@implementer(IModel)
class PythonModel:
    """One `PYTHON` entry. Raises `ConfigError` if there is no such module, as far as that shows without importing."""

    _log = Logger()

    def __init__(self, key: str, entry: ModelEntry, reactor: Any, home: Home) -> None:
        self._key = key
        self._entry = entry
        self._reactor = reactor
        self._where = f"models.{key}.model_id"
        self._file = home.models_file
        self._place = find_agent(home, key, entry.model_id)
        # Once it is known that there is one.
        tls.load()
        self._loop: Loop | None = None
        self._function: Callable[..., Any] | None = None

    def info(self) -> ModelInfo:
        """See `IModel`."""
        return card(self._key, self._entry, loaded=self._function is not None, tells_calls=True)

    def start(self) -> Deferred[None]:
        """See `IModel`. Imports the agent; fails if that fails, and then each message tries again."""
        self._loop = Loop(self._reactor, f"agent-{self._key}")
        self._loop.start()
        return Deferred.fromCoroutine(self._load()).addCallback(lambda _: None)

    def stop(self) -> Deferred[None]:
        """See `IModel`."""
        loop, self._loop = self._loop, None
        if loop is None:
            return succeed(None)
        return loop.stop().addTimeout(GRACE, self._reactor).addErrback(self._left_behind)

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """See `IModel`."""
        return Deferred.fromCoroutine(self._ask(request, receiver))

    async def _load(self) -> Callable[..., Any]:
        """The agent; imported in its thread, since modules make things there that belong to a thread."""
        if self._function is None:
            try:
                self._function = await self._work().call(self._import)
            except Exception as error:
                self._log.failure("while importing {id}", id=self._entry.model_id)
                said = f"{type(error).__name__}: {first_line(str(error))}"
                raise ModelError(f"{self._file}: {self._where}: cannot be imported: {said}") from None
        return self._function

    async def _import(self) -> Callable[..., Any]:
        found = attrgetter(self._place.attribute)(import_module(self._place.module))
        if not callable(found):
            raise TypeError(f"{self._place.attribute} is not callable")
        return found

    async def _ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> ModelResult:
        function = await self._load()
        limit = self._entry.llm_call_timeout if request.timeout is None else request.timeout
        watch = Watch(self._reactor, limit)
        patience = self._entry.first_token_timeout
        watch.expect(patience, f"did not begin its reply within {patience:g} seconds")
        flow = Flow(self._reactor, receiver, watch, self._entry.idle_timeout)
        arguments = _arguments(function, request, self._entry)
        try:
            await watch.over(self._work().call(lambda: flow.feed(function, arguments)))
            await watch.over(flow.drained())
        except CancelledError:
            if watch.verdict:
                raise ModelTimeout(f"The agent '{self._key}' {watch.verdict}") from None
            raise
        except AgentError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            self._work()
            self._log.failure("{turn}the agent '{key}' failed", turn=about(request.request_id), key=self._key)
            raise ModelError(f"The agent '{self._key}' failed: {_words(error)}") from None
        finally:
            watch.stop()
            flow.close()
        return ModelResult()

    def _work(self) -> Loop:
        """Where the agent runs. Raises `ModelError` once that has ended."""
        if self._loop is None:
            raise ModelError(f"The agent '{self._key}' is being stopped")
        return self._loop

    def _left_behind(self, _: Any) -> None:
        self._log.warn("the agent '{key}' does not end; it is left behind", key=self._key)


def _arguments(function: Callable[..., Any], request: ModelRequest, entry: ModelEntry) -> tuple[Any, ...]:
    """What the agent's parameters ask for."""
    said = [message for message in request.messages if message.role in ("user", "assistant")]
    system = [message.content for message in request.messages if message.role == "system"]
    context = Context(
        session_id=request.session_id,
        system_prompt="\n\n".join(system),
        messages=[{"role": message.role, "content": message.content} for message in said],
        images=said[-1].images if said else (),
        settings=entry.extra,
        depth=request.depth,
    )
    text = said[-1].content if said else ""
    positional = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and (parameter.default is parameter.empty or name == "context")
    ]
    match positional:
        case ["messages"]:
            return (context.messages,)
        case [_]:
            return (text,)
        case _:
            return (text, context)


def _words(error: BaseException) -> str:
    return first_line(str(error)) or type(error).__name__
