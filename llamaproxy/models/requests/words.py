"""In words what a server has no field for: tools, and that the answer is to be JSON.

Tools are told so to weights whose chat template has no place for them (llama.cpp would leave them out), and to servers
that refuse them. The form is the one that most small models were trained on, and that `agent.calls.written` finds again
in what they write.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import json
from msgspec.structs import replace

from ...seams.arguments import arguments_text
from ...seams.types import Message, ModelRequest, ToolCall

_HOW = (
    "You can use tools. To use one, write nothing but its call, in this form:\n"
    '<tool_call>\n{"name": "the tool", "arguments": {"the argument": "its value"}}\n</tool_call>\n'
    "The result comes with the next message. Answer without a tool where none is needed. The tools, one a line:\n"
)


def in_words(request: ModelRequest) -> ModelRequest:
    """The request without tools, calls and results as such: all of them are text of its messages."""
    messages = [_in_words(message) for message in request.messages]
    if request.tools:
        messages = told(messages, _HOW + "\n".join(json.encode(tool).decode() for tool in request.tools))
    return replace(request, messages=messages, tools=[])


def json_wanted(schema: dict[str, Any]) -> str:
    """That the answer is to be JSON, and of what kind; `{}` for any."""
    wanted = "Answer with a JSON object and nothing else: no words around it, no fence."
    return f"{wanted} It follows this JSON schema:\n{json.encode(schema).decode()}" if schema else wanted


def told(messages: Sequence[Message], words: str) -> list[Message]:
    """The messages with more words for the model in the system's."""
    if messages and messages[0].role == "system":
        return [replace(messages[0], content=f"{messages[0].content}\n\n{words}"), *messages[1:]]
    return [Message(role="system", content=words), *messages]


def _in_words(message: Message) -> Message:
    if message.tool_calls:
        said = [message.content] if message.content else []
        return replace(message, content="\n".join([*said, *_calls(message.tool_calls)]), tool_calls=())
    if message.role == "tool":
        content = f"<tool_response>\n{message.content}\n</tool_response>"
        return replace(message, role="user", content=content, tool_call_id=None)
    return message


def _calls(calls: Iterable[ToolCall]) -> Iterable[str]:
    for call in calls:
        name: Any = json.encode(call.name).decode()
        yield f'<tool_call>\n{{"name": {name}, "arguments": {arguments_text(call.arguments)}}}\n</tool_call>'
