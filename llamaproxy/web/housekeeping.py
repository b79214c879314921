"""Apps' own errands, answered beside the conversation: no session is touched, none is made, and nothing queues."""

from msgspec.structs import replace
from twisted.logger import Logger

from ..config.schema import Housekeeping
from ..dialects.base import ChatRequest
from ..dialects.housekeeping import Task, answer, recognise, suits
from ..seams.errors import AgentError
from ..seams.interfaces import IAgent
from ..seams.types import Caller
from .site import Intake

# For Open WebUI's custom header with the template {{TASK}}.
TASK_HEADER = b"x-llamaproxy-task"
# What a model may take for an errand where the app sets no limit.
ANSWER_TOKENS = 2000


class Housekeeper:
    """Runs the errands of apps as `mode` says, which is `config.FrontDoor.housekeeping`."""

    log = Logger()

    def __init__(self, agent: IAgent, mode: Housekeeping) -> None:
        self._agent = agent
        self._mode = mode

    def task(self, request: Intake, parsed: ChatRequest, caller: Caller) -> Task | None:
        """What errand the request is; None if it is to be answered as chat.

        A model of another server has none: what it passes on may well look like one, again and again.
        """
        if self._mode == "off" or caller.depth:
            return None
        return recognise(parsed, (request.getHeader(TASK_HEADER) or b"").decode("latin-1"))

    async def answer(self, task: Task, parsed: ChatRequest, caller: Caller) -> str:
        """The answer, in the form that the app wants.

        A few errands (merging several answers, say) take a model in any mode; only those can fail, with its error.
        """
        assert parsed.turn is not None
        ready = answer(task, parsed.turn.text)
        if ready is not None and self._mode == "local":
            return ready
        options = parsed.turn.options
        thrifty = replace(
            options,
            max_tokens=options.max_tokens or ANSWER_TOKENS,
            think=False if options.think is None else options.think,
        )
        try:
            asked = replace(parsed.turn, options=thrifty)
            text = await self._agent.aside(caller, asked, parsed.lone_system or "")
        except AgentError as error:
            if ready is None:
                raise
            self.log.warn("{task}: {error}; answered without a model", task=task.value, error=str(error))
            return ready
        return text if ready is None or suits(task, text) else ready
