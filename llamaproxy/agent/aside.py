"""A question to a model that belongs to no session: no history, no tools, and no trace of it afterwards."""

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ..seams.interfaces import IDeltaReceiver, IModel
from ..seams.spans import Span
from ..seams.surrogates import joined
from ..seams.types import ChatTurn, Message, ModelDelta, ModelRequest, Text, Usage

# In characters; what a model says beyond that is not kept.
ANSWER_LIMIT = 64 * 1024


@implementer(IDeltaReceiver)
class _Answer:
    """Collects the text of one completion; `show` gets each piece of what is kept."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self._show = show
        self._pieces: list[str] = []
        self._size = 0

    def registerProducer(self, producer: IPushProducer) -> None:
        """Never holds the model: there is a limit to what is kept."""

    def unregisterProducer(self) -> None:
        """The completion is over."""

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        """Keeps the text; what the model thinks is of no use here."""
        if self._size <= ANSWER_LIMIT:
            piece = "".join([delta.text for delta in deltas if type(delta) is Text])
            self._pieces.append(piece)
            self._size += len(piece)
            if piece and self._show is not None:
                self._show(piece)

    def text(self) -> str:
        """All of it."""
        return joined("".join(self._pieces)[:ANSWER_LIMIT])


async def ask_aside(
    model: IModel,
    turn: ChatTurn,
    system: str = "",
    *,
    timeout: float | None = None,
    depth: int = 0,
    session_id: str = "",
    show: Callable[[str], None] | None = None,
    spent: Callable[[Usage], None] | None = None,
    span: Span | None = None,
) -> str:
    """What `model` answers to `turn` under the system prompt `system`, "" for none. Raises `ModelError`.

    `timeout`, `depth`, `session_id` and `span` are as in `ModelRequest`; `show` gets the text as it comes, `spent`
    the tokens that the model's server counted.
    """
    question = Message(role="user", content=turn.text, images=turn.images)
    messages = [Message(role="system", content=system), question] if system else [question]
    answer = _Answer(show)
    request = ModelRequest(
        messages=messages,
        options=turn.options,
        session_id=session_id,
        depth=depth,
        timeout=timeout,
        span=span,
        request_id=turn.record.request_id if turn.record else "",
    )
    result = await model.chat(request, answer)
    if spent is not None and result.usage is not None:
        spent(result.usage)
    return answer.text()
