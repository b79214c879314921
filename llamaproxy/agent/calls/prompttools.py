"""Tools with which a model reads and changes its own system prompt, behind the gates of `!autoAISysPrompt`."""

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...seams.errors import ToolError
from ...seams.gates import SYSTEM_PROMPT
from ...seams.interfaces import ITool
from ...seams.types import Access, ToolContext
from ..prompts import ModelPrompts
from ..sessions.session import Sessions

_SECTION = {"type": "string", "description": "A section's name; leave it out for the main text."}


class _PromptTool:
    category = SYSTEM_PROMPT
    timeout = 30.0

    def __init__(self, prompts: ModelPrompts, sessions: Sessions, default: str) -> None:
        self._prompts = prompts
        self._sessions = sessions
        self._default = default

    def _model(self, context: ToolContext) -> str:
        session = self._sessions.get(context.session_id)
        return session.model if session is not None else self._default


@implementer(ITool)
class ReadSystemPrompt(_PromptTool):
    """Gives the prompt as its model gets it."""

    name = "read_system_prompt"
    description = "Reads your own system prompt, with the names of its sections."
    parameters: dict[str, Any] = {"type": "object", "properties": {}}

    def access(self, arguments: dict[str, Any]) -> Access:
        """A read of the prompt."""
        return Access(operation="read", gate=SYSTEM_PROMPT)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Reads it."""
        return Deferred.fromCoroutine(self._read(self._model(context)))

    async def _read(self, key: str) -> str:
        prompt = await self._prompts.prompt(key)
        names = ", ".join(section.name for section in prompt.sections if section.depth) or "none"
        return f"{prompt.text}\n\n[sections: {names}]"


@implementer(ITool)
class UpdateSystemPrompt(_PromptTool):
    """Replaces the text of one section for good; it counts from the next message on."""

    name = "update_system_prompt"
    description = "Replaces the text of your system prompt, or of one of its sections, for good."
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "section": _SECTION},
        "required": ["text"],
    }

    def access(self, arguments: dict[str, Any]) -> Access:
        """A write of the prompt."""
        return Access(operation="write", gate=SYSTEM_PROMPT)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Writes it."""
        section = arguments.get("section", "")
        return Deferred.fromCoroutine(self._update(self._model(context), section, arguments["text"]))

    async def _update(self, key: str, section: str, text: str) -> str:
        try:
            await self._prompts.rewrite(key, section, text)
        except KeyError:
            raise ToolError(f"there is no section '{section}'; read_system_prompt names them") from None
        except OSError as error:
            raise ToolError(f"the prompt's file cannot be written ({error.strerror})") from None
        what = f"section '{section}'" if section else "main text"
        return f"The {what} is replaced, from the next message on."
