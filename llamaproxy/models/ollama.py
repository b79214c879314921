"""The `OLLAMA` type: Ollama's own `/api/chat`."""

from functools import partial

from twisted.internet.defer import Deferred

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelRequest, ModelResult
from .answers.ollama import LineDecoder
from .requests.lessons import Pupil
from .requests.ollama import OllamaRequests
from .requests.rules import OLLAMA
from .requests.vendors import back_end, first_lessons
from .upstream import call
from .upstream.upstream import Upstream


class OllamaChat:
    """Asks for completions in this format."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._upstream = upstream
        self._decoder = partial(LineDecoder, upstream.who, back_end(entry))
        self._pupil = Pupil(upstream.who, OLLAMA, first_lessons(entry), OllamaRequests(entry, upstream.who))

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """One completion, as `IModel.chat` has it."""
        asking = self._pupil.asking(request)
        return call.ask(self._upstream, "/api/chat", asking, request, self._decoder, receiver)
