"""A question to a model that belongs to no session: no history, no tools, and no trace of it afterwards."""

from collections.abc import Sequence

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from .interfaces import IDeltaReceiver, IModel
from .types import ChatTurn, Message, ModelDelta, ModelRequest, Text

# In characters; what a model says beyond that is not kept.
ANSWER_LIMIT = 64 * 1024


@implementer(IDeltaReceiver)
class _Answer:
    """Collects the text of one completion."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    def registerProducer(self, producer: IPushProducer) -> None:
        """Never holds the model: there is a limit to what is kept."""

    def unregisterProducer(self) -> None:
        """The completion is over."""

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        """Keeps the text; what the model thinks is of no use here."""
        if self._size <= ANSWER_LIMIT:
            texts = [delta.text for delta in deltas if type(delta) is Text]
            self._pieces += texts
            self._size += sum(map(len, texts))

    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)[:ANSWER_LIMIT]


async def ask_aside(model: IModel, turn: ChatTurn, system: str) -> str:
    """What `model` answers to `turn` under the system prompt `system`, "" for none. Raises `ModelError`."""
    question = Message(role="user", content=turn.text, images=turn.images)
    messages = [Message(role="system", content=system), question] if system else [question]
    answer = _Answer()
    await model.chat(ModelRequest(messages=messages, options=turn.options), answer)
    return answer.text()
