"""From the entries of `llm-models.json` to models that can be asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from msgspec import Struct
from treq.client import HTTPClient
from twisted.web.client import HTTPConnectionPool

from ..agent.interfaces import IEmbedder, IModel, IModelType
from ..config.schema import ModelEntry, ModelRegistry
from .client import connection_pool, http_client
from .embedding import Embedding, read_ollama, read_openai
from .local import LocalEmbedder, LocalModel
from .ollama import OllamaChat
from .openai import OpenAIChat
from .remote import RemoteEmbedder, RemoteModel, locator, who_is
from .upstream import Upstream


class ModelContext(Struct, frozen=True, kw_only=True):
    """What a model may use of the server that it lives in.

    `pool` holds the connections of all models; `environ` looks a variable up in the environment, then in `.env`;
    `weights` is the folder of local weights.
    """

    reactor: Any
    pool: HTTPConnectionPool
    environ: Callable[[str], str | None]
    weights: Path

    def http(self, connect_timeout: float) -> HTTPClient:
        """A treq client on the shared pool; `connect_timeout` is in seconds."""
        return http_client(self.reactor, self.pool, connect_timeout)


def model_context(reactor: Any, environ: Callable[[str], str | None], weights: Path) -> ModelContext:
    """The context of a real server."""
    return ModelContext(reactor=reactor, pool=connection_pool(reactor), environ=environ, weights=weights)


BackEnd = IModel | IEmbedder


def _openai(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    upstream = _upstream(key, entry, context)
    if entry.embedding:
        return RemoteEmbedder(key, entry, Embedding(entry, upstream, "/embeddings", read_openai))
    return RemoteModel(key, entry, OpenAIChat(entry, upstream))


def _ollama(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    upstream = _upstream(key, entry, context)
    if entry.embedding:
        return RemoteEmbedder(key, entry, Embedding(entry, upstream, "/api/embed", read_ollama))
    return RemoteModel(key, entry, OllamaChat(entry, upstream))


def _upstream(key: str, entry: ModelEntry, context: ModelContext) -> Upstream:
    http = context.http(entry.connect_timeout)
    return Upstream(who_is(key, entry), entry, http, context.reactor, locator(key, entry, context.environ))


def _local(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    kind = LocalEmbedder if entry.embedding else LocalModel
    return kind(key, entry, context.reactor, context.http(entry.connect_timeout), context.weights)


_BUILT_IN: dict[str, Callable[[str, ModelEntry, ModelContext], BackEnd]] = {
    "OPENAI": _openai,
    "OLLAMA": _ollama,
    "LOCAL": _local,
}


def build_models(registry: ModelRegistry, context: ModelContext) -> dict[str, IModel]:
    """The enabled models to talk to, by key, in the registry's order.

    Raises `ValueError` in words for the operator.
    """
    return cast(dict[str, IModel], _build(registry, context, embedding=False))


def build_embedders(registry: ModelRegistry, context: ModelContext) -> dict[str, IEmbedder]:
    """The enabled models that make embeddings; otherwise as `build_models`."""
    return cast(dict[str, IEmbedder], _build(registry, context, embedding=True))


def _build(registry: ModelRegistry, context: ModelContext, *, embedding: bool) -> dict[str, BackEnd]:
    return {
        key: _builder(key, entry.type)(key, entry, context)
        for key, entry in registry.models.items()
        if entry.enabled and entry.embedding is embedding
    }


def _builder(key: str, kind: str) -> Callable[[str, ModelEntry, ModelContext], BackEnd]:
    if kind in _BUILT_IN:
        return _BUILT_IN[kind]
    # Looked for only now: reading every plugin folder would cost each start of the server.
    from twisted.plugin import getPlugins

    from .. import plugins

    types = {plugin.name: plugin.build for plugin in getPlugins(IModelType, plugins)}
    if kind not in types:
        raise ValueError(
            f"models.{key}.type is {kind!r}; it can be {', '.join(sorted({*_BUILT_IN, *types}))}"
        )
    return types[kind]
