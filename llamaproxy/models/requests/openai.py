"""OpenAI's chat completions, as they are asked for.

Source of the format: https://platform.openai.com/docs/api-reference/chat.
"""

from collections.abc import Sequence
from typing import Any

from ...config.schema import ModelEntry
from ...seams.arguments import arguments_text
from ...seams.types import Image, Message, ModelRequest, ModelResult, Options
from .conversation import extra_of, prepared, spoken, words_alone
from .efforts import nearest, wished
from .fields import lower_limit
from .lessons import Body, Lessons
from .tools import Offer
from .vendors import back_end
from .words import in_words, json_wanted, told

# Characters of a tool's description that OpenAI takes.
LONGEST_DESCRIPTION = 1024

# Gemini's word for a call that another model made, which has no signature.
UNSIGNED = {"google": {"thought_signature": "skip_thought_signature_validator"}}
# Where thoughts must be and there are none: DeepSeek and Kimi take a blank, and no empty text.
NO_THOUGHTS = " "


class ChatRequests:
    """Makes the bodies for one entry; `who` names the model in the log."""

    def __init__(self, entry: ModelEntry, who: str) -> None:
        self._entry = entry
        self._back_end = back_end(entry)
        sampling = {"temperature": entry.temperature, "top_p": entry.top_p, "top_k": entry.top_k}
        self._sampling = {name: value for name, value in sampling.items() if value is not None}
        self._offer = Offer(who, LONGEST_DESCRIPTION)

    def body(self, request: ModelRequest, lessons: Lessons) -> Body:
        """The body of a request, as the server takes it by all that is known of it."""
        entry, options = self._entry, request.options
        tools = self._offer.of(request.tools, lessons) if request.tools else []
        if lessons.tools_in_words:
            request, tools = in_words(request), []
        messages: Sequence[Message] = request.messages
        form, words = _response_format(options.json_schema, messages, lessons)
        if words:
            messages = told(messages, words)
        body: Body = {
            "model": entry.model_id,
            "messages": words_alone(messages, lessons)
            or self._messages(spoken(prepared(messages, lessons)), lessons),
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._sampling,
            **_limit(lower_limit(options.max_tokens, entry.max_tokens), lessons),
        }
        if options.stop:
            body["stop"] = options.stop
        if form is not None:
            body["response_format"] = form
        if (effort := _effort(options, lessons)) is not None:
            body["reasoning_effort"] = effort
        if not tools and lessons.stand_ins and (tools := stand_ins(body["messages"])):
            body["tool_choice"] = "none"
        if tools:
            body["tools"] = [{"type": "function", "function": tool} for tool in tools]
            if request.must_call:
                body["tool_choice"] = "required"
        body |= entry.extra
        return {name: body[name] for name in body if name not in lessons.without} if lessons.without else body

    def read(self, result: ModelResult) -> ModelResult:
        """The result in our own names."""
        return self._offer.named_as_ours(result)

    def _messages(self, messages: Sequence[Message], lessons: Lessons) -> list[Body]:
        made: list[Body] = []
        # Pictures in results, which may hold text only; they follow their round.
        images: list[Image] = []
        for message in messages:
            if images and message.role != "tool":
                made.append(_shown("The pictures of these results:", images))
                images = []
            if message.role == "tool":
                images += message.images
            made.append(self._message(message, lessons))
        return [*made, _shown("The pictures of these results:", images)] if images else made

    def _message(self, message: Message, lessons: Lessons) -> Body:
        if message.images and message.role != "tool":
            fields = _shown(message.content, message.images)
            fields["role"] = message.role
        else:
            fields = {"role": message.role, "content": message.content}
        if message.role == "assistant":
            fields |= extra_of(message.extra, self._back_end, lessons)
            if lessons.reasoning and not fields.get("reasoning_content"):
                fields["reasoning_content"] = fields.get("reasoning") or NO_THOUGHTS
        if message.tool_calls:
            fields["content"] = message.content or ("" if lessons.no_null else None)
            fields["tool_calls"] = self._calls(message, lessons)
        if message.tool_call_id is not None:
            fields["tool_call_id"] = message.tool_call_id
        return fields

    def _calls(self, message: Message, lessons: Lessons) -> list[Body]:
        calls: list[Body] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments_text(call.arguments)},
                **extra_of(call.extra, self._back_end, lessons),
            }
            for call in message.tool_calls
        ]
        if lessons.signatures and "extra_content" not in lessons.without:
            # The first of several calls is the one that is signed.
            calls[0].setdefault("extra_content", UNSIGNED)
        return calls


def stand_ins(messages: Sequence[Body]) -> list[Body]:
    """Definitions of the tools that were called, which say no more than that."""
    called = {
        call["function"]["name"]: None for message in messages for call in message.get("tool_calls") or ()
    }
    nothing = {"type": "object", "properties": {}}
    return [{"name": name, "description": "Not available now.", "parameters": nothing} for name in called]


def _shown(text: str, images: Sequence[Image]) -> Body:
    """A message of the user with pictures."""
    parts: list[Body] = [
        {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}
        for image in images
    ]
    return {"role": "user", "content": [{"type": "text", "text": text}, *parts] if text else parts}


def _limit(most: int | None, lessons: Lessons) -> dict[str, int]:
    if most is None or not lessons.limits or most >= lessons.unlimited:
        return {}
    return {lessons.limits[0]: max(lessons.least_tokens, min(most, lessons.most_tokens))}


def _effort(options: Options, lessons: Lessons) -> str | None:
    """An effort only: there is no on and off that every server of this kind takes."""
    effort = wished(options.think)
    if not isinstance(effort, str):
        return None
    return effort if lessons.efforts is None else nearest(effort, lessons.efforts)


def _response_format(
    schema: dict[str, Any] | None, messages: Sequence[Message], lessons: Lessons
) -> tuple[Body | None, str]:
    """How JSON is asked for, in a field and in words."""
    if schema is None:
        return None, ""
    words = json_wanted(schema)
    if "response_format" in lessons.without:
        return None, words
    by_schema = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema or {"type": "object"}},
    }
    forms = lessons.forms - {"json_schema"} if lessons.no_schema else lessons.forms
    if "json_schema" in forms and (schema or "json_object" not in forms):
        return by_schema, ""
    if "json_object" not in forms:
        return None, words
    # OpenAI and others refuse this form unless the prompt speaks of JSON.
    is_told = not schema and any("json" in message.content.lower() for message in messages)
    return {"type": "json_object"}, "" if is_told else words
