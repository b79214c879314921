"""Ollama's endpoints."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from ..dialects import ollama, ollama_embed, ollama_manage, ollama_models
from ..dialects.base import ChatRequest, Encoder
from ..dialects.names import find_model
from ..dialects.vectors import EmbedRequest
from ..seams.errors import AgentError
from ..seams.types import Embeddings
from .endpoints import Answer, Endpoints, new_app
from .site import Intake


class OllamaEndpoints(Endpoints):
    """`/api/...`, as Ollama's `server/routes.go` has it. Klein answers HEAD wherever there is a GET."""

    app = new_app()
    dialect = ollama

    # -- the server

    @app.route("/api/version", methods=["GET"])
    def version(self, request: Intake) -> bytes:
        """The version of Ollama whose dialect this is."""
        return self._json(request, ollama_models.version())

    @app.route("/api/status", methods=["GET"])
    def status(self, request: Intake) -> bytes:
        """Whether models of ollama.com can be had here; they cannot."""
        return self._json(request, ollama_models.status())

    @app.route("/api/experimental/model-recommendations", methods=["GET"])
    def recommendations(self, request: Intake) -> bytes:
        """What the CLI's menu recommends: the models that are here for who asks."""
        return self._json(request, ollama_models.recommendations(self._models(request)))

    @app.route("/api/me", methods=["POST"])
    @app.route("/api/signout", methods=["POST"])
    @app.route("/api/user/keys/<path:key>", methods=["DELETE"])
    def account(self, request: Intake, key: str = "") -> bytes:
        """The account at ollama.com."""
        raise ollama_manage.no_account()

    # -- models

    @app.route("/api/tags", methods=["GET"])
    def tags(self, request: Intake) -> bytes:
        """The enabled models."""
        return self._json(request, ollama_models.tags(self._models(request), self._takes_tools(request)))

    @app.route("/api/ps", methods=["GET"])
    def ps(self, request: Intake) -> bytes:
        """The models that are ready to answer."""
        ready = [info for info in self._models(request) if info.loaded]
        return self._json(request, ollama_models.ps(ready, self._takes_tools(request)))

    @app.route("/api/show", methods=["POST"])
    def show(self, request: Intake) -> bytes:
        """One model's card."""
        name = ollama_models.parse_name(request.content.read())
        return self._json(
            request, ollama_models.show(find_model(name, self._known(request)), self._takes_tools(request))
        )

    def _takes_tools(self, request: Intake) -> bool:
        return self._guard.allowance(request).takes_tools

    @app.route("/api/pull", methods=["POST"])
    def pull(self, request: Intake) -> bytes:
        """Getting a model, which is done already if it is one of ours."""
        asked = ollama_manage.parse_pull(request.content.read())
        progress = ollama_manage.pull(asked, self._models(request))
        self._json(request, progress)
        if asked.stream:
            request.setHeader(b"content-type", ollama.LINES_TYPE)
        return progress

    @app.route("/api/push", methods=["POST"])
    def push(self, request: Intake) -> bytes:
        """Publishing a model."""
        raise self._refusal(request, "publish", ollama_models.parse_name(request.content.read()))

    @app.route("/api/copy", methods=["POST"])
    def copy(self, request: Intake) -> bytes:
        """Giving a model a second name."""
        raise self._refusal(request, "copy", ollama_manage.parse_copy(request.content.read()))

    @app.route("/api/delete", methods=["DELETE"])
    def delete(self, request: Intake) -> bytes:
        """Removing a model."""
        raise self._refusal(request, "delete", ollama_models.parse_name(request.content.read()))

    @app.route("/api/create", methods=["POST"])
    def create(self, request: Intake) -> bytes:
        """Making a model."""
        ollama_models.parse_name(request.content.read())
        raise ollama_manage.refusal("create")

    @app.route("/api/blobs/<digest>", methods=["HEAD", "POST"])
    def blob(self, request: Intake, digest: str) -> bytes:
        """A piece of a model to be made, which the CLI looks for and then uploads."""
        raise ollama_manage.no_blob() if request.method == b"HEAD" else ollama_manage.refusal("upload")

    def _refusal(self, request: Intake, deed: str, name: str) -> AgentError:
        """Why `deed` is not done to the model called `name`; raises NoSuchModel if there is none."""
        find_model(name, self._models(request))
        return ollama_manage.refusal(deed)

    # -- embeddings

    @app.route("/api/embed", methods=["POST"])
    def embed(self, request: Intake) -> Answer:
        """Vectors of texts."""
        began = self._clock.seconds()
        return self._asked(request, ollama_embed.parse_embed, partial(self._embedded, request, began))

    @app.route("/api/embeddings", methods=["POST"])
    def old_embed(self, request: Intake) -> Answer:
        """The vector of one text."""
        return self._asked(request, ollama_embed.parse_old_embed, partial(self._old_embedded, request))

    async def _embedded(self, request: Intake, began: float, asked: EmbedRequest) -> bytes:
        made = await self._vectors(request, asked)
        pieces = ollama_embed.embed(asked, made, self._clock.seconds() - began)
        return self._json(request, await self._joined(pieces))

    async def _old_embedded(self, request: Intake, asked: EmbedRequest) -> bytes:
        return self._json(request, ollama_embed.old_embed(await self._vectors(request, asked)))

    async def _vectors(self, request: Intake, asked: EmbedRequest) -> Embeddings:
        """Ollama has no vectors for no text, rather than an error."""
        if self._agent.embedders() and not asked.texts:
            return Embeddings(vectors=())
        return await self._embed(request, asked)

    # -- conversation

    @app.route("/api/chat", methods=["POST"])
    def chat(self, request: Intake) -> Answer:
        """A chat turn, streamed unless the client says otherwise."""
        return self._asked(
            request, ollama.parse_chat, partial(self._turn, request, "chat", ollama.ChatEncoder)
        )

    @app.route("/api/generate", methods=["POST"])
    def generate(self, request: Intake) -> Answer:
        """A turn from a bare prompt, streamed unless the client says otherwise."""
        turn = partial(self._turn, request, "generate", ollama.GenerateEncoder)
        return self._asked(request, ollama.parse_generate, turn)

    def _turn(
        self,
        request: Intake,
        kind: Literal["chat", "generate"],
        encoder: Callable[[str, float], Encoder],
        parsed: ChatRequest,
    ) -> Answer:
        if parsed.lifecycle is not None:
            return self._json(request, ollama.lifecycle(parsed, kind, self._now()))
        return self._converse(request, parsed, encoder(parsed.model, self._now()))
