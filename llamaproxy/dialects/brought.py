"""What an app brings along beside its user's message: tools of its own, what came of their calls, a system prompt.

It is looked at only where the operator allows that, and read then and there: all of it is somebody else's text, so it
is held within bounds. Schemas are never evaluated here; the app judges the arguments of its own tools.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder

from ..seams.apps import NOTHING, Allowance, AppResult, AppSide, AppTool, Choice
from ..seams.errors import BadRequest
from ..seams.images import Image
from .body import Name, decode
from .content import results_in, text_and_images
from .fields import ABSENT, CommonFields, forced, is_there
from .parsing import WireMessage

# Tools of one request, and bytes of all their descriptions and schemas.
MOST_TOOLS = 256
MOST_BYTES = 512 * 1024
LONGEST_NAME = 128
# Bytes of one result of a tool, which more than any model's context could hold.
LONGEST_RESULT = 256 * 1024
# Characters of a system prompt that is passed on.
MOST_SYSTEM = 64 * 1024
CUT = "\n[the rest was left out for length]"

_NULL = Raw(b"null")
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
_FREE: dict[str, Any] = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


class _Function(Struct):
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(_Function):
    """A tool in any of the dialects: chat completions' and Ollama's have it one deeper, in `function`."""

    type: Name | None = None
    function: _Function | None = None
    input_schema: dict[str, Any] | None = None


class _Choice(Struct):
    """A `tool_choice` that is an object."""

    type: Name | None = None
    name: Name | None = None
    function: _Function | None = None
    mode: Name | None = None
    tools: list[_Tool] | None = None
    disable_parallel_tool_use: bool | None = None


_tools: Decoder[list[_Tool] | None] = Decoder(list[_Tool] | None)
_choice: Decoder[str | _Choice | None] = Decoder(str | _Choice | None)
_flag: Decoder[bool | None] = Decoder(bool | None)
_id: Decoder[str | None] = Decoder(str | None)

_WORDS: dict[str, Choice] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


class Brought:
    """What came with one request.

    `messages` are those of its history in their order, what is neither a message nor a result left out. `system` are
    the texts of its system prompt that stand outside of them. `problem` is what is wrong with the request if its
    results are not looked at. An endpoint whose answers are plain text `has_calls` not.
    """

    def __init__(
        self,
        fields: CommonFields,
        messages: Sequence[WireMessage] = (),
        system: Raw | str = "",
        problem: BadRequest | None = None,
        has_calls: bool = True,
    ) -> None:
        self._fields = fields
        self._messages = messages
        self._system = system
        self._problem = problem
        self._has_calls = has_calls

    def side(self, allowance: Allowance) -> AppSide:
        """What of it the operator allows. Raises `BadRequest`, also for what the client cannot do without."""
        system = self._system_text() if allowance.client_system else ""
        if not (allowance.takes_tools and self._has_calls):
            if not (self._fields.tool_choice is self._fields.function_call is ABSENT):
                forced(self._fields.tool_choice, "tool_choice")
                forced(self._fields.function_call, "function_call")
            if self._problem is not None:
                raise self._problem
            return AppSide(system=system) if system else NOTHING
        choice, only, several = self._chosen()
        tools = tuple(tool for tool in self._tools() if not only or tool.name in only)
        if missing := only - {tool.name for tool in tools}:
            raise BadRequest(f"tool_choice: there is no tool '{min(missing)[:LONGEST_NAME]}' among the tools")
        if choice == "required" and not tools:
            raise BadRequest("tool_choice: a call is required, but there are no tools that could be called")
        results, has_words = self._results()
        if self._problem is not None and not results:
            raise self._problem
        return AppSide(
            tools=tools,
            choice=choice,
            parallel=several and decode(self._fields.parallel_tool_calls or b"null", _flag) is not False,
            results=results,
            is_answer=bool(results) and not has_words,
            system=system,
        )

    def unused(self, ignored: Sequence[str], allowance: Allowance) -> list[str]:
        """What of the `ignored` fields nobody uses after all."""
        used = {"tools", "tool_choice"} if allowance.takes_tools and self._has_calls else set()
        used |= {"system", "instructions"} if allowance.client_system else set()
        return [name for name in ignored if name not in used]

    def free(self) -> frozenset[str]:
        """The names of the tools that take a text and no object."""
        if not is_there(self._fields.tools):
            return frozenset()
        return frozenset(tool.name for tool in self._tools() if tool.free)

    def _tools(self) -> list[AppTool]:
        raw = self._fields.tools
        if not is_there(raw):
            return []
        if len(bytes(raw)) > MOST_BYTES:
            raise BadRequest(
                f"tools: the app's own tools may be {MOST_BYTES // 1024} KiB in all, with their schemas"
            )
        sent = decode(raw, _tools, "tools") or []
        if len(sent) > MOST_TOOLS:
            raise BadRequest(f"tools: at most {MOST_TOOLS} tools of an app are taken, and {len(sent)} came")
        made: dict[str, AppTool] = {}
        for index, each in enumerate(sent):
            tool = _tool(each, f"tools[{index}]")
            if tool is not None:
                made.setdefault(tool.name, tool)
        return list(made.values())

    def _chosen(self) -> tuple[Choice, frozenset[str], bool]:
        """The choice, the names of the only tools that there is a choice of, and whether several may be called."""
        raw = self._fields.tool_choice
        wish = decode(raw, _choice, "tool_choice") if is_there(raw) else None
        if wish is None:
            return "auto", frozenset(), True
        if isinstance(wish, str):
            return _word(wish), frozenset(), True
        several = wish.disable_parallel_tool_use is not True
        if wish.type == "allowed_tools":
            names = frozenset(filter(None, map(_name, wish.tools or ())))
            return _word(wish.mode or "auto"), names, several
        name = (wish.function.name if wish.function else None) or wish.name
        if name:
            return "required", frozenset({name}), several
        return _word(wish.type or "auto"), frozenset(), several

    def _results(self) -> tuple[tuple[AppResult, ...], bool]:
        """The results behind the last answer that the app shows, and whether anybody says something behind them."""
        found: list[AppResult] = []
        has_words = False
        for index in range(len(self._messages) - 1, -1, -1):
            message = self._messages[index]
            role, at = message.role.lower(), f"messages[{index}]"
            if role == "assistant":
                break
            if role in ("tool", "function"):
                text, images = text_and_images(message.content, f"{at}.content")
                call_id = decode(message.tool_call_id, _id, f"{at}.tool_call_id") or ""
                named = decode(message.tool_name, _id, f"{at}.tool_name")
                name = named or decode(message.name, _id, f"{at}.name") or ""
                found.append(_result(text, images, call_id, name))
            elif role == "user":
                answers, says = results_in(message.content, f"{at}.content")
                if says and found and not answers:
                    break
                found += [_result(*each) for each in reversed(answers)]
                has_words = has_words or says
        return tuple(reversed(found)), has_words

    def _system_text(self) -> str:
        own = self._system
        texts = [own] if isinstance(own, str) else [text_and_images(own or _NULL, "system")[0]]
        for index, message in enumerate(self._messages):
            if message.role.lower() in ("system", "developer"):
                texts.append(text_and_images(message.content, f"messages[{index}].content")[0])
        return _cut("\n\n".join(text for text in texts if text.strip()), MOST_SYSTEM)


def _tool(sent: _Tool, at: str) -> AppTool | None:
    """A tool that the app can run; None for those that only a vendor's server has."""
    function = sent.function or sent
    schema = function.parameters if sent.input_schema is None else sent.input_schema
    kind = sent.type or "function"
    free = kind == "custom" and schema is None
    if kind not in ("function", "custom"):
        return None
    name = function.name
    if not name or name.isspace() or len(name) > LONGEST_NAME:
        raise BadRequest(f"{at}: a name of 1 to {LONGEST_NAME} characters is needed")
    return AppTool(
        name=name,
        description=function.description or "",
        parameters=_FREE if free else schema or _NOTHING,
        free=free,
    )


def _name(tool: _Tool) -> str | None:
    return (tool.function or tool).name


def _word(word: str) -> Choice:
    # Claude's servers know another word, for a model that may call its tools, and calls them well if it does.
    choice = _WORDS.get(word.lower(), "auto" if word == "validated" else None)
    if choice is None:
        raise BadRequest(f"tool_choice: '{word[:40]}' is none; it can be auto, none, required or name a tool")
    return choice


def _result(text: str, images: Sequence[Image], call_id: str, name: str = "") -> AppResult:
    return AppResult(text=_cut(text, LONGEST_RESULT), images=tuple(images), call_id=call_id, name=name)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + CUT
