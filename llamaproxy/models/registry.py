"""From the entries of `llm-models.json` to models that can be asked.

The module of a type is loaded with its first entry: what all of them need would be megabytes of an idle server.
"""

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from msgspec import Struct, field
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from .. import plugins
from ..config import ConfigError, Home, ModelEntry, ModelRegistry
from ..config.dropins import drop_ins, told
from ..seams.interfaces import IEmbedder, IModel, IModelType
from ..sockets import tls
from .embedded.keeper import AnyKeeper
from .embedding import Embedding, read_ollama, read_openai
from .remote import RemoteEmbedder, RemoteModel, locator, who_is
from .upstream.bare import BareClient
from .upstream.client import Http, Paths
from .upstream.upstream import Upstream, bearer

# Bytes that the kernel keeps (nearly) of a stream that is held. With half of it a stream at full speed comes in pieces
# so small that a token costs a tenth more.
KERNEL_BUFFER = 32 * 1024

_log = Logger()


class ModelContext(Struct, frozen=True, kw_only=True):
    """What a model may use of the server that it lives in.

    `environ` looks a variable up in the environment, then in `.env`; `home` is where the entries stand and the local
    weights lie; `modified_at` is when the operator last changed the entries, in Unix seconds. `clients` are those that
    `http` has given out. `keepers` are those who keep the embedded models, by key, where another process does.
    """

    reactor: Any
    environ: Callable[[str], str | None]
    home: Home
    modified_at: float = 0.0
    clients: list[Http] = field(default_factory=list)
    keepers: Callable[[str], AnyKeeper | None] = lambda key: None

    def http(self, entry: ModelEntry) -> Http:
        """What asks the server of `entry`: the fast client where it is plain HTTP, unless the entry says otherwise."""
        if entry.plain_http or urlsplit(entry.host).scheme == "https":
            from .upstream.plain import PlainClient

            client: Http = PlainClient(self.reactor, entry.connect_timeout)
        else:
            paths = Paths(self.reactor, entry.connect_timeout, KERNEL_BUFFER)
            client = BareClient(self.reactor, paths.to)
        self.clients.append(client)
        return client

    def close(self) -> Deferred[Any]:
        """Closes the connections that were kept for next calls; fires when they are."""
        return gatherResults([client.close() for client in self.clients])


def model_context(
    reactor: Any,
    environ: Callable[[str], str | None],
    home: Home,
    keepers: Callable[[str], AnyKeeper | None] = lambda key: None,
) -> ModelContext:
    """The context of a real server."""
    file = home.models_file
    return ModelContext(
        reactor=reactor,
        environ=environ,
        home=home,
        modified_at=file.stat().st_mtime if file.exists() else 0.0,
        keepers=keepers,
    )


BackEnd = IModel | IEmbedder
Builder = Callable[[str, ModelEntry, ModelContext], BackEnd]


def _openai(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    from .openai import OpenAIChat

    upstream = _upstream(key, entry, context)
    if entry.embedding:
        return RemoteEmbedder(
            key, entry, context.modified_at, Embedding(entry, upstream, "/embeddings", read_openai)
        )
    return RemoteModel(key, entry, context.modified_at, OpenAIChat(entry, upstream))


def _ollama(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    from .ollama import OllamaChat

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
    from .embedded.local import LocalEmbedder, LocalModel

    kind = LocalEmbedder if entry.embedding else LocalModel
    keeper = context.keepers(key)
    return kind(key, entry, context.reactor, context.http(entry), context.home.weights, keeper)


def _anthropic(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    from .anthropic import AnthropicChat, anthropic_headers

    upstream = _upstream(key, entry, context, anthropic_headers)
    return RemoteModel(key, entry, context.modified_at, AnthropicChat(entry, upstream))


def _agent(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    from .agent import AgentChat, RemoteAgent

    chat = AgentChat(key, entry, _upstream(key, entry, context), context.reactor)
    return RemoteAgent(key, entry, context.modified_at, chat)


def _python(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    from .python.model import PythonModel

    return PythonModel(key, entry, context.reactor, context.home)


_BUILT_IN: dict[str, Builder] = {
    "AGENT": _agent,
    "ANTHROPIC": _anthropic,
    "OPENAI": _openai,
    "OLLAMA": _ollama,
    "LOCAL": _local,
    "PYTHON": _python,
}


def build_models(
    registry: ModelRegistry, context: ModelContext, needed: str | None = None
) -> dict[str, IModel]:
    """The enabled models to talk to, by key, in the registry's order.

    Raises `ConfigError` for an entry that no server could make a model of; with `needed`, only if that is its key,
    while any other one is left out with a line in the log.
    """
    return cast(dict[str, IModel], _build(registry, context, needed, embedding=False))


def build_embedders(
    registry: ModelRegistry, context: ModelContext, needed: str | None = None
) -> dict[str, IEmbedder]:
    """The enabled models that make embeddings; otherwise as `build_models`."""
    return cast(dict[str, IEmbedder], _build(registry, context, needed, embedding=True))


def find_builder(kind: str) -> Builder:
    """What makes the models of a type, ours or a plugin's. Raises `LookupError`, which says what types there are."""
    if kind in _BUILT_IN:
        return _BUILT_IN[kind]
    # Looked for only now: reading every plugin folder would cost each start of the server.
    tls.load()
    theirs = drop_ins(plugins, IModelType)
    types = {plugin.name: plugin.build for plugin in theirs.found}
    if kind not in types:
        known = " or ".join(sorted({*_BUILT_IN, *types}))
        raise LookupError(f"expected {known}, got {kind!r}{told(theirs.broken)}")
    return types[kind]


def _build(
    registry: ModelRegistry, context: ModelContext, needed: str | None, *, embedding: bool
) -> dict[str, BackEnd]:
    built: dict[str, BackEnd] = {}
    for key, entry in registry.models.items():
        if entry.enabled and entry.embedding is embedding:
            try:
                built[key] = _built(key, entry, context)
            except ConfigError as error:
                if needed in (None, key):
                    raise
                _log.warn("model '{key}' is left out: {error}", key=key, error=str(error))
    return built


def _built(key: str, entry: ModelEntry, context: ModelContext) -> BackEnd:
    file, where = context.home.models_file, f"models.{key}"
    try:
        builder = find_builder(entry.type)
    except LookupError as unknown:
        remedy = "Correct it, or install the plugin that it needs."
        raise ConfigError(file, f"{where}.type", str(unknown), remedy) from None
    try:
        model = builder(key, entry, context)
    except ConfigError:
        raise
    except Exception as error:  # whatever a plugin comes up with
        problem = f"type {entry.type} cannot make a model of it: {error}"
        raise ConfigError(file, where, problem, "Correct the entry, or mend the plugin.") from error
    if entry.embedding and not IEmbedder.providedBy(model):
        raise ConfigError(
            file, f"{where}.embedding", f"type {entry.type} makes no embeddings", "Remove the key."
        )
    return model
