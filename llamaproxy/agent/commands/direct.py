"""Tools as commands: `!search_ddgs cats` runs a tool itself, without a model and without gates."""

from functools import partial
from typing import Any

from msgspec import DecodeError, json

from ...seams.interfaces import ITool
from ..calls.arguments import BadArguments
from ..calls.gatekeeper import OPERATORS, Refused, Way
from ..calls.toolbox import Toolbox
from .table import Call, Command, UsageError

# Tools of these categories are worth a command of their own.
CATEGORIES = frozenset({"search", "extract", "drive"}) | OPERATORS
ALIASES = {"db_query": "db"}


def tool_commands(toolbox: Toolbox) -> dict[str, Command]:
    """The commands of the tools that are installed now."""
    commands = {}
    for tool in toolbox:
        if tool.category in CATEGORIES:
            name = ALIASES.get(tool.name, tool.name)
            for each in {name, tool.name}:
                commands[each] = _command(tool, each, hidden=each != name)
    return commands


def _command(tool: ITool, name: str, hidden: bool) -> Command:
    first = tool.description.partition(".")[0]
    return Command(
        name=name,
        usage=" ".join(f"<{each}>" for each in _words(tool)),
        summary=f"{first[:1].lower()}{first[1:]}",
        run=partial(_run, tool),
        group="Tools",
        waits=True,
        owner=tool.category in OPERATORS,
        hidden=hidden,
    )


async def _run(tool: ITool, call: Call) -> str:
    runner = call.runner(tool)
    try:
        return await runner.run_for_person(tool, tool_arguments(tool, call.argument), Way.COMMAND)
    except Refused as refusal:
        return str(refusal)
    except BadArguments as problem:
        raise UsageError(f"{problem}.") from None


def tool_arguments(tool: ITool, text: str) -> dict[str, Any]:
    """Arguments out of a command's text: JSON as it is, else the words for the properties in their order.

    The last text property takes all the rest. Raises `BadArguments`.
    """
    if text.startswith("{"):
        try:
            arguments = json.decode(text)
        except DecodeError as error:
            raise BadArguments(f"the arguments are not JSON ({error})") from None
        return arguments if isinstance(arguments, dict) else {}
    names = _words(tool)
    return dict(zip(names, text.split(maxsplit=max(0, len(names) - 1)), strict=False)) if names else {}


def _words(tool: ITool) -> list[str]:
    """The properties that a command's text fills: the first of a schema's texts, and a `query` after a `url`."""
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    required = tool.parameters.get("required", [])
    texts = [name for name, schema in properties.items() if schema.get("type") == "string"]
    texts.sort(key=lambda name: name not in required)
    return texts[: 2 if texts[:1] == ["url"] else 1]
