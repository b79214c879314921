"""OpenAI's endpoints."""

from collections.abc import Callable
from functools import partial

from ..dialects import openai, openai_completions, openai_embeddings, openai_responses
from ..dialects.base import ChatRequest, Encoder
from ..dialects.names import find_model
from ..dialects.openai_embeddings import PackableRequest
from ..dialects.openai_responses import ResponseRequest
from ..seams.errors import NotFound
from .endpoints import Answer, Endpoints, new_app
from .site import Intake


class OpenAIEndpoints(Endpoints):
    """`/v1/...`, as OpenAI's API reference has it."""

    app = new_app()
    dialect = openai

    @app.route("/v1/models", methods=["GET"])
    def models(self, request: Intake) -> bytes:
        """The enabled models."""
        return self._json(request, openai.models(self._models(request)))

    @app.route("/v1/models/<path:name>", methods=["GET"])
    def model(self, request: Intake, name: str) -> bytes:
        """One model."""
        return self._json(request, openai.model(find_model(name, self._known(request))))

    @app.route("/v1/chat/completions", methods=["POST"])
    def chat(self, request: Intake) -> Answer:
        """A chat turn, streamed if the client asks for it."""
        return self._asked(request, openai.parse_chat, partial(self._chat, request, openai.ChatEncoder))

    @app.route("/v1/completions", methods=["POST"])
    def completion(self, request: Intake) -> Answer:
        """A turn from a bare prompt, streamed if the client asks for it."""
        chat = partial(self._chat, request, openai_completions.CompletionEncoder)
        return self._asked(request, openai_completions.parse, chat)

    @app.route("/v1/responses", methods=["POST"])
    def response(self, request: Intake) -> Answer:
        """A turn in the form of a response, streamed if the client asks for it."""
        return self._asked(request, openai_responses.parse, partial(self._response, request))

    def _chat(
        self, request: Intake, encoder: Callable[[str, float, bool], Encoder], parsed: ChatRequest
    ) -> Answer:
        return self._converse(request, parsed, encoder(parsed.model, self._now(), parsed.include_usage))

    def _response(self, request: Intake, parsed: ResponseRequest) -> Answer:
        return self._converse(request, parsed, openai_responses.ResponseEncoder(parsed, self._now()))

    @app.route("/v1/responses/<path:_>", methods=["GET", "POST", "DELETE"])
    def kept_response(self, request: Intake, _: str) -> bytes:
        """Nothing: what was said is in the session."""
        raise NotFound("Responses are not kept here; the conversation goes on in the agent's own session.")

    @app.route("/v1/embeddings", methods=["POST"])
    def embeddings(self, request: Intake) -> Answer:
        """Vectors of texts, outside any session."""
        return self._asked(request, openai_embeddings.parse, partial(self._vectors, request))

    async def _vectors(self, request: Intake, parsed: PackableRequest) -> bytes:
        pieces = openai_embeddings.answer(parsed, await self._embed(request, parsed))
        return self._json(request, await self._joined(pieces))
