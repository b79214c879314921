"""The tools with which models ask others, on offer while there is somebody who may be asked."""

from ..sessions.limits import Limits
from .agentcall import AgentCall
from .delegation import Asker, LlmCall
from .toolbox import Toolbox


class Delegates:
    """Puts `llm_call` and `agent_call` into the toolbox, and takes them out."""

    def __init__(self, toolbox: Toolbox, asker: Asker, limits: Limits) -> None:
        self._toolbox = toolbox
        self._tools = (LlmCall(asker, limits), AgentCall(asker, limits))

    def offer(self) -> None:
        """Looks anew who may be asked."""
        for tool in self._tools:
            if tool.keys:
                self._toolbox.add(tool)
            else:
                self._toolbox.remove(tool.name)
