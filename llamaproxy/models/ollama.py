"""The `OLLAMA` type: Ollama's own `/api/chat`."""

from collections.abc import Callable, Coroutine
from typing import Any

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelRequest, ModelResult
from .answers.ollama import LineDecoder
from .requests.lessons import Pupil
from .requests.ollama import OllamaRequests
from .requests.rules import OLLAMA
from .requests.vendors import back_end, first_lessons
from .upstream.upstream import Upstream


class OllamaChat:
    """Asks for completions in this format."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._upstream = upstream
        self._back_end = back_end(entry)
        self._requests = OllamaRequests(entry, upstream.who)
        self._pupil = Pupil(upstream.who, OLLAMA, first_lessons(entry))

    async def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> ModelResult:
        """One completion, as `IModel.chat` has it."""
        upstream, whose = self._upstream, self._back_end

        def post(body: Callable[[], bytes]) -> Coroutine[Any, Any, ModelResult]:
            return upstream.ask(
                request, "/api/chat", body, lambda: LineDecoder(upstream.who, whose), receiver
            )

        return self._requests.read(await self._pupil.ask(request, self._requests.body, post))
