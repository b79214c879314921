"""The tools of a request as a server takes them: names, descriptions and schemas in bounds, and not too many of them.

One bad tool, of an MCP server say, must not have every message refused.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from msgspec.structs import replace
from twisted.logger import Logger

from ...seams.types import ModelResult
from ..upstream.wire import encode
from .calls import valid_name
from .lessons import Lessons
from .schemas import completed, plain

Tool = dict[str, Any]

# Completed definitions that are remembered; what a server offers is the same from request to request.
REMEMBERED = 512


class Offer:
    """Makes the definitions that one entry's server is sent; a description has at most `longest` characters.

    Tools are `{"name", "description", "parameters"}` on both sides. `who` names the model in the log.
    """

    _log = Logger()

    def __init__(self, who: str, longest: int) -> None:
        self._who = who
        self._longest = longest
        # By their JSON and whether they are plain.
        self._made: OrderedDict[tuple[bytes, bool], Tool] = OrderedDict()
        self._told = 0
        # Our name of a tool by the one that is sent, where they differ.
        self._renamed: dict[str, str] = {}

    def of(self, tools: Sequence[Tool], lessons: Lessons) -> list[Tool]:
        """The definitions of `tools`, without those that are refused and those that are too many."""
        made: dict[str, Tool] = {}
        for tool in tools:
            sent = self._definition(tool, lessons.tools_plain)
            if not lessons.tools_out or mark(sent) not in lessons.tools_out:
                made.setdefault(sent["name"], sent)
                if sent["name"] != tool["name"]:
                    self._renamed[sent["name"]] = tool["name"]
        most = lessons.most_tools
        if len(made) > most and self._told != len(made) - most:
            self._told = len(made) - most
            left = [name for at, name in enumerate(made) if at >= most]
            self._log.warn(
                "{who} takes {most} tools; {count} are left out: {names}. Choose with llm_tools in its entry.",
                who=self._who,
                most=most,
                count=len(left),
                names=", ".join(left[:8]) + (", ..." if len(left) > 8 else ""),
            )
        return list(made.values())[:most]

    def named_as_ours(self, result: ModelResult) -> ModelResult:
        """The result with calls under the names that the tools have here."""
        if not self._renamed or not any(call.name in self._renamed for call in result.tool_calls):
            return result
        calls = [replace(call, name=self._renamed.get(call.name, call.name)) for call in result.tool_calls]
        return replace(result, tool_calls=tuple(calls))

    def _definition(self, tool: Tool, is_plain: bool) -> Tool:
        key = encode(tool), is_plain
        made = self._made.get(key)
        if made is None:
            schema = completed(tool.get("parameters"))
            made = self._made[key] = {
                "name": valid_name(tool["name"]),
                "description": _short(tool.get("description") or "", self._longest),
                "parameters": plain(schema) if is_plain else schema,
            }
            if len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return made


def mark(tool: Tool) -> str:
    """What a definition is known by as long as it stays as it is."""
    return f"{tool['name']} {sha256(encode(tool)).hexdigest()[:16]}"


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
