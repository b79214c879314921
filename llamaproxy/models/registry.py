"""From the entries of `llm-models.json` to models that can be asked."""

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from msgspec import Struct, field
from twisted.internet.defer import Deferred, gatherResults

from ..agent.interfaces import IEmbedder, IModel, IModelType
from ..config import ConfigError, Home, ModelEntry, ModelRegistry
from .agent import AgentChat, RemoteAgent
from .anthropic import AnthropicChat, anthropic_headers
from .bare import BareClient
from .client import Endpoints, Http, PlainClient
from .embedding import Embedding, read_ollama, read_openai
from .local import LocalEmbedder, LocalModel
from .ollama import OllamaChat
from .openai import OpenAIChat
from .python import PythonModel
from .remote import RemoteEmbedder, RemoteModel, locator, who_is
from .upstream import Upstream, bearer


class ModelContext(Struct, frozen=True, kw_only=True):
    """What a model may use of the server that it lives in.

    `environ` looks a variable up in the environment, then in `.env`; `home` is where the entries stand and the local
    weights lie; `modified_at` is when the operator last changed the entries, in Unix seconds. `clients` are those that
    `http` has given out.
    """

    reactor: Any
    environ: Callable[[str], str | None]
    home: Home
    modified_at: float = 0.0
    clients: list[Http] = field(default_factory=list)

    def http(self, entry: ModelEntry) -> Http:
        """What asks the server of `entry`: the fast client where it is plain HTTP, unless the entry says otherwise."""
        if entry.plain_http or urlsplit(entry.host).scheme == "https":
            client: Http = PlainClient(self.reactor, entry.connect_timeout)
        else:
            client = BareClient(self.reactor, Endpoints(self.reactor, entry.connect_timeout).endpointForURI)
        self.clients.append(client)
        return client

    def close(self) -> Deferred[Any]:
        """Closes the connections that were kept for next calls; fires when they are."""
        return gatherResults([client.close() for client in self.clients])


def model_context(reactor: Any, environ: Callable[[str], str | None], home: Home) -> ModelContext:
    """The context of a real server."""
    file = home.models_file
    return ModelContext(
        reactor=reactor,
        environ=environ,
        home=home,
        modified_at=file.stat().st_mtime if file.exists() else 0.0,
    )


BackEnd = IModel | IEmbedder
Builder = Callable[[str, ModelEntry, ModelContext], BackEnd]


def _openai(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    upstream = _upstream(key, entry, context)
    if entry.embedding:
        return RemoteEmbedder(
            key, entry, context.modified_at, Embedding(entry, upstream, "/embeddings", read_openai)
        )
    return RemoteModel(key, entry, context.modified_at, OpenAIChat(entry, upstream))


def _ollama(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    upstream = _upstream(key, entry, context)
    if entry.embedding:
        return RemoteEmbedder(
            key, entry, context.modified_at, Embedding(entry, upstream, "/api/embed", read_ollama)
        )
    return RemoteModel(key, entry, context.modified_at, OllamaChat(entry, upstream))


def _upstream(
    key: str, entry: ModelEntry, context: ModelContext, headers: Callable[[str], dict[str, str]] = bearer
) -> Upstream:
    locate = locator(key, entry, context.environ)
    http = context.http(entry)
    return Upstream(who_is(key), entry, http, context.reactor, locate, headers)


def _local(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    kind = LocalEmbedder if entry.embedding else LocalModel
    return kind(key, entry, context.reactor, context.http(entry), context.home.weights)


def _anthropic(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    upstream = _upstream(key, entry, context, anthropic_headers)
    return RemoteModel(key, entry, context.modified_at, AnthropicChat(entry, upstream))


def _agent(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    chat = AgentChat(key, entry, _upstream(key, entry, context), context.reactor)
    return RemoteAgent(key, entry, context.modified_at, chat)


def _python(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    return PythonModel(key, entry, context.reactor, context.home)


_BUILT_IN: dict[str, Builder] = {
    "AGENT": _agent,
    "ANTHROPIC": _anthropic,
    "OPENAI": _openai,
    "OLLAMA": _ollama,
    "LOCAL": _local,
    "PYTHON": _python,
}


def build_models(registry: ModelRegistry, context: ModelContext) -> dict[str, IModel]:
    """The enabled models to talk to, by key, in the registry's order.

    Raises `ConfigError` for an entry that no server could make a model of.
    """
    return cast(dict[str, IModel], _build(registry, context, embedding=False))


def build_embedders(registry: ModelRegistry, context: ModelContext) -> dict[str, IEmbedder]:
    """The enabled models that make embeddings; otherwise as `build_models`."""
    return cast(dict[str, IEmbedder], _build(registry, context, embedding=True))


def _build(registry: ModelRegistry, context: ModelContext, *, embedding: bool) -> dict[str, BackEnd]:
    built: dict[str, BackEnd] = {}
    for key, entry in registry.models.items():
        if entry.enabled and entry.embedding is embedding:
            built[key] = _builder(key, entry, context)(key, entry, context)
            if embedding and not IEmbedder.providedBy(built[key]):
                where, problem = f"models.{key}.embedding", f"type {entry.type} makes no embeddings"
                raise ConfigError(context.home.models_file, where, problem, "Remove the key.")
    return built


def _builder(key: str, entry: ModelEntry, context: ModelContext) -> Builder:
    if entry.type in _BUILT_IN:
        return _BUILT_IN[entry.type]
    # Looked for only now: reading every plugin folder would cost each start of the server.
    from twisted.plugin import getPlugins

    from .. import plugins

    types = {plugin.name: plugin.build for plugin in getPlugins(IModelType, plugins)}
    if entry.type not in types:
        problem = f"expected {' or '.join(sorted({*_BUILT_IN, *types}))}, got {entry.type!r}"
        remedy = "Correct it, or install the plugin that it needs."
        raise ConfigError(context.home.models_file, f"models.{key}.type", problem, remedy)
    return types[entry.type]
