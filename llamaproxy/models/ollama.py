"""The `OLLAMA` type: Ollama's own `/api/chat`."""

from collections.abc import Coroutine
from functools import partial
from typing import Any

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelRequest, ModelResult
from .answers.ollama import LineDecoder
from .requests.lessons import Pupil
from .requests.ollama import OllamaRequests
from .requests.rules import OLLAMA
from .requests.vendors import back_end, first_lessons
from .upstream.upstream import Question, Upstream


class OllamaChat:
    """Asks for completions in this format."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._upstream = upstream
        self._decoder = partial(LineDecoder, upstream.who, back_end(entry))
        self._pupil = Pupil(upstream.who, OLLAMA, first_lessons(entry), OllamaRequests(entry, upstream.who))

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Coroutine[Any, Any, ModelResult]:
        """One completion, as `IModel.chat` has it."""
        question = Question(self._upstream, request, "/api/chat", self._decoder, receiver)
        return self._pupil.ask(request, question)
