"""OpenAI's endpoints."""

from ..dialects import openai
from ..dialects.names import find_model
from .endpoints import Endpoints, new_app
from .site import Intake


class OpenAIEndpoints(Endpoints):
    """`/v1/...`, as OpenAI's API reference has it."""

    app = new_app()
    dialect = openai

    @app.route("/v1/models", methods=["GET"])
    def models(self, request: Intake) -> bytes:
        """The enabled models."""
        return self._json(request, openai.models(self._agent.models()))

    @app.route("/v1/models/<path:name>", methods=["GET"])
    def model(self, request: Intake, name: str) -> bytes:
        """One model."""
        return self._json(request, openai.model(find_model(name, self._agent.models())))

    @app.route("/v1/chat/completions", methods=["POST"])
    async def chat(self, request: Intake) -> bytes:
        """A chat turn, streamed if the client asks for it."""
        parsed = openai.parse_chat(request.content.read())
        encoder = openai.ChatEncoder(parsed.model, self._now(), parsed.include_usage)
        return await self._converse(request, parsed, encoder)
