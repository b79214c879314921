"""Anthropic's endpoints."""

from functools import partial

from ..dialects import anthropic
from ..dialects.base import ChatRequest
from ..dialects.names import find_model
from .endpoints import Answer, Endpoints, new_app
from .site import Intake


class AnthropicEndpoints(Endpoints):
    """`/v1/messages...`, and the model lists for who asks with Anthropic's headers."""

    app = new_app()
    dialect = anthropic

    @app.route("/v1/messages", methods=["POST"])
    def message(self, request: Intake) -> Answer:
        """A turn, streamed if the client asks for it."""
        return self._asked(request, anthropic.parse, partial(self._message, request))

    @app.route("/v1/messages/count_tokens", methods=["POST"])
    def count_tokens(self, request: Intake) -> Answer:
        """About how many tokens a request would be, if all of it went to a model."""
        return self._asked(request, self._count, partial(self._json, request))

    def _message(self, request: Intake, parsed: ChatRequest) -> Answer:
        return self._converse(request, parsed, anthropic.MessageEncoder(parsed.model))

    def _count(self, body: bytes) -> bytes:
        return anthropic.token_count(self._agent.estimate(anthropic.parse_count(body)))

    @app.route("/v1/models", methods=["GET"])
    def models(self, request: Intake) -> bytes:
        """The enabled models."""
        return self._json(request, anthropic.models(self._models(request)))

    @app.route("/v1/models/<path:name>", methods=["GET"])
    def model(self, request: Intake, name: str) -> bytes:
        """One model."""
        return self._json(request, anthropic.model(find_model(name, self._known(request))))
