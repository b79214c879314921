"""Models that somebody else runs: an HTTP server with a fixed address, and a key from the environment."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from ..config.schema import ModelEntry
from ..config.variables import shown_name
from ..seams.errors import ModelError, ModelTimeout, ModelUnavailable
from ..seams.interfaces import IDeltaReceiver, IEmbedder, IModel
from ..seams.types import Embeddings, ModelInfo, ModelRequest, ModelResult
from .card import card
from .embedding import Embedding
from .requests.vendors import tells_calls
from .upstream.upstream import Server


class Chat(Protocol):
    """A wire format's way of asking for a completion; see `IModel.chat`."""

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """One completion; fails with `ModelError`."""


class _Remote:
    """One entry with a `host`; there is nothing to start and nothing to stop.

    `modified_at` stands for the age of the model, which only its server knows: when its entry was last changed.
    """

    def __init__(self, key: str, entry: ModelEntry, modified_at: float) -> None:
        self._key = key
        self._entry = entry
        self._card = card(key, entry, modified_at=modified_at, tells_calls=tells_calls(entry))

    def info(self) -> ModelInfo:
        """See `IBackEnd`."""
        return self._card

    def start(self) -> Deferred[None]:
        """See `IBackEnd`."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """See `IBackEnd`."""
        return succeed(None)


@implementer(IModel)
class RemoteModel(_Remote):
    """An entry to talk to."""

    def __init__(self, key: str, entry: ModelEntry, modified_at: float, chat: Chat) -> None:
        super().__init__(key, entry, modified_at)
        self._chat = chat
        # It is said to be running once it has answered, and no longer when it cannot be reached.
        self._cards = {answers: replace(self._card, loaded=answers) for answers in (True, False)}
        self._card = self._cards[False]

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """See `IModel`."""
        return self._chat.ask(request, receiver).addCallbacks(self._answered, self._failed)

    def _answered(self, result: ModelResult) -> ModelResult:
        self._card = self._cards[True]
        return result

    def _failed(self, failure: Failure) -> Failure:
        if failure.check(ModelUnavailable, ModelTimeout):
            self._card = self._cards[False]
        return failure


@implementer(IEmbedder)
class RemoteEmbedder(_Remote):
    """An entry that makes embeddings."""

    def __init__(self, key: str, entry: ModelEntry, modified_at: float, embedding: Embedding) -> None:
        super().__init__(key, entry, modified_at)
        self._embedding = embedding

    def embed(self, texts: Sequence[str], dimensions: int | None = None) -> Deferred[Embeddings]:
        """See `IEmbedder`."""
        return Deferred.fromCoroutine(self._embedding.ask(texts, dimensions))


def who_is(key: str) -> str:
    """How errors name a remote model: users hear them, and where its server stands is not for them."""
    return f"Model '{key}'"


def locator(key: str, entry: ModelEntry, environ: Callable[[str], str | None]) -> Callable[[], Server]:
    """Finds the server of `entry`; looks the key up at each call, so that a new one in `.env` counts."""

    def look() -> Server:
        secret = (environ(entry.env_key) or "").strip() if entry.env_key else ""
        if entry.env_key and not secret:
            what = f"{who_is(key)} needs an API key; set the environment variable {shown_name(entry.env_key)}"
            raise ModelError(what).for_good()
        return Server(entry.host, secret)

    return look
