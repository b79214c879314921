"""Anthropic's endpoints."""

from ..dialects import anthropic
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
        parsed = anthropic.parse(request.content.read())
        return self._converse(request, parsed, anthropic.MessageEncoder(parsed.model))

    @app.route("/v1/messages/count_tokens", methods=["POST"])
    def count_tokens(self, request: Intake) -> bytes:
        """About how many tokens a request would be, if all of it went to a model."""
        messages = anthropic.parse_count(request.content.read())
        return self._json(request, anthropic.token_count(self._agent.estimate(messages)))

    @app.route("/v1/models", methods=["GET"])
    def models(self, request: Intake) -> bytes:
        """The enabled models."""
        return self._json(request, anthropic.models(self._agent.models()))

    @app.route("/v1/models/<path:name>", methods=["GET"])
    def model(self, request: Intake, name: str) -> bytes:
        """One model."""
        return self._json(request, anthropic.model(find_model(name, self._known())))
