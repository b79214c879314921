"""A session's messages in the form of Anthropic's Messages API.

There is no system role and no tool role; the user's and the assistant's turns must alternate, beginning with the
user's; no text may be empty. So neighbours of one role become one turn with several blocks.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from ..seams.types import Message, ToolCall
from .calls import arguments_of

Block = dict[str, Any]
Turn = dict[str, Any]

# Completions with tool calls whose thoughts are kept; a session needs only its newest one.
MAX_THOUGHTS = 64


class Thoughts:
    """What a model thought before its tool calls, with the signatures, to be sent back with the calls' results.

    The API insists on that within one turn, and only there; so this lives in memory, and a turn that outlives it
    (one that waited for an approval through a restart, say) goes on without thinking.
    """

    def __init__(self) -> None:
        self._by_call: OrderedDict[str, list[Block]] = OrderedDict()

    def keep(self, calls: Sequence[ToolCall], blocks: list[Block]) -> None:
        """Remembers the thinking `blocks` that came before `calls`."""
        self._by_call[calls[0].id] = blocks
        if len(self._by_call) > MAX_THOUGHTS:
            self._by_call.popitem(last=False)

    def before(self, calls: Sequence[ToolCall]) -> list[Block]:
        """The blocks to send ahead of `calls`."""
        return self._by_call.get(calls[0].id, []) if calls else []

    def all_known(self, turns: Sequence[Turn]) -> bool:
        """Whether the turn under way, if it has tool calls, has all the thoughts that belong to them."""
        for turn in reversed(turns):
            blocks = turn["content"]
            if turn["role"] == "user" and blocks[0]["type"] != "tool_result":
                return True
            first_call = next((block for block in blocks if block["type"] == "tool_use"), None)
            if first_call is not None and first_call["id"] not in self._by_call:
                return False
        return True


def conversation(messages: Sequence[Message], thoughts: Thoughts) -> tuple[str, list[Turn]]:
    """The system prompt, and the turns."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    turns: list[Turn] = []
    for message in messages:
        blocks = list(_blocks(message, thoughts))
        if message.role == "system" or not blocks:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif turns or role == "user":
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(message: Message, thoughts: Thoughts) -> Iterator[Block]:
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
        return
    yield from thoughts.before(message.tool_calls)
    for image in message.images:
        source = {"type": "base64", "media_type": image.media_type, "data": image.data}
        yield {"type": "image", "source": source}
    # The API refuses an empty text, and an assistant's last text that ends in a blank.
    text = message.content.rstrip() if message.role == "assistant" else message.content
    if text.strip():
        yield {"type": "text", "text": text}
    for call in message.tool_calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call)}
