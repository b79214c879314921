"""The `ANTHROPIC` type: the Messages API."""

from functools import partial

from twisted.internet.defer import Deferred

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelRequest, ModelResult
from .answers.anthropic import EventDecoder
from .requests.anthropic import MessagesRequests
from .requests.lessons import Pupil
from .requests.rules import ANTHROPIC
from .requests.vendors import back_end, first_lessons
from .upstream import call
from .upstream.upstream import Upstream

API_VERSION = "2023-06-01"


class AnthropicChat:
    """Asks for completions in this format."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._upstream = upstream
        self._path = "/messages" if entry.host.rstrip("/").endswith("/v1") else "/v1/messages"
        self._decoder = partial(EventDecoder, upstream.who, back_end(entry))
        self._pupil = Pupil(
            upstream.who, ANTHROPIC, first_lessons(entry), MessagesRequests(entry, upstream.who)
        )

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """One completion, as `IModel.chat` has it."""
        asking = self._pupil.asking(request)
        return call.ask(self._upstream, self._path, asking, request, self._decoder, receiver)


def anthropic_headers(key: str) -> dict[str, str]:
    """How this API wants to see a key, and the version of it that is spoken here."""
    return {"anthropic-version": API_VERSION, **({"x-api-key": key} if key else {})}
