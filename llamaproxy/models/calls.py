"""The arguments of tool calls, as some servers want them."""

from typing import Any

from msgspec import json

from ..seams.types import ToolCall
from .upstream.refusals import UNREADABLE


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments as the object that some servers want; empty if the model wrote something else."""
    try:
        arguments = json.decode(call.arguments)
    except UNREADABLE:
        return {}
    return arguments if isinstance(arguments, dict) else {}
