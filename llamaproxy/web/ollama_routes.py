"""Ollama's endpoints."""

from collections.abc import Callable
from typing import Literal

from ..dialects import ollama
from ..dialects.base import ChatRequest, Encoder
from .endpoints import Endpoints, new_app
from .site import Intake


class OllamaEndpoints(Endpoints):
    """`/api/...`, as Ollama's `server/routes.go` has it."""

    app = new_app()
    dialect = ollama

    @app.route("/api/version", methods=["GET"])
    def version(self, request: Intake) -> bytes:
        """The version of Ollama whose dialect this is."""
        return self._json(request, ollama.version())

    @app.route("/api/tags", methods=["GET"])
    def tags(self, request: Intake) -> bytes:
        """The enabled models."""
        return self._json(request, ollama.tags(self._agent.models()))

    @app.route("/api/ps", methods=["GET"])
    def ps(self, request: Intake) -> bytes:
        """The models that are ready to answer."""
        return self._json(request, ollama.ps([info for info in self._agent.models() if info.loaded]))

    @app.route("/api/show", methods=["POST"])
    def show(self, request: Intake) -> bytes:
        """One model's card."""
        name = ollama.parse_show(request.content.read())
        return self._json(request, ollama.show(ollama.find_model(name, self._agent.models())))

    @app.route("/api/chat", methods=["POST"])
    async def chat(self, request: Intake) -> bytes:
        """A chat turn, streamed unless the client says otherwise."""
        parsed = ollama.parse_chat(request.content.read())
        return await self._turn(request, parsed, "chat", ollama.ChatEncoder)

    @app.route("/api/generate", methods=["POST"])
    async def generate(self, request: Intake) -> bytes:
        """A turn from a bare prompt, streamed unless the client says otherwise."""
        parsed = ollama.parse_generate(request.content.read())
        return await self._turn(request, parsed, "generate", ollama.GenerateEncoder)

    async def _turn(
        self,
        request: Intake,
        parsed: ChatRequest,
        kind: Literal["chat", "generate"],
        encoder: Callable[[str, float], Encoder],
    ) -> bytes:
        if parsed.lifecycle is not None:
            return self._json(request, ollama.lifecycle(parsed, kind, self._now()))
        return await self._converse(request, parsed, encoder(parsed.model, self._now()))
