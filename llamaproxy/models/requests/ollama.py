"""Ollama's own `/api/chat`, as it is asked.

Source of the format: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from collections.abc import Sequence
from typing import Any

from ...config.schema import ModelEntry
from ...seams.arguments import arguments_object
from ...seams.types import Message, ModelRequest, ModelResult, Options
from .conversation import extra_of, prepared, spoken, words_alone
from .efforts import COMMON, nearest, wished
from .fields import lower_limit
from .lessons import Body, Lessons
from .tools import Offer
from .vendors import back_end
from .words import in_words, json_wanted, told

LONGEST_DESCRIPTION = 8192


class OllamaRequests:
    """Makes the bodies for one entry; `who` names the model in the log."""

    def __init__(self, entry: ModelEntry, who: str) -> None:
        self._entry = entry
        self._back_end = back_end(entry)
        self._offer = Offer(who, LONGEST_DESCRIPTION)

    def body(self, request: ModelRequest, lessons: Lessons) -> Body:
        """The body of a request, as the server takes it by all that is known of it."""
        entry, asked = self._entry, request.options
        tools = self._offer.of(request.tools, lessons) if request.tools else []
        if lessons.tools_in_words:
            request, tools = in_words(request), []
        messages: Sequence[Message] = request.messages
        form = None if asked.json_schema is None else asked.json_schema or "json"
        refused = "format" in lessons.without or _form(form) not in lessons.forms or lessons.no_schema
        if form is not None and refused:
            messages, form = told(messages, json_wanted(asked.json_schema or {})), None
        options = {
            "temperature": entry.temperature,
            "top_p": entry.top_p,
            "top_k": entry.top_k,
            "num_predict": lower_limit(asked.max_tokens, entry.max_tokens),
            "stop": asked.stop or None,
            "num_ctx": entry.context_length,
        }
        fields = {"format": form, "think": _think(asked, lessons)}
        body: Body = {
            "model": entry.model_id,
            "messages": words_alone(messages, lessons)
            or self._messages(spoken(prepared(messages, lessons)), lessons),
            "stream": True,
            "options": {name: value for name, value in options.items() if value is not None},
            **{name: value for name, value in fields.items() if value is not None},
        }
        if tools:
            body["tools"] = [{"type": "function", "function": tool} for tool in tools]
        body |= entry.extra
        return {name: value for name, value in body.items() if name not in lessons.without}

    def read(self, result: ModelResult) -> ModelResult:
        """The result in our own names."""
        return self._offer.named_as_ours(result)

    def _messages(self, messages: Sequence[Message], lessons: Lessons) -> list[Body]:
        # Templates of some models tell a result by its tool's name, of others by its call's id.
        names = {call.id: call.name for message in messages for call in message.tool_calls}
        return [self._message(message, names, lessons) for message in messages]

    def _message(self, message: Message, names: dict[str, str], lessons: Lessons) -> Body:
        fields: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.role == "assistant":
            fields |= extra_of(message.extra, self._back_end, lessons)
        if message.images:
            fields["images"] = [image.data for image in message.images]
        if message.tool_calls:
            fields["tool_calls"] = [
                {
                    "id": call.id,
                    "function": {"name": call.name, "arguments": arguments_object(call.arguments)},
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            fields["tool_name"] = names[message.tool_call_id]
            fields["tool_call_id"] = message.tool_call_id
        return fields


def _form(form: Any) -> str:
    return "json_object" if form == "json" else "json_schema"


def _think(asked: Options, lessons: Lessons) -> bool | str | None:
    """An effort as this server knows it; one that knows none can still be told to think."""
    effort = wished(asked.think)
    if not isinstance(effort, str):
        return effort
    return nearest(effort, COMMON if lessons.efforts is None else lessons.efforts & COMMON) or True
