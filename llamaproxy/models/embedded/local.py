"""The `LOCAL` type: weights on this machine, run by llama.cpp in a child process, asked like any OpenAI server."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ...config.schema import ModelEntry
from ...seams.errors import ModelError, ModelTimeout
from ...seams.interfaces import IDeltaReceiver, IEmbedder, IModel
from ...seams.types import Embeddings, ModelInfo, ModelRequest, ModelResult
from ..card import card
from ..embedding import Embedding, read_openai
from ..openai import OpenAIChat
from ..requests.words import in_words
from ..upstream.bodies import beginning_of
from ..upstream.client import Http
from ..upstream.upstream import Upstream
from .gguf import Weights, read_weights
from .keeper import AnyKeeper, Keeper

# Tokens per reply when the entry does not say: the memory for them is taken when the model is loaded.
CONTEXT_LENGTH = 4096
# Small weights fall into saying one sentence until their limit ends it: what was said lately becomes less likely, and a
# run of words that was said before much less. An entry's `extra` may say otherwise.
SAMPLING = {"repeat_penalty": 1.1, "dry_multiplier": 0.8}


class Local:
    """One `LOCAL` entry; `folder` is where weights are looked for by name.

    `keeper` keeps the child process: it is one of our own unless another process has it.
    """

    _log = Logger()

    def __init__(
        self,
        key: str,
        entry: ModelEntry,
        reactor: Any,
        http: Http,
        folder: Path,
        keeper: AnyKeeper | None = None,
    ) -> None:
        self._key = key
        self._entry = entry
        self._reactor = reactor
        self._who = f"The embedded model '{key}'"
        self._path = weights_path(folder, entry.model_id)
        self._context_length = entry.context_length or CONTEXT_LENGTH
        self._weights: Weights | None = None
        self._size, self._modified_at = 0, 0.0
        self.keeper: AnyKeeper = keeper or Keeper(reactor, self._who, self._settings, partial(_ask, http))
        self._upstream = Upstream(self._who, entry, http, reactor, self.keeper.serving)

    def info(self) -> ModelInfo:
        """See `IBackEnd`. What the weights say of themselves is there once `start` has fired."""
        weights = self._weights or Weights()
        return card(
            self._key,
            self._entry,
            context_length=self._context_length,
            embedding_length=weights.embedding_length,
            size=self._size,
            family=weights.family,
            parameter_size=weights.parameter_size,
            quantization=weights.quantization,
            modified_at=self._modified_at,
            loaded=self.keeper.running,
        )

    def start(self) -> Deferred[None]:
        """See `IBackEnd`."""
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        """See `IBackEnd`."""
        return self.keeper.stop()

    def _settings(self) -> dict[str, Any]:
        """What the child reads. Weights made for chat do not say how to make one vector of many: by their mean."""
        return {
            "path": str(self._path),
            "context": self._context_length,
            "parallel": self._entry.parallel,
            "threads": self._entry.threads,
            "embedding": self._entry.embedding,
            "mean": not (self._weights and self._weights.pools),
        }

    async def _start(self) -> None:
        await self._inspect(f"weights {self._path}")
        if self._entry.start == "eager":
            self.keeper.serving().addErrback(self._not_loaded)

    async def _load(self, limit: float) -> float:
        """Has the weights loaded, which counts as loading and not as silence; returns the seconds that it took.

        At most `limit` of them.
        """
        began = self._reactor.seconds()
        # Where they lie is for the operator only, who hears of it at the start.
        await self._inspect("its weights")
        try:
            await self.keeper.serving().addTimeout(limit, self._reactor)
        except TimeoutError:
            raise ModelTimeout(f"{self._who} is still being loaded; try again in a while") from None
        return float(self._reactor.seconds() - began)

    async def _inspect(self, weights: str) -> None:
        """Looks into the weights, once; raises `ModelError`, which calls them so, if there are none."""
        if self._weights is not None:
            return
        pool = self._reactor.getThreadPool()
        try:
            stat = await deferToThreadPool(self._reactor, pool, self._path.stat)
            self._weights = await deferToThreadPool(self._reactor, pool, read_weights, self._path)
        except FileNotFoundError:
            where = Path(self._entry.model_id)
            remedy = "" if where.is_absolute() else f"; run: agentctl model-pull {where}"
            raise ModelError(f"{self._who}: {weights} are missing{remedy}") from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ModelError(f"{self._who}: {weights} cannot be read: {why}") from None
        self._size, self._modified_at = stat.st_size, stat.st_mtime

    def _not_loaded(self, failure: Failure) -> None:
        failure.trap(ModelError)
        self._log.warn("{error}; the next message tries again", error=failure.getErrorMessage())


@implementer(IModel)
class LocalModel(Local):
    """Weights to talk to."""

    def __init__(self, key: str, entry: ModelEntry, *parts: Any) -> None:
        super().__init__(key, entry, *parts)
        self._chat = OpenAIChat(replace(entry, extra={**SAMPLING, **entry.extra}), self._upstream)

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """See `IModel`. Loads the model first if need be."""
        return Deferred.fromCoroutine(self._ask(request, receiver))

    async def _ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> ModelResult:
        loading = await self._load(self._upstream.time_limit(request))
        if self._weights is not None and not self._weights.knows_tools:
            request = in_words(request)
        return replace(await self._chat.ask(request, receiver), load_seconds=loading)


@implementer(IEmbedder)
class LocalEmbedder(Local):
    """Weights that make embeddings."""

    def __init__(self, key: str, entry: ModelEntry, *parts: Any) -> None:
        super().__init__(key, entry, *parts)
        self._embedding = Embedding(entry, self._upstream, "/embeddings", read_openai)

    def embed(self, texts: Sequence[str], dimensions: int | None = None) -> Deferred[Embeddings]:
        """See `IEmbedder`. Loads the model first if need be."""
        return Deferred.fromCoroutine(self._embed(texts, dimensions))

    async def _embed(self, texts: Sequence[str], dimensions: int | None) -> Embeddings:
        await self._load(self._entry.llm_call_timeout)
        return await self._embedding.ask(texts, dimensions)


async def _health(http: Http, url: str) -> bytes:
    response = await http.request("GET", f"{url.removesuffix('/v1')}/health", {}, b"")
    return await beginning_of(response, 1024)


def _ask(http: Http, url: str) -> Deferred[bytes]:
    """Asks the child at `url` whether it is well; any answer is one."""
    return Deferred.fromCoroutine(_health(http, url))


def weights_path(folder: Path, model_id: str) -> Path:
    """`smollm2` is `smollm2.gguf` in `folder`; an absolute path is itself."""
    return folder / (model_id if Path(model_id).is_absolute() else f"{model_id}.gguf")
