"""Apps' own errands, answered beside the conversation: no session is touched, none is made, and nothing queues."""

from msgspec.structs import replace
from twisted.logger import Logger
from zope.interface import implementer

from ..config.schema import Housekeeping
from ..dialects.base import ChatRequest
from ..dialects.errands import Task
from ..dialects.housekeeping import answer, recognise, suits
from ..dialects.outline import Outline
from ..seams.errors import AgentError
from ..seams.interfaces import IAgent, IReply, IReplyConsumer
from ..seams.telling import about
from ..seams.types import Caller, ReplyEnd, Text
from .clients import Client

# What a model may take for an errand where the app sets no limit.
ANSWER_TOKENS = 2000
# What it may take where the app sets its usual limit, which is that of its largest answers.
MOST_TOKENS = 8000
# Characters of the app's system prompt that go with an errand; those of coding clients are far longer.
MOST_SYSTEM = 4000


class Housekeeper:
    """Runs the errands of apps as `mode` says, which is `config.FrontDoor.housekeeping`, or as a caller's own does."""

    log = Logger()

    def __init__(self, agent: IAgent, mode: Housekeeping) -> None:
        self._agent = agent
        self._mode = mode

    def task(
        self, client: Client, parsed: ChatRequest, caller: Caller, own: Housekeeping | None = None
    ) -> Task | None:
        """What errand the request is; None if it is to be answered as chat.

        A model of another server has none: what it passes on may well look like one, again and again.
        """
        if (own or self._mode) == "off" or caller.depth:
            return None
        return recognise(parsed, client.errand, client.agent)

    def ready(self, task: Task, parsed: ChatRequest, own: Housekeeping | None = None) -> str | None:
        """The answer that needs no model, in the form that the app wants; None if one is to be asked."""
        return answer(task, parsed.outline) if (own or self._mode) == "local" else None

    async def ask(self, task: Task, parsed: ChatRequest, caller: Caller) -> IReply:
        """A model's answer, asked apart from any session; what the app cannot use is replaced by one without a model.

        A few errands (merging several answers, say) take a model in any mode; only those can fail, with its error.
        """
        assert parsed.turn is not None
        ready, options, outline = answer(task, parsed.outline), parsed.turn.options, parsed.outline
        thrifty = replace(
            options,
            max_tokens=min(options.max_tokens or ANSWER_TOKENS, MOST_TOKENS),
            think=False if options.think is None else options.think,
        )
        question = replace(parsed.turn, text=_question(outline), material=(), options=thrifty)
        try:
            text = await self._agent.aside(caller, question, outline.system[:MOST_SYSTEM])
        except AgentError as error:
            if ready is None:
                raise
            self.log.warn(
                "{turn}{task}: {error}; answered without a model",
                turn=about(record.request_id if (record := parsed.turn.record) else ""),
                task=task.value,
                error=str(error),
            )
            return Said(ready)
        return Said(text if ready is None or suits(task, text) else ready)


def _question(outline: Outline) -> str:
    """The errand with what it is about, if that is the chat that the app shows."""
    about = outline.conversation()
    wish = outline.last_system or outline.text
    return f"This is a conversation:\n<conversation>\n{about}\n</conversation>\n\n{wish}" if about else wish


@implementer(IReply)
class Said:
    """A reply that is there already."""

    def __init__(self, text: str) -> None:
        self._text = text

    def deliverTo(self, consumer: IReplyConsumer) -> None:
        """All of it, at once."""
        if self._text:
            consumer.eventsReceived([Text(self._text)])
        consumer.replyFinished(ReplyEnd())

    def pauseProducing(self) -> None:
        """Nothing more comes."""

    def resumeProducing(self) -> None:
        """Nothing more comes."""

    def stopProducing(self) -> None:
        """Nothing more comes."""

    def leaveUnheard(self) -> None:
        """Nothing more comes."""
