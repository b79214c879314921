"""What servers send, made such that one bad entry costs no more than itself."""

from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import ContentBlock, JSONRPCResponse, Tool
from msgspec import json
from pydantic import TypeAdapter, ValidationError

from .stderr import Say

# Bytes of a tool's definition, which every model is told with every question, and characters of a name in the log.
LARGEST_TOOL = 64 * 1024
_LONGEST_NAME = 100

_tool: TypeAdapter[Any] = TypeAdapter(Tool)
_block: TypeAdapter[Any] = TypeAdapter(ContentBlock)


def without_bad_entries(message: Any, said: Say) -> Any:
    """The message, in place, without the tools that are none, and with a word where an answer has a part that is none.

    `said` hears what was left out.
    """
    if isinstance(message, SessionMessage) and isinstance(message.message, JSONRPCResponse):
        result = message.message.result
        if isinstance(tools := result.get("tools"), list):
            result["tools"] = [tool for tool in tools if _is_tool(tool, said)]
        if isinstance(content := result.get("content"), list):
            result["content"] = [_block_of(part) for part in content]
    return message


def _is_tool(entry: Any, said: Say) -> bool:
    try:
        _tool.validate_python(entry, by_name=False)
        size = len(json.encode(entry))
        problem = "" if size <= LARGEST_TOOL else f"{size} bytes of definition are too many"
    except ValidationError as error:
        problem = _problem(error)
    if problem:
        name = str(entry.get("name"))[:_LONGEST_NAME] if isinstance(entry, dict) else None
        said(f"(its tool {name!r} is left out: {problem})")
    return not problem


def _block_of(part: Any) -> Any:
    try:
        _block.validate_python(part, by_name=False)
    except ValidationError:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            return {"type": "text", "text": part["text"]}
        kind = str(part.get("type"))[:_LONGEST_NAME] if isinstance(part, dict) else type(part).__name__
        return {"type": "text", "text": f"[a part of the kind {kind!r}, which cannot be read]"}
    return part


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
