"""The endpoints: which path is parsed by which dialect, and who answers it.

The site has already made the path plain (`/v1/api/chat`, `//api/chat/` and `/api/chat` are one path here, and so are
`/models` and `/v1/models`) and has turned away who may not come in.
"""

from collections.abc import Callable
from time import time
from typing import Any, Literal

from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..agent.interfaces import IAgent
from ..dialects import ollama, openai
from ..dialects.base import ChatRequest, Encoder
from . import errors
from .guard import Guard
from .site import Intake
from .streaming import StreamedReply, WholeReply


class Api:
    """The routes over one agent. `now` gives Unix seconds for the wire, `clock` runs the timers."""

    app = Klein()

    def __init__(
        self,
        agent: IAgent,
        guard: Guard,
        clock: IReactorTime,
        stall_timeout: float = 300.0,
        now: Callable[[], float] = time,
    ) -> None:
        self._agent = agent
        self._guard = guard
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._now = now

    # -- Ollama

    @app.route("/api/version", methods=["GET"])
    def version(self, request: Intake) -> bytes:
        """The version of Ollama whose dialect this is."""
        return _json(request, ollama.version())

    @app.route("/api/tags", methods=["GET"])
    def tags(self, request: Intake) -> bytes:
        """The enabled models."""
        return _json(request, ollama.tags(self._agent.models()))

    @app.route("/api/ps", methods=["GET"])
    def ps(self, request: Intake) -> bytes:
        """The models that are ready to answer."""
        return _json(request, ollama.ps([info for info in self._agent.models() if info.loaded]))

    @app.route("/api/show", methods=["POST"])
    def show(self, request: Intake) -> bytes:
        """One model's card."""
        name = ollama.parse_show(request.content.read())
        return _json(request, ollama.show(ollama.find_model(name, self._agent.models())))

    @app.route("/api/chat", methods=["POST"])
    async def ollama_chat(self, request: Intake) -> bytes:
        """A chat turn, streamed unless the client says otherwise."""
        parsed = ollama.parse_chat(request.content.read())
        return await self._ollama(request, parsed, "chat", ollama.ChatEncoder)

    @app.route("/api/generate", methods=["POST"])
    async def ollama_generate(self, request: Intake) -> bytes:
        """A turn from a bare prompt, streamed unless the client says otherwise."""
        parsed = ollama.parse_generate(request.content.read())
        return await self._ollama(request, parsed, "generate", ollama.GenerateEncoder)

    async def _ollama(
        self,
        request: Intake,
        parsed: ChatRequest,
        kind: Literal["chat", "generate"],
        encoder: Callable[[str, float], Encoder],
    ) -> bytes:
        if parsed.lifecycle is not None:
            return _json(request, ollama.lifecycle(parsed, kind, self._now()))
        return await self._converse(request, parsed, encoder(parsed.model, self._now()))

    # -- OpenAI

    @app.route("/v1/models", methods=["GET"])
    def models(self, request: Intake) -> bytes:
        """The enabled models."""
        return _json(request, openai.models(self._agent.models()))

    @app.route("/v1/models/<path:name>", methods=["GET"])
    def model(self, request: Intake, name: str) -> bytes:
        """One model."""
        return _json(request, openai.model(ollama.find_model(name, self._agent.models())))

    @app.route("/v1/chat/completions", methods=["POST"])
    async def openai_chat(self, request: Intake) -> bytes:
        """A chat turn, streamed if the client asks for it."""
        parsed = openai.parse_chat(request.content.read())
        encoder = openai.ChatEncoder(parsed.model, self._now(), parsed.include_usage)
        return await self._converse(request, parsed, encoder)

    # -- all

    async def _converse(self, request: Intake, parsed: ChatRequest, encoder: Encoder) -> bytes:
        """Takes the turn to the agent and carries the reply back. Klein cancels this when the client leaves."""
        assert parsed.turn is not None
        reply = await self._agent.turn(self._guard.caller(request), parsed.turn)
        if not parsed.stream:
            request.setHeader(b"content-type", openai.JSON_TYPE)
        outlet = StreamedReply if parsed.stream else WholeReply
        await outlet(request, reply, encoder, self._clock, self._stall_timeout).start()
        return b""

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # Klein's type asks for IRequest
    def failed(self, request: Intake, failure: Failure) -> bytes:
        """Everything that went wrong before the first byte; a stream ends itself."""
        error = errors.as_agent_error(failure, request)
        return b"" if request.startedWriting else errors.answer(request, error)

    def resource(self) -> Any:
        """The root of the site."""
        return self.app.resource()


def _json(request: Intake, body: bytes) -> bytes:
    request.setHeader(b"content-type", openai.JSON_TYPE)
    request.setHeader(b"content-length", b"%d" % len(body))
    return body
