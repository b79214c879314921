"""The `OPENAI` type: any server with OpenAI's chat completions."""

from functools import partial

from twisted.internet.defer import Deferred

from ..config.schema import ModelEntry
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelRequest, ModelResult
from .answers.openai import ChunkDecoder
from .requests.lessons import Pupil
from .requests.openai import ChatRequests
from .requests.rules import OPENAI
from .requests.vendors import back_end, first_lessons
from .upstream import call
from .upstream.upstream import Upstream


class OpenAIChat:
    """Asks for completions in this format; what `OPENAI` and `LOCAL` models have in common."""

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._upstream = upstream
        self._decoder = partial(ChunkDecoder, upstream.who, back_end(entry))
        self._pupil = Pupil(upstream.who, OPENAI, first_lessons(entry), ChatRequests(entry, upstream.who))

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """One completion, as `IModel.chat` has it."""
        asking = self._pupil.asking(request)
        return call.ask(self._upstream, "/chat/completions", asking, request, self._decoder, receiver)
