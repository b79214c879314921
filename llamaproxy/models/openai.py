"""The `OPENAI` type: any server with OpenAI's chat completions."""

from collections.abc import Coroutine
from functools import partial
from typing import Any

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelRequest, ModelResult
from .answers.openai import ChunkDecoder
from .requests.lessons import Pupil
from .requests.openai import ChatRequests
from .requests.rules import OPENAI
from .requests.vendors import back_end, first_lessons
from .upstream.upstream import Question, Upstream


class OpenAIChat:
    """Asks for completions in this format; what `OPENAI` and `LOCAL` models have in common."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._upstream = upstream
        self._decoder = partial(ChunkDecoder, upstream.who, back_end(entry))
        self._pupil = Pupil(upstream.who, OPENAI, first_lessons(entry), ChatRequests(entry, upstream.who))

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Coroutine[Any, Any, ModelResult]:
        """One completion, as `IModel.chat` has it."""
        question = Question(self._upstream, request, "/chat/completions", self._decoder, receiver)
        return self._pupil.ask(request, question)
