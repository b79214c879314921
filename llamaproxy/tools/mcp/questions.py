"""Questions that a server puts to the user while it works on a call (elicitation), and what they answer."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult

from ...seams.errors import AsksUser, ToolError
from ...seams.types import ToolAnswer

# Seconds for which a server waits for an answer: a little longer than the user is asked for one.
PATIENCE_SECONDS = 660.0
_LONGEST_QUESTION = 1000
_DECLINED = ElicitResult(action="decline")


class Running:
    """One call under way, which may come to ask something; `asks` says that the user can be asked."""

    def __init__(self, work: Coroutine[Any, Any, str | ToolAnswer], asks: bool) -> None:
        self._asks = asks
        self._asked = asyncio.Event()
        self._question: ElicitRequestParams | None = None
        self._answer: asyncio.Future[ElicitResult] | None = None
        self._task = asyncio.create_task(self._run(work))

    async def result(self, seconds: float) -> str | ToolAnswer:
        """What comes of the call. Raises `AsksUser` if there is a question first, and `ToolError`."""
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait({self._task, asked}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            asked.cancel()
        if self._task.done():
            return self._task.result()
        if self._question is not None:
            raise AsksUser(_in_words(self._question))
        self.cancel()
        raise ToolError(f"the MCP server did not answer within {seconds:g} seconds")

    def when_over(self, tell: Callable[["Running"], None]) -> None:
        """Has `tell` called once there is a result, or none any more."""

        def over(task: asyncio.Task[str | ToolAnswer]) -> None:
            if not task.cancelled():
                task.exception()  # perhaps there is nobody left to hear of it
            tell(self)

        self._task.add_done_callback(over)

    def cancel(self) -> None:
        """Nobody wants the result any more."""
        self._task.cancel()

    def reply(self, answer: str) -> None:
        """Lets the call go on with what the user said. Raises `AsksUser` if that does not answer the question."""
        if self._question is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(_as_result(self._question, answer))
            self._asked.clear()

    async def ask(self, question: ElicitRequestParams) -> ElicitResult:
        """The server's question, answered in the end."""
        if not self._asks or self._question is not None:
            return _DECLINED
        self._question, self._answer = question, asyncio.get_running_loop().create_future()
        self._asked.set()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._answer
        except TimeoutError:
            self.cancel()
            return ElicitResult(action="cancel")
        finally:
            self._question = None
            self._asked.clear()

    async def _run(self, work: Coroutine[Any, Any, str | ToolAnswer]) -> str | ToolAnswer:
        current.set(self)
        return await work


# The call on whose behalf a question comes, where the protocol tells.
current: ContextVar[Running | None] = ContextVar("current", default=None)


def _in_words(question: ElicitRequestParams) -> str:
    text = _plain(question.message)
    if not isinstance(question, ElicitRequestFormParams):
        return f"{text} [{_plain(question.url)}]; say yes once you have been there"
    fields = _plain(", ".join(f"{name} ({_kind(field)})" for name, field in _fields(question).items()))
    return f"{text}; answer behind the code: {fields}" if fields else text


def _plain(text: str) -> str:
    """On one line, bounded, and with nothing in it that could pass for more than its words."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text[: 2 * _LONGEST_QUESTION])
    return " ".join(plain.split())[:_LONGEST_QUESTION]


def _fields(question: ElicitRequestFormParams) -> dict[str, dict[str, Any]]:
    properties = question.requested_schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: field for name, field in properties.items() if isinstance(field, dict)}


def _kind(field: dict[str, Any]) -> str:
    choice = field.get("enum")
    return " or ".join(map(str, choice)) if isinstance(choice, list) else str(field.get("type", "text"))


def _as_result(question: ElicitRequestParams, answer: str) -> ElicitResult:
    if not isinstance(question, ElicitRequestFormParams):
        return ElicitResult(action="accept")
    fields = _fields(question)
    required = question.requested_schema.get("required")
    required = required if isinstance(required, list) else []
    content: dict[str, Any] = {name: field["default"] for name, field in fields.items() if "default" in field}
    try:
        if answer.startswith("{"):
            content |= json.loads(answer)
        elif answer:
            [name] = required if len(required) == 1 else fields
            content[name] = _value(fields[name], answer)
        for name in required:
            if name not in content:
                # A yes is an answer to what can only be true or false.
                content[name] = _value(fields[name], "true" if fields[name].get("type") == "boolean" else "")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AsksUser(f"{_in_words(question)}, several of them as JSON: {{...}}") from None
    return ElicitResult(action="accept", content=content)


def _value(field: dict[str, Any], text: str) -> Any:
    """What the user wrote, as the field wants it. Raises `ValueError`."""
    if not text:
        raise ValueError("nothing")
    match field.get("type"):
        case "boolean":
            return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
        case "integer":
            return int(text)
        case "number":
            return float(text)
    choice = field.get("enum")
    if isinstance(choice, list):
        [text] = [each for each in choice if str(each).lower() == text.lower()]
    return text
