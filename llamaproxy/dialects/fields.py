"""Fields that requests of several dialects have in common: an app's own tools, and who the app says it speaks for."""

from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder

from ..seams.errors import BadRequest
from .body import decode

# A field that was not sent, as nearly all are not.
ABSENT = Raw()
_NOTHING = (b"", b"null", b"[]", b"{}", b'""')
_choice: Decoder[Any] = Decoder(Any)

# What forces no tool: Anthropic's and OpenAI's words for it, bare or as a `type` or `mode`.
_FREE = ("auto", "none", "validated", None)


class CommonFields(Struct, kw_only=True):
    """What a body may hold beside its messages."""

    tools: Raw = ABSENT
    tool_choice: Raw = ABSENT
    functions: Raw = ABSENT
    function_call: Raw = ABSENT
    parallel_tool_calls: Raw = ABSENT
    user: Raw = ABSENT
    safety_identifier: Raw = ABSENT
    prompt_cache_key: Raw = ABSENT
    conversation: Raw = ABSENT
    metadata: Raw = ABSENT


def ignored_of(body: CommonFields, *others: tuple[str, bool]) -> tuple[str, ...]:
    """The names of what the client sent and nobody here uses, unless its operator allows that.

    `others` are further ones, and whether they are there.
    """
    names: list[str] = []
    if not (body.tools is body.functions is body.tool_choice is body.function_call is ABSENT):
        sent = ("tools", body.tools), ("functions", body.functions)
        chosen = ("tool_choice", body.tool_choice), ("function_call", body.function_call)
        names += (name for name, raw in (*sent, *chosen) if is_there(raw))
    for name, there in others:
        if there:
            names.append(name)
    return tuple(names)


def identity_of(body: CommonFields) -> dict[str, Raw]:
    """What the client says of itself, its user and its conversation."""
    if (
        body.user
        is body.safety_identifier
        is body.prompt_cache_key
        is body.conversation
        is body.metadata
        is ABSENT
    ):
        return {}
    each = {
        "user": body.user,
        "safety_identifier": body.safety_identifier,
        "prompt_cache_key": body.prompt_cache_key,
        "conversation": body.conversation,
        "metadata": body.metadata,
    }
    return {name: raw for name, raw in each.items() if is_there(raw)}


def is_there(raw: Raw) -> bool:
    """Whether a field holds anything."""
    return raw is not ABSENT and bytes(raw).strip() not in _NOTHING


def forced(raw: Raw, field: str) -> None:
    """Raises `BadRequest` if the client's choice of a tool forces one: it cannot work without that call."""
    if not is_there(raw):
        return
    choice = decode(raw, _choice, field)
    if isinstance(choice, dict):
        # OpenAI may name a few tools that are allowed, and force one of them or none.
        choice = (
            choice.get("mode") if choice.get("type") == "allowed_tools" else choice.get("type", "function")
        )
    if choice not in _FREE:
        raise BadRequest(
            f"{field}: an app's own tools are not called here, since the agent uses tools of its own; so none can be "
            f"forced. Leave {field} out, or set it to auto; or the operator can turn client_tools on."
        )
